"""A client that always has an answer in time: the server's verdict, or a fallback of its own, marked as such.

    async with AsyncModerator("127.0.0.1:50051") as moderator:
        answer = await moderator.ask(request(text="hello", sender="u1", conversation="room1"))
        if answer.deliver:
            send(answer.text)

Needs grpcio and protobuf only. The same contract for other languages: docs/clients.md.
"""

from modgate.client.aio import AsyncModerator
from modgate.client.answer import Answer, Fallbacks, RequestRefusedError, Source
from modgate.client.message import request
from modgate.client.sync import Moderator

__all__ = ["Answer", "AsyncModerator", "Fallbacks", "Moderator", "RequestRefusedError", "Source", "request"]
