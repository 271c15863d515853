"""One ModerateStream: requests are read ahead, answers leave in the order of completion."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

from modgate.rpc.intake import Intake

__all__ = ["AnswerStream", "Begin", "Connection"]

Request = TypeVar("Request")
Request_co = TypeVar("Request_co", covariant=True)
Request_contra = TypeVar("Request_contra", contravariant=True)
Call = TypeVar("Call")
Call_co = TypeVar("Call_co", covariant=True)

_READ_AHEAD = 1024
"""Messages of one stream that may wait to be begun; about 100 kB."""
_UNSENT = 1024
"""Answers of one stream that may wait to be sent."""


class Connection(Protocol[Request_co]):
    """The two ends of the stream."""

    async def read(self) -> Sequence[Request_co] | None:
        """Return the next request or frame of requests; None at the end."""
        ...

    async def write(self, answers: Sequence[bytes]) -> None:
        """Send answers; waits while the caller does not take them."""
        ...


class Begin(Protocol[Request_contra, Call_co]):
    """How a request is begun."""

    def __call__(self, request: Request_contra, arrived: float, *, blind: bool) -> "bytes | Call_co | None":
        """Answer a request at once with bytes, or return what is left to do, or None to begin no further.

        Args:
            request: What was read.
            arrived: At what monotonic time.
            blind: Whether there is no time to look at it.
        """
        ...


class AnswerStream(Generic[Request, Call]):
    """Pairs a stream of requests with a stream of answers; one slow message never holds the next.

    Requests are read as they come and wait for their turn in the intake, where they are begun in the order of all
    streams. Only messages that wait for models get a task of their own. What is ready when a write ends goes into the
    next one, so answers to requests that came in frames leave in frames.

    Args:
        begin: Answers a request at once, or returns what `finish` needs.
        finish: Answers what `begin` left open.
        window: Messages that may wait for models at once. While it is full the stream is not read, and HTTP/2's flow
            control tells the caller to slow down; likewise while a thousand wait to be begun or sent.
        intake: Shared by all streams.
    """

    def __init__(
        self,
        begin: Begin[Request, Call],
        finish: Callable[[Call], Awaitable[bytes]],
        window: int,
        intake: Intake[Request],
    ) -> None:
        self._begin = begin
        self._finish = finish
        self._window = window
        self._intake = intake
        self._unbegun = 0
        self._outbox: list[bytes] = []
        self._answering: set[asyncio.Task[None]] = set()
        self._writing: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self._reading = self._stopped = self._refused = False
        self._failure: Exception | None = None
        self._reader: asyncio.Task[None] | None = None
        self._connection: Connection[Request] | None = None

    async def run(self, connection: Connection[Request], ended: asyncio.Event) -> None:
        """Answer until the requests end, or until `ended` is set and everything that was read is answered."""
        self._connection = connection
        reader = self._reader = asyncio.create_task(self._read(connection))
        watcher = asyncio.create_task(self._stop_on(ended))
        try:
            await asyncio.wait([reader])
            while (self._unbegun or self._answering or self._writing) and self._failure is None:
                await self._move()
            if self._failure is not None:
                raise self._failure
            if not reader.cancelled():
                reader.result()
        finally:
            # What still waits in the intake is not begun any more.
            self._refused = True
            for task in (watcher, reader, self._writing, *self._answering):
                if task is not None:
                    task.cancel()

    def take(self, request: Request, arrived: float, *, blind: bool) -> None:
        """Begin a request: called by the intake."""
        self._unbegun -= 1
        self._moved.set()
        if self._refused:
            return
        try:
            begun = self._begin(request, arrived, blind=blind)
        except Exception as error:  # noqa: BLE001 - raised again by `run`, where the caller of the stream is
            self._fail(error)
            return
        if begun is None:
            self._refused = True
            self._stop()
        elif isinstance(begun, bytes):
            self._send(begun)
        else:
            task = asyncio.create_task(self._answer(begun))
            self._answering.add(task)
            task.add_done_callback(self._answered)

    async def _read(self, connection: Connection[Request]) -> None:
        while not self._stopped:
            self._reading = True
            requests = await connection.read()
            self._reading = False
            if requests is None:
                return
            for request in requests:
                self._unbegun += 1
                self._intake.put(self, request)
            while (
                len(self._answering) >= self._window or self._unbegun > _READ_AHEAD or len(self._outbox) > _UNSENT
            ) and not self._stopped:
                await self._move()

    async def _answer(self, call: Call) -> None:
        self._send(await self._finish(call))

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering.discard(task)
        self._moved.set()
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._fail(error)

    def _send(self, answer: bytes) -> None:
        self._outbox.append(answer)
        if self._writing is None and self._connection is not None:
            self._writing = asyncio.create_task(self._write(self._connection))

    async def _write(self, connection: Connection[Request]) -> None:
        """Send what is ready until nothing is; gRPC takes one write at a time."""
        try:
            while self._outbox:
                ready, self._outbox = self._outbox, []
                await connection.write(ready)
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._fail(error)
        finally:
            self._writing = None
            self._moved.set()

    async def _move(self) -> None:
        """Wait until something of this stream was begun, answered or sent."""
        self._moved.clear()
        await self._moved.wait()

    async def _stop_on(self, ended: asyncio.Event) -> None:
        await ended.wait()
        self._stop()

    def _stop(self) -> None:
        self._stopped = True
        self._moved.set()
        # A frame that was read is answered whole: only waiting for the next one is given up.
        if self._reading and self._reader is not None:
            self._reader.cancel()

    def _fail(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._refused = True
        self._stop()
