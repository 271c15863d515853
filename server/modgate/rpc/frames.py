"""Several requests or answers in one message of a stream."""

from collections.abc import Sequence
from typing import TypeAlias

import grpc

from modgate.rpc.errors import Context, Violation
from modgate.rpc.unreadable import Unreadable
from modgate.v1 import moderation_pb2 as pb

__all__ = ["FramedConnection", "Incoming", "join"]

Incoming: TypeAlias = "pb.ModerateRequest | Unreadable"

_MAX_FRAME = 256
_LENGTH_DELIMITED = 2


class FramedConnection:
    """A stream's two ends. Answers are framed as soon as a frame of requests has come."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._framed = False

    async def read(self) -> Sequence[Incoming] | None:
        """Return the next request or frame of requests; None at the end."""
        request = await self._context.read()
        if request is grpc.aio.EOF:
            return None
        if isinstance(request, Unreadable) or not request.frame:
            return (request,)
        self._framed = True
        if len(request.frame) > _MAX_FRAME:
            description = f"{len(request.frame)} requests; at most {_MAX_FRAME} are accepted"
            return (Unreadable(Violation("frame", description)),)
        if len(request.ListFields()) > 1:
            return (Unreadable(Violation("frame", "nothing else may be set beside it")),)
        nested = next((i for i, inner in enumerate(request.frame) if inner.frame), None)
        if nested is not None:
            return (Unreadable(Violation(f"frame[{nested}].frame", "a frame in a frame")),)
        return tuple(request.frame)

    async def write(self, answers: Sequence[bytes]) -> None:
        """Send answers: in one frame if the caller uses frames, else one by one."""
        if self._framed:
            await self._context.write(join(answers))
        else:
            for answer in answers:
                await self._context.write(answer)


def join(answers: Sequence[bytes]) -> bytes:
    """Return an encoded ModerateResponse whose `frame` holds encoded answers, without decoding them."""
    tag = _varint(pb.ModerateResponse.FRAME_FIELD_NUMBER << 3 | _LENGTH_DELIMITED)
    parts: list[bytes] = []
    for answer in answers:
        parts += (tag, _varint(len(answer)), answer)
    return b"".join(parts)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
