"""Judges for tests: rules through the real gate, with the cheap detectors and a clock that cases move."""

from modgate.detectors.cheap import cheap_detectors
from modgate.gate import Gate
from modgate.gate.decision import Decision
from modgate.message import Message
from modgate.rules import Document, compile_ruleset
from modgate.rules.cases import Judge

__all__ = ["judge_by"]


class CaseClock:
    """Wall-clock time as the case says; deadlines on a time line that stands still."""

    def __init__(self) -> None:
        self.moment = 0.0

    def now(self) -> float:
        return self.moment

    def monotonic(self) -> float:
        return 0.0


def judge_by(document: Document) -> Judge:
    """Return a judge that asks the gate, with fresh detectors, so that floods of others do not count."""
    clock = CaseClock()
    gate = Gate(compile_ruleset(document, cheap_detectors()), clock=clock)

    async def judge(message: Message, now: float) -> Decision:
        clock.moment = now
        return await gate.judge(message, arrived=0.0, deadline=0.2)

    return judge
