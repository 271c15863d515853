"""What the gate judges: a message, who sent it and where, free of any transport's types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

__all__ = ["Conversation", "ConversationType", "Media", "Message", "Receiver", "Sender"]


class ConversationType(StrEnum):
    """Where a message is posted."""

    ONE_TO_ONE = "one_to_one"
    GROUP = "group"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Media:
    """One attachment: its bytes as the sender uploaded them, or where to find them, and the type that is claimed."""

    id: str
    mime_type: str
    data: bytes
    uri: str = ""


@dataclass(frozen=True, slots=True)
class Sender:
    """The user who posts."""

    id: str
    name: str = ""
    roles: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Receiver:
    """The user at the other end of a one-to-one conversation."""

    id: str
    name: str = ""
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """The place that receives the message."""

    id: str
    type: ConversationType | None = None
    name: str = ""
    tags: tuple[str, ...] = ()
    created_at: datetime | None = None
    receiver: Receiver | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it arrived, with sender and conversation attached."""

    id: str
    text: str
    sender: Sender
    conversation: Conversation
    app_id: str = ""
    sent_at: datetime | None = None
    media: tuple[Media, ...] = ()
    custom: Mapping[str, object] = field(default_factory=dict)
