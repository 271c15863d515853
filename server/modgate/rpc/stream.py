"""One ModerateStream: requests are read while there is room, answers leave in the order of completion."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

__all__ = ["AnswerStream", "Connection"]

Request = TypeVar("Request")
Request_co = TypeVar("Request_co", covariant=True)
Call = TypeVar("Call")


class Connection(Protocol[Request_co]):
    """The two ends of the stream."""

    async def read(self) -> Sequence[Request_co] | None:
        """Return the next request or frame of requests; None at the end."""
        ...

    async def write(self, answers: Sequence[bytes]) -> None:
        """Send answers; waits while the caller does not take them."""
        ...


class AnswerStream(Generic[Request, Call]):
    """Pairs a stream of requests with a stream of answers; one slow message never holds the next.

    What can be answered at once is written by the same task that read it: a queue between the two would cost more
    than the verdict. Only messages that wait for models get a task of their own. Answers to requests that came in
    frames leave in frames: what becomes ready while one is written goes into the next.

    Args:
        begin: Answers a request at once with bytes, or returns what `finish` needs, or None to read no further.
        finish: Answers what `begin` left open.
        window: Messages that may wait at once. While it is full the stream is not read, and HTTP/2's flow control
            tells the caller to slow down.
    """

    def __init__(
        self,
        begin: Callable[[Request], "bytes | Call | None"],
        finish: Callable[[Call], Awaitable[bytes]],
        window: int,
    ) -> None:
        self._begin = begin
        self._finish = finish
        self._window = asyncio.Semaphore(window)
        self._writing = asyncio.Lock()
        self._outbox: list[bytes] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = self._stopped = False

    async def run(self, connection: Connection[Request], ended: asyncio.Event) -> None:
        """Answer until the requests end, or until `ended` is set and everything that was read is answered."""
        reader = asyncio.create_task(self._read(connection))
        watcher = asyncio.create_task(self._stop_on(ended, reader))
        try:
            await asyncio.wait([reader])
            if self._tasks:
                await asyncio.wait(list(self._tasks))
            if not reader.cancelled():
                reader.result()
        finally:
            watcher.cancel()
            reader.cancel()
            for task in self._tasks:
                task.cancel()

    async def _read(self, connection: Connection[Request]) -> None:
        while not self._stopped:
            self._reading = True
            requests = await connection.read()
            self._reading = False
            if requests is None:
                return
            for request in requests:
                begun = self._begin(request)
                if begun is None:
                    await self._flush(connection)
                    return
                if isinstance(begun, bytes):
                    self._outbox.append(begun)
                    continue
                if self._window.locked():
                    await self._flush(connection)
                await self._window.acquire()
                task = asyncio.create_task(self._answer(connection, begun))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await self._flush(connection)

    async def _answer(self, connection: Connection[Request], call: Call) -> None:
        try:
            # Not in one expression: `self._outbox` is another list after a flush, and the old one is sent already.
            answer = await self._finish(call)
            self._outbox.append(answer)
            await self._flush(connection)
        finally:
            self._window.release()

    async def _flush(self, connection: Connection[Request]) -> None:
        """Send what is ready; gRPC takes one write at a time, so whoever comes second finds the outbox fuller."""
        if not self._outbox:
            return
        async with self._writing:
            if self._outbox:
                ready, self._outbox = self._outbox, []
                await connection.write(ready)

    async def _stop_on(self, ended: asyncio.Event, reader: "asyncio.Task[None]") -> None:
        await ended.wait()
        self._stopped = True
        # A frame that was read is answered whole: only waiting for the next one is given up.
        if self._reading:
            reader.cancel()
