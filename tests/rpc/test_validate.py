"""What a request must satisfy."""

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import struct_pb2

from modgate.rpc.translate import from_request
from modgate.rpc.validate import Limits, violations
from modgate.v1 import moderation_pb2 as pb

LIMITS = Limits(text_bytes=1_000, media=2, media_bytes=10, custom_depth=3, custom_values=10)


def good() -> pb.ModerateRequest:
    return pb.ModerateRequest(
        request_id="r",
        message=pb.Message(text="hello"),
        sender=pb.Sender(id="ann"),
        conversation=pb.Conversation(type=pb.CONVERSATION_TYPE_GROUP),
    )


def nest(request: pb.ModerateRequest, depth: int) -> None:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    request.message.custom.update({"k": value})


def times(stamp: str) -> Callable[[pb.ModerateRequest], None]:
    def change(request: pb.ModerateRequest) -> None:
        target: Any = request
        for name in stamp.split("."):
            target = getattr(target, name)
        target.nanos = -1

    return change


def set_text(text: str) -> Callable[[pb.ModerateRequest], None]:
    return lambda request: setattr(request.message, "text", text)


def test_a_complete_request_is_accepted() -> None:
    """Nothing to object to: no violations."""
    assert violations(good(), LIMITS, streamed=True) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda r: r.ClearField("message"), "message"),
        (lambda r: r.ClearField("sender"), "sender.id"),
        (set_text("x" * 1_001), "message.text"),
        (set_text("é" * 501), "message.text"),
        (lambda r: setattr(r, "request_id", "x" * 129), "request_id"),
        (lambda r: setattr(r, "app_id", "x" * 129), "app_id"),
        (lambda r: setattr(r.message, "id", "x" * 129), "message.id"),
        (lambda r: setattr(r.sender, "id", "x" * 129), "sender.id"),
        (lambda r: setattr(r.sender, "name", "x" * 257), "sender.name"),
        (lambda r: setattr(r.conversation, "id", "x" * 129), "conversation.id"),
        (lambda r: setattr(r.conversation, "name", "x" * 257), "conversation.name"),
        (lambda r: setattr(r.conversation.receiver, "id", "x" * 129), "conversation.receiver.id"),
        (lambda r: setattr(r.conversation.receiver, "name", "x" * 257), "conversation.receiver.name"),
        (lambda r: r.sender.roles.extend(["x"] * 65), "sender.roles"),
        (lambda r: r.sender.tags.append("x" * 129), "sender.tags"),
        (lambda r: r.conversation.tags.extend(["x"] * 65), "conversation.tags"),
        (lambda r: r.conversation.receiver.tags.append("x" * 129), "conversation.receiver.tags"),
        (lambda r: setattr(r.conversation, "type", 99), "conversation.type"),
        (times("message.sent_at"), "message.sent_at"),
        (times("sender.created_at"), "sender.created_at"),
        (times("conversation.created_at"), "conversation.created_at"),
        (times("conversation.receiver.created_at"), "conversation.receiver.created_at"),
        (lambda r: r.message.media.extend([pb.Media(data=b"1")] * 3), "message.media"),
        (lambda r: r.message.media.append(pb.Media(data=b"1" * 11)), "message.media[0].data"),
        (lambda r: r.message.media.append(pb.Media(id="m")), "message.media[0]"),
        (lambda r: r.message.media.append(pb.Media(id="m" * 129, data=b"1")), "message.media[0].id"),
        (lambda r: nest(r, 4), "message.custom"),
        (lambda r: r.message.custom.update({str(i): 1 for i in range(11)}), "message.custom"),
    ],
)
def test_each_limit_names_its_field(change: Callable[[pb.ModerateRequest], None], field: str) -> None:
    """One thing wrong gives one violation, of that field."""
    request = good()
    change(request)
    assert [violation.field for violation in violations(request, LIMITS)] == [field]


@pytest.mark.parametrize(
    "change",
    [
        set_text("x" * 1_000),
        set_text("é" * 500),
        lambda r: setattr(r, "request_id", "x" * 128),
        lambda r: r.message.media.extend([pb.Media(data=b"1" * 10), pb.Media(uri="s3://b/o")]),
        lambda r: nest(r, 2),
        lambda r: setattr(r.sender.created_at, "seconds", 253_402_300_799),
        lambda r: setattr(r.sender.created_at, "seconds", -62_135_596_800),
    ],
)
def test_what_just_fits_is_accepted_and_can_be_translated(change: Callable[[pb.ModerateRequest], None]) -> None:
    """Limits are inclusive, and whatever passes can be read."""
    request = good()
    change(request)
    assert violations(request, LIMITS) == []
    assert from_request(request).sender.id == "ann"


def test_a_stream_needs_request_ids() -> None:
    """Without one an answer could not be paired; a unary call needs none."""
    request = good()
    request.request_id = ""
    assert violations(request, LIMITS) == []
    assert [violation.field for violation in violations(request, LIMITS, streamed=True)] == ["request_id"]


def test_a_payload_as_wide_as_it_is_deep_is_refused_quickly() -> None:
    """The check stops at the limit: it does not walk what it refuses."""
    request = good()
    wide = struct_pb2.ListValue(values=[struct_pb2.Value(number_value=1)] * 200_000)
    request.message.custom.fields["k"].list_value.CopyFrom(wide)
    assert "more than 10 values" in violations(request, LIMITS)[0].description
