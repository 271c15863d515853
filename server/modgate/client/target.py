"""One server as the client sees it: a channel, what its health says, and its streams."""

import asyncio
import contextlib
import random
from collections.abc import Sequence

import grpc

from modgate.client.stream import StreamPool
from modgate.v1 import moderation_pb2 as pb
from modgate.v1.moderation_pb2_grpc import ModerationServiceStub

__all__ = ["Target"]

_SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse{status: SERVING}
_FIRST_RETRY_S, _LAST_RETRY_S = 0.1, 2.0
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # A server that vanished without a word is noticed within 35 s; the server accepts a ping every 10 s.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Retries are the client's own: it knows the budget and the message id.
    ("grpc.enable_retries", 0),
)


class Target:
    """A server's channel.

    Attributes:
        address: Where.
        serving: What its health said last; None before it said anything.
        in_flight: Calls that wait for it.
    """

    def __init__(
        self,
        address: str,
        *,
        credentials: grpc.ChannelCredentials | None,
        streams: int,
        options: Sequence[tuple[str, str | int]],
    ) -> None:
        self.address = address
        self.serving: bool | None = None
        self.in_flight = 0
        merged = [*_OPTIONS, *options]
        self._channel = (
            grpc.aio.insecure_channel(address, options=merged)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options=merged)
        )
        stub = ModerationServiceStub(self._channel)
        self._unary = stub.Moderate
        self._pool = StreamPool(stub.ModerateStream, streams) if streams else None
        self._watch = asyncio.create_task(self._watch_health(), name=f"modgate health of {address}")
        self.heard = asyncio.Event()

    async def ask(self, request: pb.ModerateRequest, *, within: float, unary: bool) -> pb.ModerateResponse:
        """Ask this server, over a stream if there are any.

        Raises:
            grpc.aio.AioRpcError: If the call failed; on a stream, as if it had been a call of its own.
            TimeoutError: If no answer came on a stream in time.
        """
        self.in_flight += 1
        try:
            if self._pool is None or unary:
                return await self._unary(request, timeout=within)
            async with asyncio.timeout(within):
                return await self._pool.ask(request)
        finally:
            self.in_flight -= 1

    async def close(self) -> None:
        """End streams, the watch and the channel."""
        self._watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._watch
        if self._pool is not None:
            await self._pool.close()
        await self._channel.close()

    async def _watch_health(self) -> None:
        watch: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream(
            "/grpc.health.v1.Health/Watch"
        )
        wait = _FIRST_RETRY_S
        while True:
            try:
                async for answer in watch(b""):
                    self.serving = answer == _SERVING
                    self.heard.set()
                    wait = _FIRST_RETRY_S
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    self.serving = None  # no health service: only calls can tell
                    self.heard.set()
                    return
            self.serving = False
            self.heard.set()
            # Many clients must not come back in step.
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            wait = min(2 * wait, _LAST_RETRY_S)
