"""Requests that protobuf refuses to parse: told apart, with the field that is to blame."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError

from modgate.rpc.errors import Violation
from modgate.v1 import moderation_pb2

__all__ = ["Unreadable", "diagnose", "parse_request"]

_MAX_DEPTH = 100  # protobuf's own limit
_VARINT, _I64, _LEN, _SGROUP, _EGROUP, _I32 = range(6)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a request that could not be parsed."""

    violation: Violation


def parse_request(data: bytes) -> "moderation_pb2.ModerateRequest | Unreadable":
    """Return the request, or what is wrong with it."""
    try:
        return moderation_pb2.ModerateRequest.FromString(data)
    except DecodeError:
        return Unreadable(diagnose(data, moderation_pb2.ModerateRequest.DESCRIPTOR))


def diagnose(data: bytes, descriptor: Descriptor) -> Violation:
    """Return the first field of an encoded message that cannot be read. For the error path only: it is slow."""
    try:
        problem = next(_problems(data, descriptor, ""), None)
    except (IndexError, ValueError):
        problem = None
    return problem or Violation("request", "the bytes are not an encoded modgate.v1.ModerateRequest")


def _problems(data: bytes, descriptor: Descriptor, path: str) -> Iterator[Violation]:
    # An explicit stack: the depth that this must diagnose would exhaust Python's own.
    stack = [(data, descriptor, path, 0)]
    while stack:
        body, kind, prefix, depth = stack.pop()
        for field, payload in _fields(body, kind, prefix):
            name = f"{prefix}.{field.name}" if prefix else field.name
            if isinstance(payload, Violation):
                yield payload
                return
            if field.type == FieldDescriptor.TYPE_STRING:
                try:
                    payload.decode("utf-8")
                except UnicodeDecodeError as error:
                    yield Violation(name, f"not valid UTF-8 at byte {error.start}; send UTF-8 text")
                    return
            elif field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type is not None:
                if depth + 1 >= _MAX_DEPTH:
                    shown = ".".join(name.split(".")[:4])
                    yield Violation(shown, f"nested deeper than {_MAX_DEPTH} levels; flatten it")
                    return
                stack.append((payload, field.message_type, name, depth + 1))


def _fields(data: bytes, descriptor: Descriptor, path: str) -> Iterator[tuple[FieldDescriptor, "bytes | Violation"]]:
    position = 0
    anchor = next(iter(descriptor.fields))
    while position < len(data):
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        field = descriptor.fields_by_number.get(number)
        name = f"{path}.{field.name}" if field and path else field.name if field else path or "request"
        if wire == _VARINT:
            _, position = _varint(data, position)
        elif wire in {_I64, _I32}:
            position += 8 if wire == _I64 else 4
        elif wire == _LEN:
            size, position = _varint(data, position)
            payload = data[position : position + size]
            position += size
            if len(payload) < size:
                yield field or anchor, Violation(name, f"cut short: {len(payload)} of {size} bytes arrived")
                return
            if field is not None:
                yield field, payload
        else:
            yield field or anchor, Violation(name, f"wire type {wire} is not used by this API")
            return


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
        if shift > 63:  # noqa: PLR2004 - a varint holds 64 bits
            raise ValueError("varint too long")
