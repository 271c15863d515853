"""Violations of one sender within a sliding window."""

import math
from collections import deque

from modgate.rules.ruleset import PenaltyClause, PenaltyType

__all__ = ["Window", "is_permanent"]

_MOMENTARY = frozenset({PenaltyType.KICK, PenaltyType.FORCE_OFFLINE})


def is_permanent(clause: PenaltyClause) -> bool:
    """Whether what a clause imposes never ends by itself."""
    if clause.impose is PenaltyType.DELETE:
        return True
    return clause.duration is None and clause.impose not in _MOMENTARY


class Window:
    """When one sender violated one rule, oldest first, and when that last earned the penalty."""

    __slots__ = ("earned_at", "times")

    def __init__(self) -> None:
        self.times: deque[float] = deque()
        self.earned_at: float | None = None

    def add(self, clause: PenaltyClause, now: float) -> bool:
        """Count one violation and return whether it earns the penalty; if so, counting starts afresh.

        During the cool-down violations are counted without effect: the first one after it earns the penalty, if the
        window is still full enough. What would last for ever is never earned by a single violation, however heavy.
        """
        self.forget(clause, now)
        self.times.append(now)
        if len(self.times) < 2 and is_permanent(clause):  # noqa: PLR2004 - one is no pattern
            return False
        if self.points(clause, now) < clause.after:
            return False
        if self.earned_at is not None and now - self.earned_at < clause.cooldown.total_seconds():
            return False
        self.earned_at = now
        self.times.clear()
        return True

    def forget(self, clause: PenaltyClause, now: float) -> None:
        """Drop violations that left the window, which is open at its old end."""
        oldest = now - clause.within.total_seconds()
        while self.times and self.times[0] <= oldest:
            self.times.popleft()

    def points(self, clause: PenaltyClause, now: float) -> float:
        """Return what the violations in the window weigh now."""
        if clause.decay is None:
            return len(self.times) * clause.weight
        half_life = clause.decay.total_seconds()
        return sum(clause.weight * math.exp2(-max(0.0, now - at) / half_life) for at in self.times)
