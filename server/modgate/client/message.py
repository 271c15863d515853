"""Requests from the few things that most gateways know."""

from collections.abc import Iterable
from typing import Literal

from modgate.v1 import moderation_pb2 as pb

__all__ = ["request"]

_TYPES = {
    "one_to_one": pb.CONVERSATION_TYPE_ONE_TO_ONE,
    "group": pb.CONVERSATION_TYPE_GROUP,
    "room": pb.CONVERSATION_TYPE_ROOM,
}


def request(
    *,
    text: str = "",
    sender: str,
    conversation: str,
    kind: Literal["one_to_one", "group", "room"] = "group",
    app: str = "",
    message_id: str = "",
    roles: Iterable[str] = (),
    media: Iterable[tuple[str, bytes]] = (),
    explain: bool = False,
) -> pb.ModerateRequest:
    """Return a request. Everything else the contract has can be set on it.

    Args:
        text: What was typed.
        sender: Id of the user.
        conversation: Id of the conversation.
        kind: What sort of conversation it is.
        app: The tenant.
        message_id: Makes a repeated call get the same answer; the client makes one up if it is empty.
        roles: Of the sender.
        media: Attachments, each with a MIME type and the file.
        explain: Whether the answer should say why.
    """
    return pb.ModerateRequest(
        app_id=app,
        message=pb.Message(
            id=message_id,
            text=text,
            media=[pb.Media(id=str(i), mime_type=mime, data=data) for i, (mime, data) in enumerate(media)],
        ),
        sender=pb.Sender(id=sender, roles=roles),
        conversation=pb.Conversation(id=conversation, type=_TYPES[kind]),
        explain=explain,
    )
