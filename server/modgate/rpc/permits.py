"""How many messages may wait for models, in all and for one app; beyond it, models are shed, not messages."""

from collections import Counter

__all__ = ["Permits"]


class Permits:
    """Counts messages in flight. `take` never waits: without a permit a message is judged by the cheap tier alone."""

    def __init__(self, total: int, per_app: int) -> None:
        self._total = total
        self._per_app = per_app
        self._apps: Counter[str] = Counter()
        self.in_flight = 0

    def free(self, app_id: str) -> bool:
        """Return whether one more message of an app would be permitted."""
        return self.in_flight < self._total and self._apps.get(app_id, 0) < self._per_app

    def take(self, app_id: str) -> bool:
        """Count a message in that asks models, and return whether it may."""
        self.in_flight += 1
        self._apps[app_id] += 1
        return self.in_flight <= self._total and self._apps[app_id] <= self._per_app

    def give_back(self, app_id: str) -> None:
        """Count a message out."""
        self.in_flight -= 1
        left = self._apps[app_id] - 1
        if left:
            self._apps[app_id] = left
        else:
            del self._apps[app_id]
