"""Frames of ModerateStream: several encoded requests or answers in one message, without a protobuf library's help."""

from collections.abc import Sequence

__all__ = ["frame", "unframe"]

_REQUEST, _ANSWER = b"\x3a", b"\x8a\x01"  # fields 7 of ModerateRequest and 17 of ModerateResponse, length-delimited


def frame(messages: Sequence[bytes]) -> bytes:
    """Return one request that carries several."""
    parts: list[bytes] = []
    for message in messages:
        parts += (_REQUEST, _varint(len(message)), message)
    return b"".join(parts)


def unframe(payload: bytes) -> list[bytes]:
    """Return the answers in a message of the stream, one or several. An echoed frame of requests is taken as well."""
    tag = _ANSWER if payload.startswith(_ANSWER) else _REQUEST
    if not payload.startswith(tag):
        return [payload]
    inner, place = [], 0
    while place < len(payload):
        place += len(tag)
        size = shift = 0
        while True:
            byte = payload[place]
            place += 1
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        inner.append(payload[place : place + size])
        place += size
    return inner


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
