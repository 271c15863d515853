"""The decision: budget, plan, evaluation and verdict, without I/O or transport types."""

from modgate.gate.decision import (
    Decision,
    Delivery,
    Earned,
    Fallback,
    FallbackReason,
    Match,
    Outcome,
    Penalty,
    RuleTrace,
    StandingSanction,
    Trace,
)
from modgate.gate.judge import Gate, Undecided
from modgate.gate.ports import (
    Clock,
    Observer,
    Sanctions,
    SystemClock,
    Violations,
    new_decision_id,
)
from modgate.gate.recent import RecentAnswers

__all__ = [
    "Clock",
    "Decision",
    "Delivery",
    "Earned",
    "Fallback",
    "FallbackReason",
    "Gate",
    "Match",
    "Observer",
    "Outcome",
    "Penalty",
    "RecentAnswers",
    "RuleTrace",
    "Sanctions",
    "StandingSanction",
    "SystemClock",
    "Trace",
    "Undecided",
    "Violations",
    "new_decision_id",
]
