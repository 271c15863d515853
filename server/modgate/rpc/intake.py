"""What was read from streams and waits for its turn: one queue for all of them, oldest first.

A message that nobody has read has no age: it waits inside gRPC, where it can be neither refused nor answered, while its
200 ms run out. So reading comes first, and what is read but not begun waits here, where its age is known.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

__all__ = ["Intake", "Taker"]

Request = TypeVar("Request")
Request_contra = TypeVar("Request_contra", contravariant=True)

_FEW = 4
"""Messages that may wait before reading is looked after."""
_CALM_S = 0.001
"""Seconds in which readers have little left to read if they read little."""
_LOOKS = 20
_BURST_S, _BACKLOG_S = 0.1, 0.025
"""Seconds of work that may wait: at first, and while there is always more. A burst is worked off; in a backlog the age
of the oldest is the age at which everything is begun."""
_SLICE = 0.2
"""Share of that which is worked off before the readers get their turn."""
_TIGHTER, _LOOSER = 0.8, 1.05
_COST_S = 0.0003
"""What beginning a message takes, before anything is known of that."""


class Taker(Protocol[Request_contra]):
    """A stream, as the queue sees it."""

    def take(self, request: Request_contra, arrived: float, *, blind: bool) -> None:
        """Begin a request that was read at a monotonic time. Never raises, never waits.

        Args:
            request: What was read.
            arrived: When.
            blind: Whether there is no time to look at it.
        """
        ...


class Intake(Generic[Request]):
    """Hands requests to their streams in the order in which they were read.

    When more waits than can be looked at in time, the oldest are answered blind: the others then still have nearly all
    of their time, where one after the other would wait until it is too late for each. Who floods, a stream or one of
    several apps on it, is refused before others are.
    """

    def __init__(
        self,
        *,
        app_of: Callable[[Request], str] = lambda _: "",
        on_refusal: Callable[[], None] = lambda: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make an empty queue.

        Args:
            app_of: Tells whose a request is.
            on_refusal: Told when not even the event loop keeps up with what is read.
            monotonic: Seconds.
        """
        self._app_of = app_of
        self._on_refusal = on_refusal
        self._monotonic = monotonic
        self._waiting: deque[tuple[float, Taker[Request], Request]] = deque()
        self._read = self._looked_at = 0
        self._let_read_at = -_BURST_S
        self._cost = _COST_S
        self._ahead = _BURST_S
        self._worker: asyncio.Task[None] | None = None

    def put(self, stream: Taker[Request], request: Request) -> None:
        """Queue a request that was read just now."""
        self._waiting.append((self._monotonic(), stream, request))
        self._read += 1
        if self._worker is None:
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) <= _FEW:
                    self._ahead = min(_BURST_S, self._ahead * _LOOSER)
                elif self._monotonic() - self._let_read_at > _SLICE * self._ahead:
                    await self._let_read()
                    self._refuse()
                    self._let_read_at = self._monotonic()
                self._begin()
                await asyncio.sleep(0)
        finally:
            self._worker = None

    def _begin(self) -> None:
        started = now = self._monotonic()
        begun = 0
        while self._waiting and now - started < _SLICE * self._ahead:
            arrived, stream, request = self._waiting.popleft()
            stream.take(request, arrived, blind=False)
            begun += 1
            now = self._monotonic()
        if begun:
            self._cost += 0.1 * ((now - started) / begun - self._cost)

    def _refuse(self) -> None:
        """Answer blind what is too much: the oldest of the apps and streams that have more than their share waiting."""
        most = max(_FEW, self._ahead / self._cost)
        more, self._looked_at = self._read > self._looked_at, self._read
        if len(self._waiting) <= most:
            self._ahead = min(_BURST_S, self._ahead * _LOOSER)
        if len(self._waiting) <= most or not more:
            return
        self._ahead = max(_BACKLOG_S, self._ahead * _TIGHTER)
        self._on_refusal()
        waiting, self._waiting = self._waiting, deque()
        senders = [(id(stream), self._app_of(request)) for _, stream, request in waiting]
        left = Counter(senders)
        share, excess = most / len(left), len(waiting) - most
        for sender, (arrived, stream, request) in zip(senders, waiting, strict=True):
            if excess > 0 and left[sender] > share:
                left[sender] -= 1
                excess -= 1
                stream.take(request, arrived, blind=True)
            else:
                self._waiting.append((arrived, stream, request))

    async def _let_read(self) -> None:
        """Let the readers go on until they have little left to read, for some milliseconds at most.

        It costs a millisecond or two of doing nothing else, so it is done after each slice of work, not for each frame.
        """
        for _ in range(_LOOKS):
            before = self._read
            await asyncio.sleep(_CALM_S)
            if self._read - before <= _FEW:
                return
