"""Long streams shared by many messages: in frames, one ModerateStream carries several times what unary calls do."""

import asyncio
import contextlib
import itertools

import grpc

from modgate.v1 import moderation_pb2 as pb

__all__ = ["StreamPool"]

_FRAME = 64  # of the 256 that a server takes: large enough to share the cost, small enough to stay prompt
_Calls = grpc.aio.StreamStreamMultiCallable[pb.ModerateRequest, pb.ModerateResponse]
_Call = grpc.aio.StreamStreamCall[pb.ModerateRequest, pb.ModerateResponse]


class StreamPool:
    """A fixed number of streams, each opened when it is first needed and again after it broke."""

    def __init__(self, open_call: _Calls, size: int) -> None:
        self._open_call = open_call
        self._streams: list[_Stream | None] = [None] * size
        self._turn = itertools.count()

    async def ask(self, request: pb.ModerateRequest) -> pb.ModerateResponse:
        """Send one request over the next stream and return its answer, in whatever order answers come.

        Raises:
            grpc.aio.AioRpcError: If the stream ended before the answer came.
        """
        place = next(self._turn) % len(self._streams)
        stream = self._streams[place]
        if stream is None or stream.ended:
            stream = self._streams[place] = _Stream(self._open_call())
        return await stream.ask(request)

    async def close(self) -> None:
        """End all streams; answers that are still out are lost."""
        for stream in self._streams:
            if stream is not None:
                await stream.close()


class _Stream:
    def __init__(self, call: _Call) -> None:
        self._call = call
        self._serial = itertools.count()
        self._waiting: dict[str, asyncio.Future[pb.ModerateResponse]] = {}
        self._out: asyncio.Queue[pb.ModerateRequest] = asyncio.Queue()
        self.ended = False
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def ask(self, request: pb.ModerateRequest) -> pb.ModerateResponse:
        # Callers choose their own request ids, which may repeat; on the wire they must not.
        own = request.request_id
        sent = pb.ModerateRequest()
        sent.CopyFrom(request)
        sent.request_id = key = f"{next(self._serial):x}"
        answered: asyncio.Future[pb.ModerateResponse] = asyncio.get_running_loop().create_future()
        self._waiting[key] = answered
        self._out.put_nowait(sent)
        try:
            response = await answered
        finally:
            self._waiting.pop(key, None)
        response.request_id = own
        return response

    async def close(self) -> None:
        self._call.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)

    async def _write(self) -> None:
        # One writer: gRPC takes one message of a stream at a time. What came meanwhile shares a frame.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, grpc.aio.UsageError):
            while True:
                waiting = [await self._out.get()]
                while len(waiting) < _FRAME and not self._out.empty():
                    waiting.append(self._out.get_nowait())
                # Those whose caller has gone are not sent at all.
                wanted = [request for request in waiting if request.request_id in self._waiting]
                if wanted:
                    await self._call.write(pb.ModerateRequest(frame=wanted))

    async def _read(self) -> None:
        error: Exception | None = None
        try:
            async for message in self._call:
                for response in message.frame:
                    answered = self._waiting.get(response.request_id)
                    if answered is not None and not answered.done():
                        answered.set_result(response)
        except grpc.aio.AioRpcError as broken:
            error = broken
        finally:
            self.ended = True
            self._tasks[0].cancel()
            for answered in self._waiting.values():
                if not answered.done():
                    answered.set_exception(error or _ended())


def _ended() -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "the server ended the stream"
    )
