"""ReviewService over a real channel and a real store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from modgate.gate import Decision, Match, Outcome, RuleTrace, Trace
from modgate.message import Conversation, ConversationType, Message, Sender
from modgate.review.memory import Memory
from modgate.rpc.review_service import ReviewService
from modgate.rules.ruleset import Verdict
from modgate.storage.settings import StorageSettings
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import review_pb2, review_pb2_grpc

NOW = 1_800_000_000.0
MATCH = Match("insults", 2, "words", "insult", 1.0, 0.5, (), "text", "list insults", shadow=False)
BROKEN = "%"
BY_MO = (("modgate-moderator", "mo"),)


def decision(number: int, verdict: Verdict = Verdict.MASK, *, flagged: bool = True) -> Decision:
    return Decision(
        id=f"{int(NOW * 1000) + number:012x}{'7':0<20}",
        message=Message(
            id=f"m{number}",
            text=f"text {number}",
            sender=Sender("ann", name="Ann"),
            conversation=Conversation("c1", ConversationType.GROUP, name="Lobby"),
            app_id="app",
        ),
        verdict=verdict,
        flagged=flagged,
        matches=(MATCH,),
        decided_at=NOW + number,
        ruleset_revision="r9",
    )


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    memory = Memory(StorageSettings(folder=tmp_path))
    await memory.start()
    yield memory
    await memory.stop()


@pytest.fixture
async def stub(memory: Memory) -> AsyncIterator[Any]:
    service = ReviewService(
        memory.desk,
        memory.watch,
        memory.database,
        memory.sealer,
        memory.erase_user,
    )
    server = grpc.aio.server()
    review_pb2_grpc.add_ReviewServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield review_pb2_grpc.ReviewServiceStub(channel)
    await server.stop(0)


async def keep(memory: Memory, *decisions: Decision) -> None:
    for item in decisions:
        memory.history.before_reply(item)
        memory.history.after_reply(item)
    assert await memory.flush()


async def test_a_flagged_message_is_listed_with_all_that_a_moderator_needs(memory: Memory, stub: Any) -> None:
    """Sender, conversation, time, text, matches and revision are in the item."""
    await keep(memory, decision(1), decision(2, flagged=False))
    page = await stub.ListFlagged(review_pb2.ListFlaggedRequest())
    (item,) = page.items
    record = item.decision
    assert (record.sender_name, record.conversation_name, record.text) == ("Ann", "Lobby", "text 1")
    assert record.matches[0].evidence == "list insults"
    assert record.decided_at.seconds == NOW + 1
    assert record.ruleset_revision == "r9"
    assert (item.state, item.origin) == (review_pb2.REVIEW_STATE_OPEN, "rule")


async def test_a_flagged_message_comes_with_its_explanation(memory: Memory, stub: Any) -> None:
    """Why, condition by condition, also if the caller did not ask; and the steps that undid a disguise."""
    leaf = Trace("words: insults", Outcome.TRUE, 1.0, 0.5)
    told = RuleTrace(
        "insults", 2, shadow=False, outcome=Outcome.TRUE, when=Trace("any", Outcome.TRUE, children=(leaf,))
    )
    flagged = decision(1)
    disguised = replace(flagged.message, text="y\u200bou")
    await keep(memory, replace(flagged, message=disguised, explain=lambda: (told,)))
    (item,) = (await stub.ListFlagged(review_pb2.ListFlaggedRequest())).items
    (rule,) = item.decision.explanation.rules
    assert (rule.rule_id, rule.rule_revision, rule.outcome) == ("insults", 2, pb.OUTCOME_TRUE)
    assert rule.when.children[0].text == "words: insults"
    assert item.decision.explanation.steps


async def test_approving_is_remembered_and_a_second_decision_is_aborted(memory: Memory, stub: Any) -> None:
    """Who decided stands in the reviewed list; whoever comes later gets ABORTED with the winner's name."""
    await keep(memory, decision(1))
    (item,) = (await stub.ListFlagged(review_pb2.ListFlaggedRequest())).items
    await stub.Approve(review_pb2.ApproveRequest(id=item.id, note="fine"), metadata=BY_MO)
    with pytest.raises(grpc.aio.AioRpcError) as late:
        await stub.Block(review_pb2.BlockRequest(id=item.id))
    assert late.value.code() is grpc.StatusCode.ABORTED
    assert "mo" in str(late.value.details())
    (reviewed,) = (await stub.ListReviewed(review_pb2.ListReviewedRequest(moderator="mo"))).items
    assert (reviewed.state, reviewed.note) == (review_pb2.REVIEW_STATE_APPROVED, "fine")


@pytest.mark.parametrize(("verdict", "withdraw"), [(Verdict.MASK, True), (Verdict.BLOCK, False)])
async def test_blocking_asks_for_withdrawal_of_what_was_delivered(
    memory: Memory, stub: Any, verdict: Verdict, *, withdraw: bool
) -> None:
    """A message that had gone out is to be withdrawn; one that was blocked anyway is not."""
    await keep(memory, decision(1, verdict))
    (item,) = (await stub.ListFlagged(review_pb2.ListFlaggedRequest())).items
    assert (await stub.Block(review_pb2.BlockRequest(id=item.id))).withdraw is withdraw


async def test_watching_shows_new_flags_and_reports_once(memory: Memory, stub: Any) -> None:
    """A console that watches gets what comes after it, not what was there, each once."""
    await keep(memory, decision(1))
    call = stub.WatchFlagged(review_pb2.WatchFlaggedRequest())
    await call.initial_metadata()
    await asyncio.sleep(0.1)
    await keep(memory, decision(2))
    assert (await call.read()).item.decision.message_id == "m2"
    report = review_pb2.ReportUserRequest(app_id="app", user_id="bob", reporter_id="eve", reason="spam")
    await stub.ReportUser(report)
    assert (await call.read()).item.reported_user_id == "bob"
    await keep(memory, decision(3))
    assert (await call.read()).item.decision.message_id == "m3"
    call.cancel()


async def test_history_is_searched_page_by_page(memory: Memory, stub: Any) -> None:
    """Filters, verdicts and page tokens work over the wire."""
    await keep(memory, *(decision(n, Verdict.BLOCK if n % 2 else Verdict.ALLOW, flagged=False) for n in range(9)))
    request = review_pb2.SearchHistoryRequest(verdict=pb.VERDICT_BLOCK, page_size=3)
    request.filter.sender_id = "ann"
    first = await stub.SearchHistory(request)
    request.page_token = first.next_page_token
    second = await stub.SearchHistory(request)
    assert [d.message_id for d in [*first.decisions, *second.decisions]] == ["m7", "m5", "m3", "m1"]
    assert second.next_page_token == ""


async def test_reasons_are_listed_and_enforced(stub: Any) -> None:
    """A report must give one of the reasons that the server lists."""
    reasons = (await stub.ListReportReasons(review_pb2.ListReportReasonsRequest())).reasons
    assert "spam" in reasons
    bad = review_pb2.ReportMessageRequest(message_id="m1", reporter_id="eve", reason="boring")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ReportMessage(bad)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_erasing_a_user_answers_with_counts_and_proof(memory: Memory, stub: Any) -> None:
    """After the call the history knows nothing of the user."""
    await keep(memory, decision(1), decision(2))
    erased = await stub.EraseUser(review_pb2.EraseUserRequest(app_id="app", user_id="ann"))
    assert erased.removed["decisions"] == 2
    assert len(erased.proof) == 64
    assert not (await stub.SearchHistory(review_pb2.SearchHistoryRequest())).decisions
    assert not (await stub.ListFlagged(review_pb2.ListFlaggedRequest())).items


async def test_bad_requests_say_what_is_wrong(stub: Any) -> None:
    """Unknown items, broken tokens and missing fields have statuses of their own."""
    for call, code in (
        (stub.Approve(review_pb2.ApproveRequest(id="none")), grpc.StatusCode.NOT_FOUND),
        (stub.ListFlagged(review_pb2.ListFlaggedRequest(page_token=BROKEN)), grpc.StatusCode.INVALID_ARGUMENT),
        (stub.ListFlagged(review_pb2.ListFlaggedRequest(page_size=-1)), grpc.StatusCode.INVALID_ARGUMENT),
        (stub.EraseUser(review_pb2.EraseUserRequest()), grpc.StatusCode.INVALID_ARGUMENT),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is code
