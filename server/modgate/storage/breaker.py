"""A circuit breaker: after a few failures in a row nobody waits for what is away."""

from collections.abc import Callable

__all__ = ["CircuitBreaker"]


class CircuitBreaker:
    """Closed while things work, open for a pause after failures, then one call may try.

    Args:
        failures: So many in a row open it.
        pause: Seconds that it stays open; doubled with every failed try up to `longest`.
        longest: Upper bound of the pause in seconds.
        monotonic: Injected time.
    """

    __slots__ = ("_failed", "_failures", "_longest", "_monotonic", "_pause", "_retry_at", "_wait")

    def __init__(
        self, *, failures: int = 3, pause: float = 0.5, longest: float = 5.0, monotonic: Callable[[], float]
    ) -> None:
        self._failures = failures
        self._pause = self._wait = pause
        self._longest = longest
        self._monotonic = monotonic
        self._failed = 0
        self._retry_at = 0.0

    @property
    def open(self) -> bool:
        """Whether calls are refused for now."""
        return self._failed >= self._failures and self._monotonic() < self._retry_at

    def allows(self) -> bool:
        """Whether a call may be made; after the pause this lets one through and holds the others back."""
        if self._failed < self._failures:
            return True
        now = self._monotonic()
        if now < self._retry_at:
            return False
        self._retry_at = now + self._wait
        return True

    def succeeded(self) -> None:
        """Close it."""
        self._failed = 0
        self._wait = self._pause

    def failed(self) -> None:
        """Count a failure."""
        self._failed += 1
        if self._failed >= self._failures:
            self._retry_at = self._monotonic() + self._wait
            self._wait = min(self._longest, self._wait * 2)
