"""How many messages may wait for models, in all and for one app; beyond it, models are shed, not messages."""

import time
from collections import Counter
from collections.abc import Callable

__all__ = ["Permits"]

_FLOOR = 16
"""Messages that may wait however slow things look: only what runs can show that it got better."""
_LEAST = 2
"""The same while not even the event loop keeps up: whatever models compute, it lacks."""
_SHRINK, _CUT, _GROW = 0.9, 0.6, 0.5
_PAUSE_S = 0.05
"""Seconds between two steps down: what was refused in one moment says one thing, not many."""
_ACTIVE_S = 1.0
"""Seconds for which an app that sent a message keeps its share free."""


class Permits:
    """Counts messages in flight. `take` never waits: without a permit a message is judged by the cheap tier alone.

    The limit is additive-increase, multiplicative-decrease between a floor and `total`: it falls when the models'
    queue refuses work for lack of time, and rises while there is use for more. Under it, an app that other apps compete
    with may hold its equal share, and beyond that only while half of the limit is free: a flood fills the half, not the
    whole, and whoever sends little always finds room.
    """

    def __init__(self, total: int, per_app: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._total = total
        self._per_app = per_app
        self._monotonic = monotonic
        self._limit = float(total)
        self._shrunk_at = -_PAUSE_S
        self._apps: Counter[str] = Counter()
        self._seen: dict[str, float] = {}
        self._looked_at = monotonic()
        self.in_flight = 0

    @property
    def limit(self) -> int:
        """Messages that may wait for models right now, of all apps together."""
        return int(self._limit)

    def free(self, app_id: str) -> bool:
        """Return whether one more message of an app would be permitted."""
        return self._may(self.in_flight, self._apps.get(app_id, 0), app_id)

    def take(self, app_id: str) -> bool:
        """Count a message in that asks models, and return whether it may."""
        may = self._may(self.in_flight, self._apps[app_id], app_id)
        self.in_flight += 1
        self._apps[app_id] += 1
        return may

    def give_back(self, app_id: str, *, refused: bool = False) -> None:
        """Count a message out.

        Args:
            app_id: Whose it was.
            refused: Whether it was permitted, and the models' queue had no time for it.
        """
        if refused:
            self.cut(_FLOOR, _SHRINK)
        elif self.in_flight * 2 > self._limit:
            self._limit = min(self._total, self._limit + _GROW)
        self.in_flight -= 1
        left = self._apps[app_id] - 1
        if left:
            self._apps[app_id] = left
        else:
            del self._apps[app_id]

    def cut(self, floor: int = _LEAST, share: float = _CUT) -> None:
        """Lower the limit by a step; by a large one, nearly to nothing, if the event loop is what does not keep up."""
        now = self._monotonic()
        if now - self._shrunk_at >= _PAUSE_S:
            self._shrunk_at = now
            self._limit = max(min(floor, self._total), min(self._limit, self.in_flight) * share)

    def _may(self, in_flight: int, own: int, app_id: str) -> bool:
        if in_flight >= self.limit or own >= self._per_app:
            return False
        share = self._limit / self._rivals(app_id)
        return own < share or in_flight * 2 < self._limit

    def _rivals(self, app_id: str) -> int:
        """Return how many apps have sent something lately, this one included."""
        now = self._monotonic()
        if now - self._looked_at > _ACTIVE_S:
            # An app is forgotten after one to two seconds; a flood of invented names is bounded by what fits in them.
            self._seen = {app: at for app, at in self._seen.items() if now - at <= _ACTIVE_S}
            self._looked_at = now
        self._seen[app_id] = now
        return len(self._seen)
