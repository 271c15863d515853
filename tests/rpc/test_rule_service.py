"""RuleService over a real channel and a real store: rules."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.rpc.control_plane import BY_ANN, ONE, RULES, TWO, ControlPlane, Refused

from modgate.v1 import rules_pb2 as pb


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(tmp_path) as plane:
        yield plane


async def create(plane: ControlPlane, yaml: str = ONE, **metadata: Any) -> pb.CreateRuleResponse:
    request = pb.CreateRuleRequest(rule=pb.Rule(yaml=yaml))
    response: pb.CreateRuleResponse = await plane.stub.CreateRule(request, **metadata)
    return response


async def test_a_created_rule_is_in_force_when_the_call_returns(plane: ControlPlane) -> None:
    """The answer names the ruleset that the next message is judged by."""
    created = await create(plane, metadata=BY_ANN)
    rule = created.rule
    assert (rule.id, rule.revision, rule.author, rule.mode, rule.yaml) == ("one", 1, "ann", "live", ONE)
    assert rule.HasField("changed_at")
    assert plane.in_force == ["one"]
    assert created.ruleset_revision == plane.gate.ruleset.revision
    assert (await plane.stub.GetRule(pb.GetRuleRequest(id="one"))).rule == rule


@pytest.mark.parametrize(
    ("metadata", "author"),
    [
        ((), "unknown"),
        ((("x-modgate-author", "  "),), "unknown"),
        ((("modgate-moderator", "mo"),), "mo"),
        ((("x-modgate-author", "a" * 500),), "a" * 200),
    ],
)
async def test_the_author_is_who_the_caller_says_within_bounds(
    plane: ControlPlane, metadata: tuple[tuple[str, str], ...], author: str
) -> None:
    """Silence is `unknown`; endless names are cut."""
    assert (await create(plane, metadata=metadata)).rule.author == author


async def test_every_problem_of_a_rule_is_a_field_violation(plane: ControlPlane) -> None:
    """Line, cause and a corrected example of each; nothing changes in force."""
    before = plane.gate.ruleset
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await create(plane, "id: one\nwhen: {pii: [emial]}\nthen: {action: blok}\nmodee: live\n")
    assert [field for field, _ in refused.violations] == ["rule.yaml.then.action", "rule.yaml.modee"]
    assert refused.violations[0][1].startswith('line 3, column 8: "blok" is not an action')
    assert "did you mean mode?" in refused.violations[1][1]
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await create(plane, TWO)
    assert refused.violations == [
        ("rule.yaml.when.words.list", 'line 2, column 16: there is no list "bad"; there are none')
    ]
    assert plane.gate.ruleset is before


async def test_countless_problems_fit_the_metadata(plane: ControlPlane) -> None:
    """The first problems are told and the number of the others; the status still arrives."""
    leaves = "\n".join(f"    - {{words: {{liste: {'ж' * 300}{i}}}}}" for i in range(200))
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await create(plane, f"id: x\nwhen:\n  any:\n{leaves}\nthen: {{action: mask}}\n")
    assert refused.violations[-1][1].endswith("more")
    assert len(refused.violations) > 5


async def test_creating_twice_already_exists(plane: ControlPlane) -> None:
    """An id is taken once."""
    await create(plane)
    async with Refused.expected(grpc.StatusCode.ALREADY_EXISTS) as refused:
        await create(plane)
    assert "update it instead" in refused.message


async def test_of_two_updates_one_wins_and_the_other_gets_the_etag(plane: ControlPlane) -> None:
    """The loser reads the current etag in the error's details, and succeeds with it."""
    first = (await create(plane)).rule

    async def update(action: str, etag: str) -> pb.Rule:
        rule = pb.Rule(id="one", yaml=ONE.replace("mask", action), etag=etag)
        updated: pb.UpdateRuleResponse = await plane.stub.UpdateRule(pb.UpdateRuleRequest(rule=rule))
        return updated.rule

    updates = [update(action, first.etag) for action in ("block", "replace")]
    results = await asyncio.gather(*updates, return_exceptions=True)
    won = [result for result in results if isinstance(result, pb.Rule)]
    lost = [result for result in results if isinstance(result, grpc.aio.AioRpcError)]
    assert (len(won), len(lost)) == (1, 1)
    async with Refused.expected(grpc.StatusCode.ABORTED) as refused:
        raise lost[0]
    assert (refused.reason, refused.metadata) == ("ETAG_MISMATCH", {"etag": won[0].etag})
    assert (await update("allow", refused.metadata["etag"])).revision == 3


async def test_an_update_without_an_etag_is_refused(plane: ControlPlane) -> None:
    """Nobody overwrites what they have not read."""
    await create(plane)
    async with Refused.expected(grpc.StatusCode.ABORTED):
        await plane.stub.UpdateRule(pb.UpdateRuleRequest(rule=pb.Rule(id="one", yaml=ONE)))


async def test_revisions_tell_who_did_what_and_can_be_gone_back_to(plane: ControlPlane) -> None:
    """Newest first, in pages, deletions included; a rollback is a revision of its own."""
    etag = (await create(plane, metadata=BY_ANN)).rule.etag
    block = pb.Rule(id="one", yaml=ONE.replace("mask", "block"), etag=etag)
    etag = (await plane.stub.UpdateRule(pb.UpdateRuleRequest(rule=block))).rule.etag
    back = await plane.stub.RollbackRule(pb.RollbackRuleRequest(id="one", revision=1, etag=etag), metadata=BY_ANN)
    assert (back.rule.revision, back.rule.yaml, back.rule.author) == (3, ONE, "ann")
    assert back.ruleset_revision == plane.gate.ruleset.revision
    gone = await plane.stub.DeleteRule(pb.DeleteRuleRequest(id="one", etag=back.rule.etag))
    assert plane.in_force == []
    assert gone.ruleset_revision == plane.gate.ruleset.revision
    first = await plane.stub.ListRuleRevisions(pb.ListRuleRevisionsRequest(id="one", page_size=3))
    rest = await plane.stub.ListRuleRevisions(
        pb.ListRuleRevisionsRequest(id="one", page_size=3, page_token=first.next_page_token)
    )
    told = [(r.revision, r.author, r.deleted) for r in [*first.revisions, *rest.revisions]]
    assert told == [(4, "unknown", True), (3, "ann", False), (2, "unknown", False), (1, "ann", False)]
    assert rest.next_page_token == ""
    assert (await plane.stub.GetRule(pb.GetRuleRequest(id="one", revision=2))).rule.yaml == block.yaml


async def test_rules_are_listed_in_pages_and_by_mode(plane: ControlPlane) -> None:
    """Pages follow one another by id; a mode filters."""
    for number in range(5):
        mode = "shadow" if number % 2 else "live"
        await create(plane, ONE.replace("id: one", f"id: r{number}\nmode: {mode}"))
    found: list[str] = []
    token = ""
    while True:
        page = await plane.stub.ListRules(pb.ListRulesRequest(page_size=2, page_token=token))
        found += [rule.id for rule in page.rules]
        token = page.next_page_token
        if not token:
            break
    assert found == ["r0", "r1", "r2", "r3", "r4"]
    shadow = await plane.stub.ListRules(pb.ListRulesRequest(mode="shadow"))
    assert [rule.id for rule in shadow.rules] == ["r1", "r3"]
    assert shadow.ruleset_revision == plane.gate.ruleset.revision


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("GetRule", pb.GetRuleRequest(), "id"),
        ("GetRule", pb.GetRuleRequest(id="a b"), "id"),
        ("GetRule", pb.GetRuleRequest(id="a" * 10_000), "id"),
        ("GetRule", pb.GetRuleRequest(id="a", revision=-1), "revision"),
        ("ListRules", pb.ListRulesRequest(mode="dead"), "mode"),
        ("ListRules", pb.ListRulesRequest(page_size=-1), "page_size"),
        ("ListRules", pb.ListRulesRequest(page_token="?"), "page_token"),  # noqa: S106 - no password
        ("ListRuleRevisions", pb.ListRuleRevisionsRequest(id="a", page_token="x"), "page_token"),  # noqa: S106 - nor this
        ("ListRuleRevisions", pb.ListRuleRevisionsRequest(id="a", page_token="9" * 30), "page_token"),
        ("CreateRule", pb.CreateRuleRequest(), "rule.yaml"),
        ("CreateRule", pb.CreateRuleRequest(rule=pb.Rule(yaml="#" * 300_000)), "rule.yaml"),
        ("UpdateRule", pb.UpdateRuleRequest(rule=pb.Rule(yaml=ONE)), "rule.id"),
        ("RollbackRule", pb.RollbackRuleRequest(id="one"), "revision"),
        ("TestRules", pb.TestRulesRequest(), "request.message"),
        ("UpdateListEntries", pb.UpdateListEntriesRequest(name="l", add=["x" * 501]), "add[0]"),
        ("UpdateListEntries", pb.UpdateListEntriesRequest(name="l", add=["ok", "a\nb"]), "add[1]"),
        ("DeleteList", pb.DeleteListRequest(), "name"),
    ],
)
async def test_requests_that_make_no_sense_name_the_field(
    plane: ControlPlane, method: str, request_: Any, field: str
) -> None:
    """INVALID_ARGUMENT points at the field, whatever is sent."""
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await getattr(plane.stub, method)(request_)
    assert field in [name for name, _ in refused.violations]


async def test_what_is_not_there_is_not_found(plane: ControlPlane) -> None:
    """Reading, changing and trying a rule that does not exist says so."""
    calls = [
        plane.stub.GetRule(pb.GetRuleRequest(id="none")),
        plane.stub.UpdateRule(pb.UpdateRuleRequest(rule=pb.Rule(id="one", yaml=ONE, etag="x"))),
        plane.stub.DeleteRule(pb.DeleteRuleRequest(id="none")),
        plane.stub.ListRuleRevisions(pb.ListRuleRevisionsRequest(id="none")),
        plane.stub.RollbackRule(pb.RollbackRuleRequest(id="none", revision=1)),
        plane.stub.DeleteList(pb.DeleteListRequest(name="none")),
        plane.stub.UpdateListEntries(pb.UpdateListEntriesRequest(name="none", add=["x"])),
    ]
    for call in calls:
        async with Refused.expected(grpc.StatusCode.NOT_FOUND):
            await call


async def test_a_change_is_made_whole_though_its_caller_left(plane: ControlPlane) -> None:
    """Cancelled calls never leave the gate with other rules than the store."""
    for number in range(8):
        call = plane.stub.CreateRule(pb.CreateRuleRequest(rule=pb.Rule(yaml=ONE.replace("one", f"r{number}"))))
        await asyncio.sleep(0.002 * number)
        call.cancel()
    await asyncio.sleep(0.05)
    await plane.service.aclose()
    rules = await plane.stub.ListRules(pb.ListRulesRequest())
    assert plane.in_force == [rule.id for rule in rules.rules]
    assert plane.gate.ruleset.revision == rules.ruleset_revision


async def test_the_first_start_fills_the_store_from_the_file(tmp_path: Path) -> None:
    """Later starts read the store alone."""
    async with ControlPlane(tmp_path, rules=RULES) as plane:
        assert sorted(plane.in_force) == ["flood", "words"]
        await plane.stub.DeleteRule(pb.DeleteRuleRequest(id="flood"))
    async with ControlPlane(tmp_path, rules=RULES) as plane:
        assert plane.in_force == ["words"]
        listed = (await plane.stub.ListLists(pb.ListListsRequest())).lists
        assert [(item.name, item.entry_count) for item in listed] == [("bad", 1)]


async def test_rules_of_a_file_are_read_and_changes_are_refused(tmp_path: Path) -> None:
    """FAILED_PRECONDITION says which file to change instead."""
    async with ControlPlane(tmp_path, stored=False, rules=RULES) as plane:
        rules = (await plane.stub.ListRules(pb.ListRulesRequest())).rules
        assert [(r.id, r.mode, r.revision, r.author) for r in rules] == [
            ("flood", "live", 1, "file"),
            ("words", "live", 1, "file"),
        ]
        assert (await plane.stub.GetRule(pb.GetRuleRequest(id="words"))).rule == rules[1]
        revisions = await plane.stub.ListRuleRevisions(pb.ListRuleRevisionsRequest(id="words"))
        assert list(revisions.revisions) == [rules[1]]
        chunks = [chunk async for chunk in plane.stub.GetList(pb.GetListRequest(name="bad"))]
        assert [(c.list.name, list(c.entries)) for c in chunks] == [("bad", ["badword"])]
        writes = [
            plane.stub.CreateRule(pb.CreateRuleRequest(rule=pb.Rule(yaml=ONE))),
            plane.stub.UpdateRule(pb.UpdateRuleRequest(rule=rules[1])),
            plane.stub.DeleteRule(pb.DeleteRuleRequest(id="words")),
            plane.stub.RollbackRule(pb.RollbackRuleRequest(id="words", revision=1)),
            plane.stub.UploadList(iter([pb.UploadListRequest(list=pb.List(name="bad"), chunk=b"x\n")])),
            plane.stub.UpdateListEntries(pb.UpdateListEntriesRequest(name="bad", add=["x"])),
            plane.stub.DeleteList(pb.DeleteListRequest(name="bad")),
        ]
        for write in writes:
            async with Refused.expected(grpc.StatusCode.FAILED_PRECONDITION) as refused:
                await write
            assert (refused.reason, refused.metadata) == ("RULES_FROM_FILE", {"file": str(plane.file)})
            assert "rules.yaml" in refused.message
