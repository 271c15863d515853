"""Time that takes no time: an event loop whose clock jumps to the next timer instead of waiting for it."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["JumpingClock", "JumpingLoop", "run"]

T = TypeVar("T")
NOON = 1_800_000_000.0
"""Wall-clock seconds at which every test begins: 2027-01-15 08:00 UTC."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: what the loop would have slept is added to its clock."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready now, or let the time pass at once."""
        events = super().select(0)
        if events:
            return events
        if timeout is None:
            raise AssertionError("every task waits for something that will never come")
        self.elapsed += max(timeout, 0.0)
        return events


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on which an hour of timers passes in no time. For code without threads and sockets."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        # The loop runs timers that are due within its resolution; rounding must not make it wait for ever.
        self._clock_resolution = 1e-9

    def time(self) -> float:
        """Return the seconds that were jumped over so far."""
        return self._jumping.elapsed


class JumpingClock:
    """The gate's clock on a jumping loop."""

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        """Return the wall-clock time that goes with it."""
        return NOON + self.monotonic()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a jumping loop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(coroutine)
