"""More calls than can be read in time: gRPC refuses them at once instead of letting them wait unseen."""

import asyncio
from collections import Counter
from pathlib import Path

import grpc
import pytest
from tests.e2e.serving import WORDS_ONLY, Server, request

from modgate.client import AsyncModerator
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import moderation_pb2_grpc as pb_grpc

pytestmark = pytest.mark.e2e

CALLS = 600
HASTY = {**WORDS_ONLY, "limits": {"unread_calls": 2}}
"""A server that lets next to no call wait to be read."""


async def test_what_cannot_be_read_is_refused_and_what_was_read_is_answered(tmp_path: Path) -> None:
    """Of many calls at once every one ends: with a verdict, or with CANCELLED; afterwards all is as before."""
    with Server(tmp_path, HASTY) as server:
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = pb_grpc.ModerationServiceStub(channel)

            async def call() -> grpc.StatusCode:
                try:
                    await stub.Moderate(request(), timeout=20)
                except grpc.aio.AioRpcError as error:
                    return error.code()
                return grpc.StatusCode.OK

            ended = Counter(await asyncio.gather(*(call() for _ in range(CALLS))))
            assert set(ended) == {grpc.StatusCode.OK, grpc.StatusCode.CANCELLED}
            assert await call() is grpc.StatusCode.OK


async def test_the_client_takes_a_refusal_for_overload(tmp_path: Path) -> None:
    """The Python client answers a refused call itself, marked OVERLOAD, and keeps the verdicts of the others."""
    with Server(tmp_path, HASTY) as server:
        async with AsyncModerator(server.address, budget=20) as moderator:
            answers = await asyncio.gather(*(moderator.ask(request()) for _ in range(CALLS)))
            assert 0 < moderator.own_answers["OVERLOAD"] < CALLS
            assert moderator.own_answers.total() == moderator.own_answers["OVERLOAD"]
            assert {answer.response.verdict for answer in answers} == {pb.VERDICT_ALLOW}


def test_a_port_that_is_taken_is_refused_at_start(tmp_path: Path) -> None:
    """A second server on the same port says so and does not start, although listeners of one server share it."""
    (tmp_path / "second").mkdir()
    with Server(tmp_path, WORDS_ONLY) as server:
        second = Server(tmp_path / "second", WORDS_ONLY, args=("--listen", server.address))
        with pytest.raises(AssertionError, match=f"cannot listen on {server.address}"), second:
            pass
        assert server.ask().verdict == pb.VERDICT_ALLOW
