"""What a request must satisfy before it is judged. The limits are published in docs/limits.md."""

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf import struct_pb2, timestamp_pb2

from modgate.rpc.errors import Violation
from modgate.v1 import moderation_pb2 as pb

__all__ = ["Limits", "violations"]

_ID_BYTES = 128
_NAME_BYTES = 256
_TAGS = 64
_CONVERSATION_TYPES = frozenset(pb.ConversationType.values())
_MIN_SECONDS, _MAX_SECONDS = -62_135_596_800, 253_402_300_799  # years 1 to 9999
_NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes of a request that are accepted."""

    text_bytes: int = 65_536
    media: int = 10
    media_bytes: int = 8 * 1024 * 1024
    custom_depth: int = 32
    custom_values: int = 4_096


def violations(request: pb.ModerateRequest, limits: Limits, *, streamed: bool = False) -> list[Violation]:
    """Return everything that keeps a request from being judged; empty if nothing does."""
    found: list[Violation] = []
    if streamed and not request.request_id:
        found.append(Violation("request_id", "required on a stream: it pairs the answer with the request"))
    if not request.HasField("message"):
        found.append(Violation("message", "required: there is nothing to judge"))
    if not request.sender.id:
        found.append(Violation("sender.id", "required: rules, violations and sanctions are by sender"))
    message, sender, conversation = request.message, request.sender, request.conversation
    # No string is longer than the whole: the usual chat line needs no closer look. (ByteSize encodes the request,
    # which would cost more than it saves if there is a picture in it.)
    if message.media or request.ByteSize() > _ID_BYTES:
        found += _lengths(request, limits)
        found += _lists(request)
    if conversation.type not in _CONVERSATION_TYPES:
        found.append(Violation("conversation.type", f"{conversation.type} is not a ConversationType"))
    if (
        message.HasField("sent_at")
        or sender.HasField("created_at")
        or conversation.HasField("created_at")
        or conversation.HasField("receiver")
    ):
        found += _times(request)
    if message.media:
        found += _media(message, limits)
    if message.HasField("custom"):
        found += _custom(message.custom, limits)
    return found


def _lengths(request: pb.ModerateRequest, limits: Limits) -> Iterator[Violation]:
    message, sender, conversation = request.message, request.sender, request.conversation
    for field, value, limit in (
        ("request_id", request.request_id, _ID_BYTES),
        ("app_id", request.app_id, _ID_BYTES),
        ("message.id", message.id, _ID_BYTES),
        ("sender.id", sender.id, _ID_BYTES),
        ("sender.name", sender.name, _NAME_BYTES),
        ("conversation.id", conversation.id, _ID_BYTES),
        ("conversation.name", conversation.name, _NAME_BYTES),
        ("conversation.receiver.id", conversation.receiver.id, _ID_BYTES),
        ("conversation.receiver.name", conversation.receiver.name, _NAME_BYTES),
        ("message.text", message.text, limits.text_bytes),
    ):
        # A code point is at most four bytes; only strings that could be too long are encoded to see.
        if len(value) * 4 > limit and (size := len(value.encode())) > limit:
            yield Violation(field, f"{size} bytes; at most {limit} are accepted")
    for i, item in enumerate(message.media):
        if len(item.id.encode()) > _ID_BYTES:
            yield Violation(f"message.media[{i}].id", f"longer than {_ID_BYTES} bytes")


def _lists(request: pb.ModerateRequest) -> Iterator[Violation]:
    for field, values in (
        ("sender.roles", request.sender.roles),
        ("sender.tags", request.sender.tags),
        ("conversation.tags", request.conversation.tags),
        ("conversation.receiver.tags", request.conversation.receiver.tags),
    ):
        if len(values) > _TAGS:
            yield Violation(field, f"{len(values)} entries; at most {_TAGS} are accepted")
        elif values and max(map(len, values)) > _ID_BYTES:
            yield Violation(field, f"an entry is longer than {_ID_BYTES} characters")


def _times(request: pb.ModerateRequest) -> Iterator[Violation]:
    stamps: list[tuple[str, bool, timestamp_pb2.Timestamp]] = [
        ("message.sent_at", request.message.HasField("sent_at"), request.message.sent_at),
        ("sender.created_at", request.sender.HasField("created_at"), request.sender.created_at),
        ("conversation.created_at", request.conversation.HasField("created_at"), request.conversation.created_at),
        (
            "conversation.receiver.created_at",
            request.conversation.receiver.HasField("created_at"),
            request.conversation.receiver.created_at,
        ),
    ]
    for field, present, stamp in stamps:
        if present and not (_MIN_SECONDS <= stamp.seconds <= _MAX_SECONDS and 0 <= stamp.nanos < _NANOS):
            yield Violation(field, "not a time between the years 1 and 9999")


def _media(message: pb.Message, limits: Limits) -> Iterator[Violation]:
    if len(message.media) > limits.media:
        yield Violation("message.media", f"{len(message.media)} items; at most {limits.media} are accepted")
    for i, item in enumerate(message.media):
        if len(item.data) > limits.media_bytes:
            yield Violation(
                f"message.media[{i}].data", f"{len(item.data)} bytes; at most {limits.media_bytes} are accepted"
            )
        if not item.data and not item.uri:
            yield Violation(f"message.media[{i}]", "has neither data nor uri")


def _custom(custom: struct_pb2.Struct, limits: Limits) -> Iterator[Violation]:
    # Breadth first and bounded, without recursion: the payload is the sender's.
    level = list(custom.fields.values())
    count = depth = 0
    while level:
        depth += 1
        count += len(level)
        if depth > limits.custom_depth:
            yield Violation("message.custom", f"nested deeper than {limits.custom_depth} levels; flatten it")
            return
        if count > limits.custom_values:
            yield Violation("message.custom", f"more than {limits.custom_values} values; send less")
            return
        below: list[struct_pb2.Value] = []
        for value in level:
            kind = value.WhichOneof("kind")
            if kind == "struct_value":
                below += value.struct_value.fields.values()
            elif kind == "list_value":
                below += value.list_value.values
        level = below
