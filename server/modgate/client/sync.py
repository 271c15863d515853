"""The client for threads: the asynchronous one on an event loop of its own."""

import asyncio
import threading
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any, Self, TypeVar

import grpc

from modgate.client.aio import AsyncModerator
from modgate.client.answer import Answer, Fallbacks
from modgate.v1 import moderation_pb2 as pb

__all__ = ["Moderator"]

_T = TypeVar("_T")


class Moderator:
    """Asks one or several gates from any number of threads. Behaves as `AsyncModerator` does.

    Not for use across `fork`: make it in the process that asks.
    """

    def __init__(
        self,
        address: str | Sequence[str] = "127.0.0.1:50051",
        *,
        budget: float = 0.2,
        fallbacks: Fallbacks | None = None,
        streams: int = 0,
        credentials: grpc.ChannelCredentials | None = None,
        options: Sequence[tuple[str, str | int]] = (),
    ) -> None:
        """Describe the client; the context opens it. The arguments are those of `AsyncModerator`."""
        self._inner = AsyncModerator(
            address, budget=budget, fallbacks=fallbacks, streams=streams, credentials=credentials, options=options
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def own_answers(self) -> Counter[str]:
        """How often the client had to answer itself, by reason."""
        return self._inner.own_answers

    @property
    def serving(self) -> bool:
        """Whether some server says that it serves, or has not said anything yet."""
        return self._inner.serving

    def __enter__(self) -> Self:
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="modgate-client", daemon=True)
        self._thread.start()
        self._run(self._inner.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._inner.__aexit__())
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def wait_until_serving(self, timeout: float) -> bool:
        """Wait until a server says that it serves, and return whether one does."""
        return self._run(self._inner.wait_until_serving(timeout))

    def ask(self, request: pb.ModerateRequest, *, budget: float | None = None) -> Answer:
        """Return the answer to one message within the budget.

        Args:
            request: Its message gets an id if it has none.
            budget: Seconds for this message, instead of the client's own.

        Raises:
            RequestRefusedError: If the request cannot be judged at all.
        """
        return self._run(self._inner.ask(request, budget=budget))

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        if self._loop is None:
            work.close()
            raise RuntimeError("use `with Moderator(...)`: the client is not open")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
