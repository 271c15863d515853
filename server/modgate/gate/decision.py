"""What the gate answers: one decision about one message, free of any transport's types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import IntEnum, StrEnum

from modgate.detectors.base import Span
from modgate.message import Message
from modgate.rules.ruleset import FallbackPolicy, Notice, PenaltyType, SanctionScope, Verdict

__all__ = [
    "Decision",
    "Delivery",
    "Earned",
    "Fallback",
    "FallbackReason",
    "Match",
    "Outcome",
    "Penalty",
    "RuleTrace",
    "StandingSanction",
    "Trace",
]


class FallbackReason(IntEnum):
    """Why conditions did not finish; a greater value is worse and wins."""

    TIMEOUT = 1
    OVERLOAD = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Fallback:
    """Marks an answer in which a policy stands for what was not known."""

    reason: FallbackReason
    applied: FallbackPolicy
    unfinished: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """One finding that made a rule true."""

    rule_id: str
    rule_revision: int
    detector: str
    label: str
    score: float
    threshold: float
    spans: tuple[Span, ...]
    part: str
    evidence: str
    shadow: bool


@dataclass(frozen=True, slots=True)
class Penalty:
    """An instruction to the gateway: impose this on the sender."""

    type: PenaltyType
    scope: SanctionScope
    duration: timedelta | None
    rule_id: str
    reason: str
    sanction_id: str = ""


@dataclass(frozen=True, slots=True)
class Earned:
    """What one message's violations amount to.

    Attributes:
        penalties: To impose.
        shadow: What rules in shadow would have imposed.
        degraded: Whether the shared counters could not be asked, and only what this gate saw was counted.
    """

    penalties: tuple[Penalty, ...] = ()
    shadow: tuple[Penalty, ...] = ()
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class StandingSanction:
    """Why a sender may not post now.

    Attributes:
        remaining: Seconds until it ends by itself; None if it has to be lifted.
    """

    sanction_id: str
    notice: Notice
    type: PenaltyType = PenaltyType.MUTE
    scope: SanctionScope = SanctionScope.CONVERSATION
    remaining: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Who should not be disturbed by a message that goes out.

    Attributes:
        push_suppressed: The receiver of the one-to-one conversation has muted the sender.
        muted_by: Users who muted the sender for themselves, for groups and rooms; a bounded number.
    """

    push_suppressed: bool
    muted_by: tuple[str, ...] = ()


class Outcome(StrEnum):
    """What became of a condition or a rule."""

    TRUE = "true"
    FALSE = "false"
    SKIPPED = "skipped"
    ERRORED = "errored"
    TIMED_OUT = "timed_out"
    SHED = "shed"


@dataclass(frozen=True, slots=True)
class Trace:
    """One node of a condition tree after evaluation."""

    text: str
    outcome: Outcome
    score: float | None = None
    threshold: float | None = None
    elapsed: float | None = None
    children: "tuple[Trace, ...]" = ()


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule after evaluation."""

    rule_id: str
    rule_revision: int
    shadow: bool
    outcome: Outcome
    when: Trace


@dataclass(frozen=True, slots=True)
class Decision:
    """The record of one answer.

    Attributes:
        id: Unique, sortable by time.
        message: What was judged.
        verdict: What to do with it.
        masked_text: What to deliver instead, if the verdict is MASK.
        flagged: Whether a moderator should look.
        matches: Findings of true rules, shadow rules included.
        fallback: Present only if a live rule's outcome stayed unknown.
        notice: What the sender learns.
        penalties: What the gateway should impose.
        decided_at: Wall-clock seconds since the epoch.
        elapsed: Seconds from arrival to decision.
        budget: Seconds that the message had.
        timings: Seconds by detector, waiting included.
        ruleset_revision: The snapshot that judged.
        traces: Explanation, if it was asked for.
        explain: Explains, of a blocked or flagged message, the rules that held or stayed unknown; takes its time.
        shadow_penalties: What rules in shadow would have imposed.
        penalties_degraded: Whether the shared counters could not be asked.
        sanction: What kept the sender from posting, if that is why the message is blocked.
        delivery: Who should not be disturbed; None if nobody.
    """

    id: str
    message: Message
    verdict: Verdict
    flagged: bool = False
    masked_text: str = ""
    matches: tuple[Match, ...] = ()
    fallback: Fallback | None = None
    notice: Notice | None = None
    penalties: tuple[Penalty, ...] = ()
    decided_at: float = 0.0
    elapsed: float = 0.0
    budget: float = 0.0
    timings: Mapping[str, float] = field(default_factory=dict)
    ruleset_revision: str = ""
    traces: tuple[RuleTrace, ...] = ()
    explain: Callable[[], tuple[RuleTrace, ...]] | None = field(default=None, compare=False, repr=False)
    shadow_penalties: tuple[Penalty, ...] = ()
    penalties_degraded: bool = False
    sanction: StandingSanction | None = None
    delivery: Delivery | None = None
