"""Rule sets on trial in process: only the models that they ask are loaded, time is what the case says."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from modgate.assembly import build_engine
from modgate.detectors.flood import FloodDetector
from modgate.gate import Decision, Gate
from modgate.message import Message
from modgate.offered import offered_detectors, only_needed
from modgate.rules import Document, Ruleset, compile_ruleset
from modgate.rules.cases import Judge
from modgate.settings import Settings

__all__ = ["judges"]

_SECONDS = 30.0
"""Budget of a message: what rules say is tested, not how fast this machine is."""


class _CaseClock:
    """Wall-clock time as the case says; deadlines on the real time line, which the models' queues use as well."""

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.moment = 0.0

    def now(self) -> float:
        return self.moment


def _judge_by(ruleset: Ruleset) -> Judge:
    clock = _CaseClock()
    gate = Gate(ruleset, clock=clock)

    async def judge(message: Message, now: float) -> Decision:
        clock.moment = now
        arrived = time.monotonic()
        return await gate.judge(message, arrived=arrived, deadline=arrived + _SECONDS)

    return judge


@contextmanager
def judges(settings: Settings, documents: Sequence[Document], *, pictures: bool) -> Iterator[list[Judge]]:
    """Load what some rule sets need, and return a judge by each; none sees what another was asked.

    Args:
        settings: Which models there are.
        documents: The rule sets.
        pictures: Whether there will be messages with pictures.

    Raises:
        RulesError: If one cannot run, before any model is loaded.
        BundleError: If a model cannot be loaded.
    """
    offered = offered_detectors(settings)
    needed = {name for document in documents for name in compile_ruleset(document, offered).inspections}
    engine = build_engine(only_needed(settings, needed, pictures=pictures))
    try:
        fresh = (replace(engine, detectors={**engine.detectors, "flood": FloodDetector()}) for _ in documents)
        yield [_judge_by(one.compile(document)) for one, document in zip(fresh, documents, strict=True)]
    finally:
        engine.close()
