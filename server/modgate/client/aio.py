"""The asynchronous client: one budget for everything, and an answer whatever happens."""

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Self

import grpc

from modgate.client.answer import Answer, Fallbacks, RequestRefusedError, Source, reason_of
from modgate.client.target import Target
from modgate.v1 import moderation_pb2 as pb

__all__ = ["AsyncModerator"]

_REFUSALS = frozenset({
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
})  # fmt: skip
_LEAST_S = 0.002  # less than this is not worth another try
_NO_SERVER = "no server is reachable and serving"


class AsyncModerator:
    """Asks one or several gates. Make it inside a running event loop, as an asynchronous context.

    Every `ask` returns within the budget, whatever the servers do. A call that was lost with its connection is
    repeated once with the same message id, which the server answers without counting it twice. Servers whose health
    says NOT_SERVING, or that cannot be reached, are not waited for: they are tried again in the background.
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
        """Describe the client; the context opens it.

        Args:
            address: `host:port` or `unix:path`, or several of them that can stand in for each other.
            budget: Seconds within which `ask` returns.
            fallbacks: What stands in for a missing answer; SEND by default.
            streams: ModerateStreams to each server, shared by all calls; 0 for a call of its own for each message.
            credentials: For TLS.
            options: More channel options.
        """
        self._addresses = [address] if isinstance(address, str) else list(address)
        self._budget = budget
        self._fallbacks = fallbacks or Fallbacks()
        self._streams = streams
        self._credentials = credentials
        self._options = options
        self._targets: list[Target] = []
        self._turn = 0
        self.own_answers: Counter[str] = Counter()
        """How often the client had to answer itself, by reason."""

    @property
    def serving(self) -> bool:
        """Whether some server says that it serves, or has not said anything yet."""
        return any(target.serving is not False for target in self._targets)

    async def __aenter__(self) -> Self:
        self._targets = [
            Target(address, credentials=self._credentials, streams=self._streams, options=self._options)
            for address in self._addresses
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        targets, self._targets = self._targets, []
        await asyncio.gather(*(target.close() for target in targets))

    async def wait_until_serving(self, timeout: float) -> bool:  # noqa: ASYNC109 - a bound, not a cancellation
        """Wait until a server says that it serves, and return whether one does."""
        until = time.monotonic() + timeout
        while not any(target.serving for target in self._targets):
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(0.01)
        return True

    async def ask(self, request: pb.ModerateRequest, *, budget: float | None = None) -> Answer:
        """Return the answer to one message within the budget.

        Args:
            request: Its message gets an id if it has none.
            budget: Seconds for this message, instead of the client's own.

        Raises:
            RequestRefusedError: If the request cannot be judged at all, by any server, however often.
        """
        if not self._targets:
            raise RuntimeError("use `async with AsyncModerator(...)`: the client is not open")
        if not request.message.id:
            request.message.id = uuid.uuid4().hex
        until = time.monotonic() + (self._budget if budget is None else budget)
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + until - time.monotonic()):
                return await self._try(request, until)
        except TimeoutError:
            return self._own(request, pb.FALLBACK_REASON_TIMEOUT, "no answer within the budget")

    async def _try(self, request: pb.ModerateRequest, until: float) -> Answer:
        tried: list[Target] = []
        failure: tuple[pb.FallbackReason.ValueType, str] = (pb.FALLBACK_REASON_ERROR, _NO_SERVER)
        # Twice: a stream that broke, or a server that went away, must not cost an answer that there is time for.
        for attempt in range(2):
            left = until - time.monotonic()
            target = await self._choose(tried)
            if target is None or left < _LEAST_S:
                break
            tried.append(target)
            try:
                response = await target.ask(request, within=left, unary=attempt > 0)
            except grpc.aio.AioRpcError as error:
                code, details = error.code(), error.details() or ""
                # A stream ends for everybody on it when one request is refused: only a call of its own tells whose.
                own_fault = code in _REFUSALS and (attempt > 0 or not self._streams)
                if own_fault:
                    raise RequestRefusedError(code, details) from error
                failure = (reason_of(code), f"{code.name}: {details}")
                if code not in _REFUSALS and code is not grpc.StatusCode.UNAVAILABLE:
                    break
            else:
                return Answer(response, Source.SERVER, request.message.text)
        return self._own(request, *failure)

    async def _choose(self, tried: Sequence[Target]) -> Target | None:
        """Return the server to ask: one that serves, the least busy first, another than before if there is one."""
        for target in self._targets:
            if target.serving is None:
                # Just opened: what its health says comes within a round trip, or the budget ends the wait.
                await target.heard.wait()
        able = [target for target in self._targets if target.serving is not False]
        if not able:
            return None
        self._turn += 1
        turn = self._turn
        order = sorted(range(len(able)), key=lambda i: (able[i] in tried, able[i].in_flight, (i + turn) % len(able)))
        return able[order[0]]

    def _own(self, request: pb.ModerateRequest, reason: "pb.FallbackReason.ValueType", cause: str) -> Answer:
        self.own_answers[pb.FallbackReason.Name(reason).removeprefix("FALLBACK_REASON_")] += 1
        return self._fallbacks.answer(request, reason, cause)
