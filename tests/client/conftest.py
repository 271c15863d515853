"""Servers for the client's tests: the real service with word rules, in this process, and one that misbehaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message as Protobuf

from modgate.rpc.serve import serve
from modgate.settings import load_settings
from modgate.v1 import moderation_pb2 as pb

RULES = """
version: 1
lists:
  mild: {kind: words, entries: [darn]}
  bad: {kind: words, entries: [heck]}
rules:
  - {id: mask, when: {words: {list: mild}}, then: {action: mask}}
  - {id: block, when: {words: {list: bad}}, then: {action: block}}
"""


@dataclass(slots=True)
class Gate:
    """A gate that runs in this process until it is told to stop."""

    address: str
    stop: Callable[[], Awaitable[None]]


@pytest.fixture
async def start_gate(tmp_path: Any) -> AsyncIterator[Callable[..., Awaitable[Gate]]]:
    rules = tmp_path / "rules.yaml"
    rules.write_text(RULES)
    running: list[Gate] = []

    async def start(name: str = "gate") -> Gate:
        address = f"unix:{tmp_path}/{name}.sock"
        settings = load_settings(None, {
            "listen": (address,), "rules": str(rules), "drain_seconds": 0.2,
        }).model_copy(update={"control_listen": "", "metrics_listen": "", "storage": None})  # fmt: skip
        settings = settings.model_copy(
            update={"models": settings.models.model_copy(update={"text": None, "images": ()})}
        )
        ready, ending = asyncio.Event(), asyncio.Event()

        async def until() -> str:
            ready.set()
            await ending.wait()
            return "test"

        task = asyncio.create_task(serve(settings, until))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()

        async def stop() -> None:
            ending.set()
            await task

        gate = Gate(address, stop)
        running.append(gate)
        return gate

    yield start
    for gate in running:
        await gate.stop()


@dataclass(slots=True)
class Script:
    """A server whose answers a test writes.

    Attributes:
        asked: Requests that arrived, in order.
        answer: Makes the answer, or misbehaves.
    """

    address: str = ""
    asked: list[pb.ModerateRequest] = field(default_factory=list)
    answer: Callable[[pb.ModerateRequest, Any], Awaitable[Protobuf]] | None = None


@pytest.fixture
async def scripted(tmp_path: Any) -> AsyncIterator[Script]:
    """A server without a health service that does what the test says."""
    script = Script(f"unix:{tmp_path}/scripted.sock")

    async def moderate(request: pb.ModerateRequest, context: Any) -> Protobuf:
        script.asked.append(request)
        assert script.answer is not None
        return await script.answer(request, context)

    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        moderate, pb.ModerateRequest.FromString, pb.ModerateResponse.SerializeToString
    )
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("modgate.v1.ModerationService", {"Moderate": handler}),
    ))  # fmt: skip
    server.add_insecure_port(script.address)
    await server.start()
    yield script
    await server.stop(0)
