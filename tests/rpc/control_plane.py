"""A control plane for tests: the real services over a real channel, with rules that need no model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from modgate.detectors.cheap import cheap_detectors
from modgate.gate import Gate
from modgate.rpc.rule_service import RuleService
from modgate.rpc.ruleset_source import RulesetSource
from modgate.rpc.validate import Limits
from modgate.rules import Document, Ruleset, compile_ruleset
from modgate.settings import Settings
from modgate.telemetry import Metrics
from modgate.v1 import moderation_pb2, rules_pb2_grpc

__all__ = ["BY_ANN", "ONE", "RULES", "TWO", "ControlPlane", "Refused", "request", "until"]

BY_ANN = (("x-modgate-author", "ann"),)
ONE = "id: one\nwhen: {pii: [email]}\nthen: {action: mask}\n"
TWO = "id: two\nwhen: {words: {list: bad}}\nthen: {action: block}\n"
RULES = """\
version: 1
lists: {bad: {kind: words, entries: [badword]}}
rules:
  - {id: words, when: {words: {list: bad}}, then: {action: mask}}
  - {id: flood, when: {flood: {messages: 3, within: 1m}}, then: {action: block}}
"""


def request(text: str, sender: str = "ann") -> moderation_pb2.ModerateRequest:
    """Return a message in a group."""
    return moderation_pb2.ModerateRequest(
        message=moderation_pb2.Message(text=text),
        sender=moderation_pb2.Sender(id=sender),
        conversation=moderation_pb2.Conversation(id="c", type=moderation_pb2.CONVERSATION_TYPE_GROUP),
    )


async def until(true: Callable[[], bool]) -> None:
    """Wait until something holds that nobody announces."""
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


class ControlPlane:
    """RuleService over rules in `folder`, from a file or from a store."""

    def __init__(self, folder: Path, *, stored: bool = True, rules: str = "version: 1\n") -> None:
        self.file = folder / "rules.yaml"
        self.file.write_text(rules)
        self.store = folder / "rules.db" if stored else None
        self.detectors = cheap_detectors()
        settings = Settings(rules=str(self.file), rules_store=self.store)
        self.source = RulesetSource(settings, self.build, Metrics())

    def build(self, document: Document) -> Ruleset:
        """Compile."""
        return compile_ruleset(document, self.detectors)

    async def __aenter__(self) -> Self:
        self.gate = Gate(await self.source.open())
        self.source.follow(self.gate)
        self.service = RuleService(
            self.source, lambda: self.gate.ruleset, limits=Limits(), models={}, file=str(self.file)
        )
        self.server = grpc.aio.server()
        self.service.register(self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        await self.server.start()
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")
        self.stub: Any = rules_pb2_grpc.RuleServiceStub(self.channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.channel.close()
        await self.server.stop(0)
        await self.service.aclose()
        await self.source.aclose()

    @property
    def in_force(self) -> list[str]:
        """Ids of the rules that the gate judges by."""
        return [rule.id for rule in self.gate.ruleset.rules]


class Refused:
    """How a call ended that was refused."""

    code: grpc.StatusCode
    message: str
    violations: list[tuple[str, str]]
    reason: str
    metadata: dict[str, str]

    @classmethod
    @asynccontextmanager
    async def expected(cls, code: grpc.StatusCode) -> AsyncIterator["Refused"]:
        """Catch the refusal of the call inside; fails unless it ends with `code`."""
        refused = cls()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            yield refused
        refused._read(caught.value)
        assert refused.code is code, refused.message

    def _read(self, error: grpc.aio.AioRpcError) -> None:
        self.code, self.message = error.code(), error.details() or ""
        self.violations, self.reason, self.metadata = [], "", {}
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it has what is asked of a Call
        for detail in status.details if status is not None else ():
            bad, info = error_details_pb2.BadRequest(), error_details_pb2.ErrorInfo()
            if detail.Unpack(bad):
                self.violations = [(v.field, v.description) for v in bad.field_violations]
            if detail.Unpack(info):
                self.reason, self.metadata = info.reason, dict(info.metadata)
