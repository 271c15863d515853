"""The one interface of all detectors, and the typed findings that they return.

A *detector* is configured once per ruleset: it is told everything that the rules ask of it and
answers with an *inspector* that is bound to that ruleset and never changes. The gate runs an
inspector at most once per message, whatever number of conditions read its report.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import NamedTuple, Protocol, TypeVar

from modgate.message import Message

__all__ = [
    "TEXT",
    "CheapInspector",
    "Detector",
    "DetectorError",
    "Example",
    "Finding",
    "ModelInspector",
    "Problem",
    "Report",
    "Span",
    "Subject",
    "Tier",
]

Q_contra = TypeVar("Q_contra", contravariant=True)

TEXT = "text"
"""The `part` of findings in the message's own text; only these can be masked."""


class Tier(IntEnum):
    """What a detector costs, and so where it runs. Lower tiers run first."""

    CHEAP = 0
    """Well under a millisecond, inline on the event loop."""
    MODEL = 1
    """Milliseconds, off the event loop, under the message's deadline."""


class Problem(StrEnum):
    """Why an inspector could not look: its conditions are unknown, neither true nor false."""

    TIMEOUT = "timeout"
    OVERLOAD = "overload"
    ERROR = "error"


class Span(NamedTuple):
    """A half-open range of Unicode code points in the original text of one part."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a detector saw.

    Attributes:
        label: What it is, in the words that rules use: a list's name, a model's label, a kind of PII.
        score: Confidence, 0 to 1.
        spans: Where, in code points of `part`; empty when the whole part is meant.
        part: `text`, `custom:<path>`, `media:<id>` or `ocr:<id>`.
        evidence: What decided, for moderators: the list entry, the model, the folded form. Never the user's words.
    """

    label: str
    score: float = 1.0
    spans: tuple[Span, ...] = ()
    part: str = TEXT
    evidence: str = ""


Report = Mapping[str, tuple[Finding, ...]]
"""Findings by label. A label that is absent was looked for and not found."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What inspectors see of one message.

    Attributes:
        message: The message itself.
        parts: Every piece of text to judge, by name: `text` first, then strings of the custom payload.
        now: Wall-clock time in seconds since the epoch, from the injected clock.
    """

    message: Message
    parts: Mapping[str, str]
    now: float


class CheapInspector(Protocol):
    """Looks at a message at once, on the event loop; must return within a fraction of a millisecond."""

    def inspect(self, subject: Subject) -> Report:
        """Return what was found."""
        ...


class ModelInspector(Protocol):
    """Looks at a message off the event loop."""

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Return what was found.

        Args:
            subject: The message.
            deadline: `time.monotonic()` seconds; work that cannot be done by then must not be begun.

        Raises:
            DetectorError: With the problem that left the question open.
        """
        ...


class DetectorError(Exception):
    """An inspector could not look, or not at everything. The gate turns this into unknown conditions and fallbacks.

    Attributes:
        problem: What stood in the way.
        partial: What was found before, if anything: a finding in one picture stands although another is unreadable.
    """

    def __init__(self, problem: Problem, detail: str = "", partial: Report | None = None) -> None:
        super().__init__(detail or problem.value)
        self.problem = problem
        self.partial: Report = partial or {}


@dataclass(frozen=True, slots=True)
class Example:
    """A documented case of one detector: feeds its tests, the docs and the demo."""

    text: str
    label: str
    spans: tuple[Span, ...]
    why: str


class Detector(Protocol[Q_contra]):
    """A kind of inspection that rules can ask for. `Q_contra` is what one condition asks, such as a word list."""

    @property
    def name(self) -> str:
        """Name in rules, matches, metrics and `--fault`."""
        ...

    @property
    def tier(self) -> Tier:
        """Where its inspectors run."""
        ...

    @property
    def cost_us(self) -> float:
        """Typical time for a short message in microseconds; orders the plan and the children of conditions."""
        ...

    def configure(self, questions: Sequence[Q_contra]) -> CheapInspector | ModelInspector:
        """Return an inspector that answers all `questions`. May take seconds; runs off the event loop.

        Raises:
            ValueError: If a question cannot be answered, with the reason and what to do.
        """
        ...
