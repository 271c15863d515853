"""RuleService: rules and lists, their revisions, and trials."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import grpc
import structlog

from modgate.rpc.errors import Context, Violation, abort_for, abort_invalid
from modgate.rpc.list_upload import MAX_YAML, Uploads
from modgate.rpc.rule_messages import (
    author_of,
    entry_violations,
    name_violations,
    page_violations,
    refusals,
    to_list,
    to_rule,
)
from modgate.rpc.ruleset_source import RulesetSource
from modgate.rpc.store_errors import page_size
from modgate.rpc.translate import from_request, to_response
from modgate.rpc.trial import TRIAL_SECONDS, judge_apart
from modgate.rpc.validate import Limits, violations
from modgate.rules import Ruleset
from modgate.rules.stored import StoredRules
from modgate.v1 import moderation_pb2, rules_pb2_grpc
from modgate.v1 import rules_pb2 as pb

__all__ = ["RuleService"]

T = TypeVar("T")

_CHUNK_ENTRIES = 1_000
"""Entries of one message of GetList: at 500 characters each they stay below gRPC's usual limit of 4 MiB."""
_RESERVE_SECONDS = 0.2


class RuleService(rules_pb2_grpc.RuleServiceServicer):
    """The control plane of rules.

    Args:
        source: What is read, and written if it comes from a store.
        in_force: Returns the ruleset that messages are judged by.
        limits: Sizes of messages on trial that are accepted.
        models: What to say of the models of each detector.
        file: Where the rules come from if not from a store, for the refusal of changes.
    """

    def __init__(
        self,
        source: RulesetSource,
        in_force: Callable[[], Ruleset],
        *,
        limits: Limits,
        models: Mapping[str, Sequence[moderation_pb2.ModelVersion]],
        file: str = "",
    ) -> None:
        self._rules = source.readable
        self._stored = source.stored
        self._in_force = in_force
        self._limits = limits
        self._models = models
        self._file = file
        self._uploads = Uploads()
        self._changes: set[asyncio.Task[Any]] = set()
        self._log = structlog.get_logger("modgate.control")

    def register(self, server: grpc.aio.Server) -> None:
        """Add the service to a server."""
        rules_pb2_grpc.add_RuleServiceServicer_to_server(self, server)

    async def aclose(self) -> None:
        """Wait for changes under way: a caller that went away does not undo them."""
        if self._changes:
            await asyncio.wait(self._changes)

    # ---- Rules

    async def CreateRule(  # noqa: N802 - the contract's name
        self, request: pb.CreateRuleRequest, context: Context
    ) -> pb.CreateRuleResponse:
        """Add a rule."""
        stored, author = await self._writable(context), author_of(context)
        await _check(context, _yaml_violations("rule.yaml", request.rule.yaml))
        async with refusals(context, "rule.yaml"):
            rule = await self._change(stored.create_rule(request.rule.yaml, author))
        self._tell("rule created", rule.id, author, rule.revision)
        return pb.CreateRuleResponse(rule=to_rule(rule), ruleset_revision=self._rules.revision)

    async def GetRule(  # noqa: N802 - the contract's name
        self, request: pb.GetRuleRequest, context: Context
    ) -> pb.GetRuleResponse:
        """Return a rule."""
        await _check(context, [*name_violations("id", request.id), *_revision_violations(request.revision)])
        async with refusals(context):
            return pb.GetRuleResponse(rule=to_rule(await self._rules.rule(request.id, request.revision)))

    async def ListRules(  # noqa: N802 - the contract's name
        self, request: pb.ListRulesRequest, context: Context
    ) -> pb.ListRulesResponse:
        """Return a page of rules."""
        size = await page_size(context, request.page_size, default=100, most=1000)
        problems = list(page_violations("", request.mode))
        if request.page_token:
            problems += name_violations("page_token", request.page_token)
        await _check(context, problems)
        async with refusals(context):
            rules, token = await self._rules.rules(size, request.page_token, request.mode)
        return pb.ListRulesResponse(
            rules=map(to_rule, rules), next_page_token=token, ruleset_revision=self._rules.revision
        )

    async def UpdateRule(  # noqa: N802 - the contract's name
        self, request: pb.UpdateRuleRequest, context: Context
    ) -> pb.UpdateRuleResponse:
        """Replace a rule."""
        stored, author = await self._writable(context), author_of(context)
        asked = request.rule
        await _check(context, [*name_violations("rule.id", asked.id), *_yaml_violations("rule.yaml", asked.yaml)])
        async with refusals(context, "rule.yaml"):
            rule = await self._change(stored.update_rule(asked.id, asked.yaml, asked.etag, author))
        self._tell("rule updated", rule.id, author, rule.revision)
        return pb.UpdateRuleResponse(rule=to_rule(rule), ruleset_revision=self._rules.revision)

    async def DeleteRule(  # noqa: N802 - the contract's name
        self, request: pb.DeleteRuleRequest, context: Context
    ) -> pb.DeleteRuleResponse:
        """Remove a rule."""
        stored, author = await self._writable(context), author_of(context)
        await _check(context, name_violations("id", request.id))
        async with refusals(context, "id"):
            await self._change(stored.delete_rule(request.id, author, request.etag))
        self._tell("rule deleted", request.id, author)
        return pb.DeleteRuleResponse(ruleset_revision=self._rules.revision)

    async def ListRuleRevisions(  # noqa: N802 - the contract's name
        self, request: pb.ListRuleRevisionsRequest, context: Context
    ) -> pb.ListRuleRevisionsResponse:
        """Return a page of what a rule has been."""
        size = await page_size(context, request.page_size, default=100, most=1000)
        await _check(context, [*name_violations("id", request.id), *page_violations(request.page_token)])
        async with refusals(context):
            revisions, token = await self._rules.rule_revisions(request.id, size, request.page_token)
        return pb.ListRuleRevisionsResponse(revisions=map(to_rule, revisions), next_page_token=token)

    async def RollbackRule(  # noqa: N802 - the contract's name
        self, request: pb.RollbackRuleRequest, context: Context
    ) -> pb.RollbackRuleResponse:
        """Make an older revision the newest."""
        stored, author = await self._writable(context), author_of(context)
        problems = [*name_violations("id", request.id), *_revision_violations(request.revision)]
        if not request.revision:
            problems.append(Violation("revision", "is required"))
        await _check(context, problems)
        async with refusals(context, "revision"):
            rule = await self._change(stored.rollback_rule(request.id, request.revision, request.etag, author))
        self._tell("rule rolled back", rule.id, author, rule.revision)
        return pb.RollbackRuleResponse(rule=to_rule(rule), ruleset_revision=self._rules.revision)

    async def TestRules(  # noqa: N802 - the contract's name
        self, request: pb.TestRulesRequest, context: Context
    ) -> pb.TestRulesResponse:
        """Judge a message, and record nothing."""
        problems = [
            Violation(f"request.{field}", description)
            for field, description in violations(request.request, self._limits)
        ]
        if request.rule_id and not request.yaml:
            problems += name_violations("rule_id", request.rule_id)
        if len(request.yaml) > MAX_YAML:
            problems += _yaml_violations("yaml", request.yaml)
        await _check(context, problems)
        async with refusals(context, "yaml"):
            apart = request.rule_id or request.yaml
            ruleset = await self._rules.compile_alone(request.rule_id, request.yaml) if apart else self._in_force()
        remaining = context.time_remaining()
        seconds = TRIAL_SECONDS if remaining is None else min(TRIAL_SECONDS, max(remaining - _RESERVE_SECONDS, 0.0))
        decision = await judge_apart(ruleset, from_request(request.request), seconds)
        asked = (version for name in decision.timings for version in self._models.get(name, ()))
        models = {version.name: version for version in asked}
        response = to_response(decision, request.request.request_id, tuple(models.values()), explain=True)
        return pb.TestRulesResponse(response=response)

    # ---- Lists

    async def UploadList(  # noqa: N802 - the contract's name
        self, request_iterator: AsyncIterator[pb.UploadListRequest], context: Context
    ) -> pb.UploadListResponse:
        """Create or replace a list."""
        stored, author = await self._writable(context), author_of(context)
        upload = await self._uploads.receive(request_iterator, context)
        asked = upload.list
        async with refusals(context, "chunk"):
            item = await self._change(stored.upload_list(asked.name, asked.yaml, upload.content, asked.etag, author))
        self._tell("list uploaded", item.name, author, item.revision, entries=item.entry_count)
        return pb.UploadListResponse(list=to_list(item), ruleset_revision=self._rules.revision)

    async def UpdateListEntries(  # noqa: N802 - the contract's name
        self, request: pb.UpdateListEntriesRequest, context: Context
    ) -> pb.UpdateListEntriesResponse:
        """Add and remove single entries."""
        stored, author = await self._writable(context), author_of(context)
        await _check(context, [*name_violations("name", request.name), *entry_violations(request.add)])
        async with refusals(context, "add"):
            item = await self._change(
                stored.update_list_entries(
                    request.name, tuple(request.add), tuple(request.remove), request.etag, author
                )
            )
        self._tell("list changed", item.name, author, item.revision, entries=item.entry_count)
        return pb.UpdateListEntriesResponse(list=to_list(item), ruleset_revision=self._rules.revision)

    async def GetList(  # noqa: N802 - the contract's name
        self, request: pb.GetListRequest, context: Context
    ) -> AsyncIterator[pb.GetListResponse]:
        """Stream the entries of a list."""
        await _check(context, name_violations("name", request.name))
        async with refusals(context):
            item, entries = await self._rules.list_entries(request.name)
        yield pb.GetListResponse(list=to_list(item), entries=entries[:_CHUNK_ENTRIES])
        for start in range(_CHUNK_ENTRIES, len(entries), _CHUNK_ENTRIES):
            yield pb.GetListResponse(entries=entries[start : start + _CHUNK_ENTRIES])

    async def ListLists(  # noqa: N802 - the contract's name
        self, request: pb.ListListsRequest, context: Context
    ) -> pb.ListListsResponse:
        """Return all lists without their entries."""
        del request
        async with refusals(context):
            return pb.ListListsResponse(lists=map(to_list, await self._rules.lists()))

    async def DeleteList(  # noqa: N802 - the contract's name
        self, request: pb.DeleteListRequest, context: Context
    ) -> pb.DeleteListResponse:
        """Remove a list that no rule uses."""
        stored, author = await self._writable(context), author_of(context)
        await _check(context, name_violations("name", request.name))
        async with refusals(context, "name"):
            await self._change(stored.delete_list(request.name, request.etag))
        self._tell("list deleted", request.name, author)
        return pb.DeleteListResponse(ruleset_revision=self._rules.revision)

    # ---- What they share

    async def _writable(self, context: Context) -> StoredRules:
        if self._stored is None:
            await self._refuse_change(context)
        return self._stored

    async def _refuse_change(self, context: Context) -> NoReturn:
        message = (
            f"the rules come from {self._file}: change that file, and it is read again; or serve with --rules-store"
        )
        await abort_for(context, grpc.StatusCode.FAILED_PRECONDITION, message, "RULES_FROM_FILE", {"file": self._file})

    async def _change(self, change: Coroutine[Any, Any, T]) -> T:
        """Make a change whole, whether or not its caller stays to hear of it."""
        task = asyncio.ensure_future(change)
        self._changes.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._changes.discard(task)
        if not task.cancelled():
            task.exception()  # the caller was told, if it is still there

    def _tell(self, event: str, name: str, author: str, revision: int = 0, **more: int) -> None:
        self._log.info(event, name=name, author=author, revision=revision, ruleset=self._rules.revision, **more)


async def _check(context: Context, problems: Iterable[Violation]) -> None:
    found = list(problems)
    if found:
        await abort_invalid(context, found)


def _yaml_violations(field: str, text: str) -> list[Violation]:
    if not text.strip():
        return [Violation(field, "is required; write e.g. `id: insults` and what follows in a rule file")]
    if len(text) > MAX_YAML:
        return [Violation(field, f"has more than {MAX_YAML:,} characters; put entries into a list and upload that")]
    return []


def _revision_violations(revision: int) -> list[Violation]:
    return [Violation("revision", "must not be negative")] if revision < 0 else []
