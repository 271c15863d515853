"""The asynchronous client against the real service, and against servers that misbehave."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest

from modgate.client import AsyncModerator, Fallbacks, RequestRefusedError, Source, request
from modgate.v1 import moderation_pb2 as pb

StartGate = Callable[..., Awaitable[Any]]


def line(text: str, **more: Any) -> pb.ModerateRequest:
    return request(text=text, sender="u1", conversation="c1", **more)


@pytest.mark.parametrize("streams", [0, 2])
async def test_answers_are_the_servers(start_gate: StartGate, streams: int) -> None:
    """Clean, masked and blocked messages come back as the server decided, unary or over shared streams."""
    gate = await start_gate()
    async with AsyncModerator(gate.address, streams=streams, budget=5) as moderator:
        clean, masked, blocked = await asyncio.gather(
            moderator.ask(line("hello")), moderator.ask(line("darn it")), moderator.ask(line("what the heck"))
        )
    assert {a.source for a in (clean, masked, blocked)} == {Source.SERVER}
    assert (clean.deliver, clean.text, clean.complete) == (True, "hello", True)
    assert (masked.deliver, masked.text) == (True, "**** it")
    assert (blocked.deliver, blocked.text) == (False, "")


async def test_streamed_answers_go_to_their_callers(start_gate: StartGate) -> None:
    """Over one stream every caller gets the answer to its own message, under the request id that it chose."""
    gate = await start_gate()
    texts = [f"{'darn ' if i % 3 == 0 else ''}line {i}" for i in range(100)]
    async with AsyncModerator(gate.address, streams=1, budget=10) as moderator:
        requests = [line(text) for text in texts]
        for each in requests:
            each.request_id = "same"
        answers = await asyncio.gather(*(moderator.ask(each) for each in requests))
    assert [answer.text for answer in answers] == [text.replace("darn", "****") for text in texts]
    assert {answer.response.request_id for answer in answers} == {"same"}


@pytest.mark.parametrize("streams", [0, 1])
async def test_a_refused_request_raises(start_gate: StartGate, streams: int) -> None:
    """A request that no server can judge raises, with the field that is wrong; others on the stream are answered."""
    gate = await start_gate()
    wrong = line("hello")
    wrong.sender.id = ""
    async with AsyncModerator(gate.address, streams=streams, budget=5) as moderator:
        refused, fine = await asyncio.gather(moderator.ask(wrong), moderator.ask(line("hello")), return_exceptions=True)
    assert isinstance(refused, RequestRefusedError)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert "sender.id" in refused.details
    assert not isinstance(fine, BaseException)
    assert fine.source is Source.SERVER


@pytest.mark.parametrize(
    ("fallbacks", "deliver"),
    [(None, True), (Fallbacks.block(), False), (Fallbacks(on_timeout=pb.FALLBACK_POLICY_BLOCK), True)],
)
async def test_no_server(tmp_path: Any, fallbacks: Fallbacks | None, *, deliver: bool) -> None:
    """Without a server the client answers itself, by its policy for errors, and says that it did."""
    async with AsyncModerator(f"unix:{tmp_path}/nothing.sock", fallbacks=fallbacks, budget=5) as moderator:
        answer = await moderator.ask(line("hello"))
        assert not moderator.serving
    assert answer.source is Source.CLIENT
    assert answer.deliver is deliver
    assert answer.text == ("hello" if deliver else "")
    assert not answer.complete
    assert answer.response.fallback.reason == pb.FALLBACK_REASON_ERROR
    assert list(answer.response.fallback.unfinished) == ["server"]
    assert moderator.own_answers == {"ERROR": 1}


async def test_a_server_that_does_not_answer(scripted: Any) -> None:
    """A server that is too slow costs the budget and no more; the policy for timeouts applies."""

    async def hang(_request: pb.ModerateRequest, _context: Any) -> pb.ModerateResponse:
        await asyncio.sleep(60)
        raise AssertionError("nobody waits that long")

    scripted.answer = hang
    fallbacks = Fallbacks(on_timeout=pb.FALLBACK_POLICY_BLOCK)
    async with AsyncModerator(scripted.address, budget=0.15, fallbacks=fallbacks) as moderator:
        answer = await moderator.ask(line("hello"))
    assert answer.source is Source.CLIENT
    assert answer.response.fallback.reason == pb.FALLBACK_REASON_TIMEOUT
    assert not answer.deliver


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, pb.FALLBACK_REASON_OVERLOAD),
        (grpc.StatusCode.INTERNAL, pb.FALLBACK_REASON_ERROR),
        (grpc.StatusCode.DEADLINE_EXCEEDED, pb.FALLBACK_REASON_TIMEOUT),
    ],
)
async def test_status_codes_become_reasons(scripted: Any, code: grpc.StatusCode, reason: int) -> None:
    """A status code is never a verdict: it becomes a marked fallback with the reason that it means."""

    async def fail(_request: pb.ModerateRequest, context: Any) -> pb.ModerateResponse:
        await context.abort(code, "as scripted")
        raise AssertionError

    scripted.answer = fail
    async with AsyncModerator(scripted.address, budget=5) as moderator:
        answer = await moderator.ask(line("hello"))
    assert (answer.source, answer.response.fallback.reason) == (Source.CLIENT, reason)
    assert len(scripted.asked) == 1


async def test_a_lost_call_is_repeated_with_its_id(scripted: Any) -> None:
    """A call that was lost with its connection is repeated once, with the same message id and within the budget."""

    async def second_time(_request: pb.ModerateRequest, context: Any) -> pb.ModerateResponse:
        if len(scripted.asked) == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "going away")
        return pb.ModerateResponse(verdict=pb.VERDICT_ALLOW)

    scripted.answer = second_time
    async with AsyncModerator(scripted.address, budget=5) as moderator:
        answer = await moderator.ask(line("hello"))
    assert answer.source is Source.SERVER
    first, second = scripted.asked
    assert first.message.id == second.message.id != ""


async def test_another_server_stands_in(start_gate: StartGate) -> None:
    """With two servers, one that drains or is gone costs no answer."""
    one, two = await start_gate("one"), await start_gate("two")
    async with AsyncModerator([one.address, two.address], budget=5) as moderator:
        assert await moderator.wait_until_serving(5)
        await moderator.ask(line("hello"))
        await one.stop()
        answers = [await moderator.ask(line(f"hello {i}")) for i in range(10)]
    assert {answer.source for answer in answers} == {Source.SERVER}


async def test_a_server_that_comes_back(start_gate: StartGate) -> None:
    """After the server was away the client finds it again by itself."""
    gate = await start_gate("first")
    async with AsyncModerator(gate.address, budget=5, streams=1) as moderator:
        assert (await moderator.ask(line("hello"))).source is Source.SERVER
        await gate.stop()
        assert (await moderator.ask(line("hello"))).source is Source.CLIENT
        await start_gate("first")
        assert await moderator.wait_until_serving(10)
        assert (await moderator.ask(line("darn"))).text == "****"


async def test_a_cancelled_caller_hurts_nobody(start_gate: StartGate) -> None:
    """A caller that gives up leaves the answers of others on the same stream as they are."""
    gate = await start_gate()
    async with AsyncModerator(gate.address, streams=1, budget=10) as moderator:
        tasks = [asyncio.create_task(moderator.ask(line(f"darn {i}"))) for i in range(50)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks)
    assert [task.result().text for task in tasks[1::2]] == [f"**** {i}" for i in range(1, 50, 2)]


async def test_it_must_be_opened() -> None:
    """Asking outside the context says what to do."""
    with pytest.raises(RuntimeError, match="async with"):
        await AsyncModerator().ask(line("hello"))


async def test_no_time_at_all(start_gate: StartGate) -> None:
    """A budget of nothing gives the client's own answer at once."""
    gate = await start_gate()
    async with AsyncModerator(gate.address) as moderator:
        begun = time.monotonic()
        answer = await moderator.ask(line("hello"), budget=0.0)
    assert answer.source is Source.CLIENT
    assert time.monotonic() >= begun
