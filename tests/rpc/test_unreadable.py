"""Bytes that protobuf refuses."""

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from modgate.rpc.unreadable import Unreadable, parse_request
from modgate.v1 import moderation_pb2 as pb


def complete() -> pb.ModerateRequest:
    custom = struct_pb2.Struct()
    custom.update({"title": "marker", "list": [1, None, {"a": True}]})
    return pb.ModerateRequest(
        request_id="r",
        message=pb.Message(text="text marker", media=[pb.Media(id="m", data=b"\x00\x01")], custom=custom),
        sender=pb.Sender(id="sender marker", roles=["role marker"]),
        conversation=pb.Conversation(id="c", type=pb.CONVERSATION_TYPE_GROUP, receiver=pb.Receiver(id="r")),
        explain=True,
    )


def said(data: bytes) -> tuple[str, str]:
    result = parse_request(data)
    assert isinstance(result, Unreadable)
    return result.violation.field, result.violation.description


@pytest.mark.parametrize(
    ("marker", "field"),
    [
        (b"text marker", "message.text"),
        (b"sender marker", "sender.id"),
        (b"role marker", "sender.roles"),
    ],
)
def test_invalid_utf8_is_told_with_its_field_and_place(marker: bytes, field: str) -> None:
    """The field and the first bad byte are named."""
    broken = complete().SerializeToString().replace(marker, marker[:-6] + b"\xffarker")
    assert said(broken) == (field, f"not valid UTF-8 at byte {len(marker) - 6}; send UTF-8 text")


def test_invalid_utf8_deep_in_a_payload_is_found() -> None:
    """A string inside the custom payload is traced to its field."""
    field, description = said(complete().SerializeToString().replace(b"\x1a\x06marker", b"\x1a\x06\xffarker"))
    assert field.startswith("message.custom.fields")
    assert "not valid UTF-8" in description


def test_a_request_that_was_cut_names_what_is_missing() -> None:
    """A length that exceeds what arrived is told with both numbers."""
    field, description = said(pb.ModerateRequest(request_id="0123456789").SerializeToString()[:-4])
    assert (field, description) == ("request_id", "cut short: 6 of 10 bytes arrived")


def test_what_is_no_request_at_all_says_so() -> None:
    """Random bytes are not blamed on a field."""
    assert said(b"\xff" * 11)[0] == "request"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_violation(data: bytes) -> None:
    """Nothing that arrives can raise, and every refusal names something and says what to do."""
    result = parse_request(data)
    if isinstance(result, Unreadable):
        assert result.violation.field
        assert result.violation.description


@given(st.data())
def test_any_damage_to_a_request_is_a_request_or_a_violation(data: st.DataObject) -> None:
    """A few flipped, cut or inserted bytes never raise."""
    encoded = bytearray(complete().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(encoded) - 1))
        action = data.draw(st.sampled_from(("set", "cut", "insert")))
        if action == "set":
            encoded[place] = data.draw(st.integers(0, 255))
        elif action == "cut" and len(encoded) > 1:
            del encoded[place]
        else:
            encoded.insert(place, data.draw(st.integers(0, 255)))
    result = parse_request(bytes(encoded))
    if isinstance(result, Unreadable):
        assert result.violation.description
