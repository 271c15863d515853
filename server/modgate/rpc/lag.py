"""How far the event loop is behind: what arrives now has already waited about that long to be looked at."""

import asyncio
import time

__all__ = ["LoopLag"]

_TICK = 0.005
_DECAY = 0.5


class LoopLag:
    """Measures by a timer how late things are called.

    A busy loop cannot see when a call reached the socket, only when its handler ran; a budget counted from there
    would overrun by the time in between, just when it matters. The measure follows a rise at once and a fall within
    a few ticks.
    """

    def __init__(self) -> None:
        self._lag = 0.0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def seconds(self) -> float:
        """How long something that arrives now has probably waited."""
        # While the loop is stuck in one callback, the timer cannot fire: what it is late by now counts too.
        return max(0.0, self._lag, time.monotonic() - self._due) if self._timer is not None else 0.0

    def start(self) -> None:
        """Start measuring on the running loop."""
        self._due = time.monotonic() + _TICK
        self._timer = asyncio.get_running_loop().call_later(_TICK, self._tick)

    def stop(self) -> None:
        """Stop measuring."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        late = max(0.0, time.monotonic() - self._due)
        self._lag = max(late, self._lag * _DECAY)
        self.start()
