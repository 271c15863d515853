"""One ModerateStream: requests are read while there is room, answers leave in the order of completion."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

__all__ = ["AnswerStream"]

Request = TypeVar("Request")
Call = TypeVar("Call")


class AnswerStream(Generic[Request, Call]):
    """Pairs a stream of requests with a stream of answers; one slow message never holds the next.

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
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, requests: AsyncIterator[Request], ended: asyncio.Event) -> AsyncIterator[bytes]:
        """Yield answers until the requests end, or `ended` is set and what was read is answered."""
        reader = asyncio.create_task(self._read(requests))
        watcher = asyncio.create_task(_cancel_on(ended, reader))
        try:
            while (answer := await self._answers.get()) is not None:
                yield answer
        finally:
            watcher.cancel()
            reader.cancel()
            for task in self._tasks:
                task.cancel()

    async def _read(self, requests: AsyncIterator[Request]) -> None:
        try:
            async for request in requests:
                begun = self._begin(request)
                if begun is None:
                    return
                if isinstance(begun, bytes):
                    self._answers.put_nowait(begun)
                    continue
                await self._window.acquire()
                task = asyncio.create_task(self._answer(begun))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            if self._tasks:
                await asyncio.wait(list(self._tasks))
            self._answers.put_nowait(None)

    async def _answer(self, call: Call) -> None:
        try:
            self._answers.put_nowait(await self._finish(call))
        finally:
            self._window.release()


async def _cancel_on(ended: asyncio.Event, task: "asyncio.Task[None]") -> None:
    await ended.wait()
    task.cancel()
