"""Model detectors whose outcome a test chooses: a score, a delay, a failure, no end."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modgate.detectors.base import TEXT, DetectorError, Finding, ModelInspector, Problem, Report, Span, Subject, Tier

__all__ = ["MODELS", "Script", "ScriptedDetector", "scripted_models"]

TYPICAL_MS = 5.0


@dataclass(slots=True)
class Script:
    """What a detector does with the next message.

    Attributes:
        scores: Score by label.
        after_ms: Time that it takes.
        fails: `error` raises, `broken` raises something unforeseen, `overload` is refused at once, `hang` never ends.
        spans: Where, for all labels; empty for the whole part.
    """

    scores: Mapping[str, float] = field(default_factory=dict)
    after_ms: float = TYPICAL_MS
    fails: str = ""
    spans: tuple[Span, ...] = ()

    @classmethod
    def read(cls, said: str | Mapping[str, Any]) -> "Script":
        """Return the script that a golden file says: a failure, or scores with `after` and `spans` beside them."""
        if isinstance(said, str):
            return cls(fails=said)
        scores = {label: float(score) for label, score in said.items() if label not in {"after", "spans", "then"}}
        after = float(str(said.get("after", f"{TYPICAL_MS}ms")).removesuffix("ms"))
        spans = tuple(Span(*span) for span in said.get("spans", ()))
        return cls(scores, after, str(said.get("then", "")), spans)


class ScriptedDetector:
    """A detector of the model tier that plays its script."""

    tier = Tier.MODEL

    def __init__(self, name: str, labels: Mapping[str, float | None], cost_us: float) -> None:
        self.name = name
        self.labels = labels
        self.cost_us = cost_us
        self.media_only = name == "image"
        self.script = Script()
        self.asked = 0

    def configure(self, questions: Sequence[Any]) -> ModelInspector:
        """Return the inspector; the script may change afterwards."""
        del questions
        return self

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Play the script."""
        del deadline
        self.asked += 1
        script = self.script
        if script.fails == "overload":
            raise DetectorError(Problem.OVERLOAD, "the queue leaves no time for this")
        if script.fails == "hang":
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(script.after_ms / 1000)
        part = f"media:{subject.message.media[0].id}" if self.media_only else TEXT
        report = {
            label: (Finding(label, score, script.spans, part, f"{self.name}-model 1"),)
            for label, score in script.scores.items()
        }
        if script.fails == "error":
            raise DetectorError(Problem.ERROR, "unreadable", report)
        if script.fails == "broken":
            raise RuntimeError("nobody foresaw this")
        return report


MODELS: Mapping[str, Mapping[str, float | None]] = {
    "text": {"insult": 0.85, "threat": 0.7, "toxic": 0.8},
    "sentiment": {"negative": None, "positive": None},
    "image": {"explicit_nudity": 0.8, "gore": 0.7},
}


def scripted_models() -> dict[str, ScriptedDetector]:
    """Return one scripted detector for every kind of model."""
    return {
        name: ScriptedDetector(name, labels, cost_us=3_000.0 * (index + 1))
        for index, (name, labels) in enumerate(MODELS.items())
    }
