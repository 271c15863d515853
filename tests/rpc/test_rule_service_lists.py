"""RuleService over a real channel and a real store: lists."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.rpc.control_plane import BY_ANN, TWO, ControlPlane, Refused, request, until

from modgate.v1 import moderation_pb2
from modgate.v1 import rules_pb2 as pb

MIB = 1024 * 1024


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(tmp_path) as plane:
        yield plane


def chunks(content: bytes, size: int, **fields: Any) -> Iterator[pb.UploadListRequest]:
    yield pb.UploadListRequest(list=pb.List(**{"name": "bad", **fields}))
    for start in range(0, len(content), size):
        yield pb.UploadListRequest(chunk=content[start : start + size])


async def upload(plane: ControlPlane, content: bytes, size: int = MIB, **fields: Any) -> pb.UploadListResponse:
    response: pb.UploadListResponse = await plane.stub.UploadList(chunks(content, size, **fields), metadata=BY_ANN)
    return response


async def entries(plane: ControlPlane, name: str = "bad") -> list[str]:
    return [entry async for chunk in plane.stub.GetList(pb.GetListRequest(name=name)) for entry in chunk.entries]


async def verdict(plane: ControlPlane, text: str) -> "moderation_pb2.Verdict.ValueType":
    answer = await plane.stub.TestRules(pb.TestRulesRequest(request=request(text)))
    given: moderation_pb2.Verdict.ValueType = answer.response.verdict
    return given


async def test_an_uploaded_list_is_whole_wherever_its_chunks_were_cut(plane: ControlPlane) -> None:
    """Chunks may end inside a line and inside a character; comments and blank lines are no entries."""
    content = "# bad words\nbädword\n\nпривет\r\nword three\n".encode()
    uploaded = await upload(plane, content, size=3)
    assert (uploaded.list.entry_count, uploaded.list.revision, uploaded.list.author) == (3, 1, "ann")
    assert await entries(plane) == ["bädword", "привет", "word three"]
    assert uploaded.ruleset_revision == plane.gate.ruleset.revision


async def test_a_list_of_many_thousands_comes_back_in_chunks(plane: ControlPlane) -> None:
    """Downloads are streams of bounded messages, the list itself in the first."""
    words = [f"word{number}x" for number in range(2_500)]
    await upload(plane, "\n".join(words).encode())
    received = [chunk async for chunk in plane.stub.GetList(pb.GetListRequest(name="bad"))]
    assert [entry for chunk in received for entry in chunk.entries] == words
    assert [chunk.HasField("list") for chunk in received] == [True, False, False]
    assert received[0].list.entry_count == 2_500


async def test_a_changed_list_counts_for_the_next_message(plane: ControlPlane) -> None:
    """Upload, add and remove each put a new ruleset in force."""
    await upload(plane, b"badword\n")
    await plane.stub.CreateRule(pb.CreateRuleRequest(rule=pb.Rule(yaml=TWO)))
    assert await verdict(plane, "a badword") == moderation_pb2.VERDICT_BLOCK
    assert await verdict(plane, "a worseword") == moderation_pb2.VERDICT_ALLOW
    changed = await plane.stub.UpdateListEntries(
        pb.UpdateListEntriesRequest(name="bad", add=["worseword"], remove=["badword"])
    )
    assert changed.ruleset_revision == plane.gate.ruleset.revision
    assert await verdict(plane, "a badword") == moderation_pb2.VERDICT_ALLOW
    assert await verdict(plane, "a worseword") == moderation_pb2.VERDICT_BLOCK
    await upload(plane, b"third\n", etag=changed.list.etag)
    assert await entries(plane) == ["third"]


async def test_a_list_that_somebody_changed_is_not_overwritten(plane: ControlPlane) -> None:
    """ABORTED tells the current etag."""
    first = (await upload(plane, b"one\n")).list
    second = (await upload(plane, b"two\n")).list
    async with Refused.expected(grpc.StatusCode.ABORTED) as refused:
        await upload(plane, b"three\n", etag=first.etag)
    assert refused.metadata == {"etag": second.etag}
    async with Refused.expected(grpc.StatusCode.ABORTED):
        await plane.stub.UpdateListEntries(pb.UpdateListEntriesRequest(name="bad", add=["x"], etag=first.etag))
    async with Refused.expected(grpc.StatusCode.ABORTED):
        await plane.stub.DeleteList(pb.DeleteListRequest(name="bad", etag=first.etag))


async def test_a_list_in_use_stays(plane: ControlPlane) -> None:
    """The refusal names the rules; without them it goes."""
    await upload(plane, b"badword\n")
    await plane.stub.CreateRule(pb.CreateRuleRequest(rule=pb.Rule(yaml=TWO)))
    async with Refused.expected(grpc.StatusCode.FAILED_PRECONDITION) as refused:
        await plane.stub.DeleteList(pb.DeleteListRequest(name="bad"))
    assert (refused.reason, "two" in refused.message) == ("LIST_IN_USE", True)
    await plane.stub.DeleteRule(pb.DeleteRuleRequest(id="two"))
    await plane.stub.DeleteList(pb.DeleteListRequest(name="bad"))
    assert not (await plane.stub.ListLists(pb.ListListsRequest())).lists


@pytest.mark.parametrize(
    ("content", "fields", "field", "text"),
    [
        (b"", {}, "chunk", "no entries"),
        (b"\xff\xfe\n", {}, "chunk", "line 1 is not UTF-8"),
        (b"ok\n" + b"x" * 600, {}, "chunk", "line 2 has 600 characters"),
        (b"ok\n", {"name": ""}, "list.name", "required"),
        (b"ok\n", {"name": "../etc"}, "list.name", "must be"),
        (b"ok\n", {"yaml": "kind: wrods"}, "chunk.kind", "words"),
        (b"ok\n", {"yaml": "kind: words\nentries: [x]"}, "chunk.entries", "uploaded on their own"),
    ],
)
async def test_an_upload_that_makes_no_sense_says_what_is_wrong(
    plane: ControlPlane, content: bytes, fields: dict[str, Any], field: str, text: str
) -> None:
    """Nothing is stored of it."""
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await upload(plane, content, **fields)
    assert refused.violations[0][0] == field
    assert text in refused.violations[0][1]
    assert not (await plane.stub.ListLists(pb.ListListsRequest())).lists


async def test_chunks_are_bounded(plane: ControlPlane) -> None:
    """More than 1 MiB at once is refused, and so is a second list in one stream."""
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await upload(plane, b"x\n" * MIB, size=MIB + 1)
    assert refused.violations[0][0] == "chunk"
    twice = [pb.UploadListRequest(list=pb.List(name=name), chunk=b"x\n") for name in "ab"]
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await plane.stub.UploadList(iter(twice))
    assert refused.violations[0][0] == "list"
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT):
        await plane.stub.UploadList(iter(()))


async def test_an_upload_that_breaks_a_rule_is_refused(plane: ControlPlane) -> None:
    """A pattern that cannot run is told, and the old list stays in force."""
    await upload(plane, b"a+b\n", yaml="kind: patterns")
    rule = TWO.replace("words: {list: bad}", "pattern: {list: bad}")
    await plane.stub.CreateRule(pb.CreateRuleRequest(rule=pb.Rule(yaml=rule)))
    before = plane.gate.ruleset
    async with Refused.expected(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await upload(plane, b"a(b\n")
    assert "rule two" in refused.violations[0][1]
    assert plane.gate.ruleset is before
    assert await entries(plane) == ["a+b"]


async def test_uploads_at_once_are_bounded(plane: ControlPlane) -> None:
    """The fifth is told to come back; when one is done there is room again."""
    calls = [plane.stub.UploadList() for _ in range(4)]
    for number, call in enumerate(calls):
        await call.write(pb.UploadListRequest(list=pb.List(name=f"l{number}"), chunk=b"word\n"))
    await until(lambda: plane.service._uploads._under_way == len(calls))
    async with Refused.expected(grpc.StatusCode.RESOURCE_EXHAUSTED) as refused:
        await upload(plane, b"word\n")
    assert refused.reason == "UPLOADS_BUSY"
    for call in calls:
        await call.done_writing()
        await call
    assert (await upload(plane, b"word\n")).list.entry_count == 1
