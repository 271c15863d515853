"""The client for threads, against the real service in a process of its own."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from benchmarks._process import modgate

from modgate.client import Moderator, RequestRefusedError, Source, request
from modgate.v1 import moderation_pb2 as pb

RULES = "{version: 1, lists: {mild: {kind: words, entries: [darn]}}, rules: [{id: mask, when: {words: {list: mild}}, then: {action: mask}}]}"  # noqa: E501 - one line of YAML


def line(text: str) -> pb.ModerateRequest:
    return request(text=text, sender="u1", conversation="c1")


@pytest.mark.e2e
@pytest.mark.parametrize("streams", [0, 2])
def test_threads_share_a_client(streams: int) -> None:
    """Many threads ask over one client, each gets its own answer, and a refused request raises in its own thread."""
    texts = [f"darn {i}" for i in range(200)]
    with (
        modgate({"models": {"text": "", "images": []}}, rules=RULES) as server,
        Moderator(server.address, streams=streams, budget=10) as moderator,
        ThreadPoolExecutor(8) as pool,
    ):
        assert moderator.wait_until_serving(10)
        answers = list(pool.map(lambda text: moderator.ask(line(text)), texts))
        wrong = line("hello")
        wrong.sender.id = ""
        with pytest.raises(RequestRefusedError, match=r"sender\.id"):
            moderator.ask(wrong)
    assert [answer.text for answer in answers] == [f"**** {i}" for i in range(200)]
    assert {answer.source for answer in answers} == {Source.SERVER}


def test_no_server(tmp_path: Any) -> None:
    """Without a server a thread gets the client's own answer, and the client closes cleanly."""
    with Moderator(f"unix:{tmp_path}/nothing.sock", budget=5) as moderator:
        answer = moderator.ask(line("hello"))
    assert (answer.source, answer.deliver) == (Source.CLIENT, True)
    assert moderator.own_answers == {"ERROR": 1}


def test_it_must_be_opened() -> None:
    """Asking outside the context says what to do."""
    with pytest.raises(RuntimeError, match="with Moderator"):
        Moderator().ask(line("hello"))
