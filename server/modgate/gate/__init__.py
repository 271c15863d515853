"""The decision: budget, plan, evaluation and verdict, without I/O or transport types."""

from modgate.gate.decision import Decision, Fallback, FallbackReason, Match, Outcome, Penalty, RuleTrace, Trace
from modgate.gate.judge import Gate
from modgate.gate.ports import (
    Clock,
    Observer,
    Sanctions,
    StandingSanction,
    SystemClock,
    Violations,
    new_decision_id,
)
from modgate.gate.recent import RecentDecisions

__all__ = [
    "Clock",
    "Decision",
    "Fallback",
    "FallbackReason",
    "Gate",
    "Match",
    "Observer",
    "Outcome",
    "Penalty",
    "RecentDecisions",
    "RuleTrace",
    "Sanctions",
    "StandingSanction",
    "SystemClock",
    "Trace",
    "Violations",
    "new_decision_id",
]
