"""ModerateStream: many messages on one stream, answered in the order of completion."""

import queue
import time
from collections.abc import Iterator

import grpc
import pytest
from tests.e2e.serving import Server, request

from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import moderation_pb2_grpc as pb_grpc

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on which only a word that blocks is quick: everything else waits 100 ms for a drill."""
    with Server(tmp_path_factory.mktemp("slow"), args=("--fault", "pii=delay:100ms")) as server:
        yield server


class Feed:
    """Requests that a test sends when it likes."""

    def __init__(self) -> None:
        self._requests: queue.Queue[pb.ModerateRequest | None] = queue.Queue()

    def send(self, text: str, request_id: str) -> None:
        self._requests.put(request(text, request_id=request_id))

    def put(self, message: pb.ModerateRequest) -> None:
        self._requests.put(message)

    def end(self) -> None:
        self._requests.put(None)

    def __iter__(self) -> Iterator[pb.ModerateRequest]:
        return iter(self._requests.get, None)


def test_answers_come_in_the_order_of_completion(slow: Server) -> None:
    """A slow message does not hold the quick one behind it; request_id pairs them."""
    feed = Feed()
    feed.send("hello", "slow")
    feed.send("you slurword", "quick")
    feed.end()
    with slow.channel() as channel:
        answers = list(pb_grpc.ModerationServiceStub(channel).ModerateStream(iter(feed), timeout=5))
    assert [(answer.request_id, answer.verdict) for answer in answers] == [
        ("quick", pb.VERDICT_BLOCK),
        ("slow", pb.VERDICT_ALLOW),
    ]


def test_messages_of_one_stream_are_judged_side_by_side(slow: Server) -> None:
    """A hundred messages of 100 ms each take far less than ten seconds, and each is answered once."""
    feed = Feed()
    for i in range(100):
        feed.send(f"hello {i}", str(i))
    feed.end()
    started = time.monotonic()
    with slow.channel() as channel:
        answers = list(pb_grpc.ModerationServiceStub(channel).ModerateStream(iter(feed), timeout=10))
    assert time.monotonic() - started < 2
    assert sorted(int(answer.request_id) for answer in answers) == list(range(100))


def test_a_stream_may_live_long(slow: Server) -> None:
    """Messages go back and forth one by one on an open stream."""
    feed = Feed()
    with slow.channel() as channel:
        answers = pb_grpc.ModerationServiceStub(channel).ModerateStream(iter(feed), timeout=10)
        for i in range(5):
            feed.send("slurword", str(i))
            assert next(answers).request_id == str(i)
        feed.end()
        assert list(answers) == []


def test_a_message_that_cannot_be_judged_ends_the_stream_after_the_others(slow: Server) -> None:
    """What came before is answered, then INVALID_ARGUMENT says what is wrong."""
    feed = Feed()
    feed.send("hello", "first")
    feed.put(request("no id"))
    feed.end()
    with slow.channel() as channel:
        answers = pb_grpc.ModerationServiceStub(channel).ModerateStream(iter(feed), timeout=5)
        assert next(answers).request_id == "first"
        with pytest.raises(grpc.RpcError) as refused:
            next(answers)
    assert isinstance(refused.value, grpc.Call)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "request_id" in (refused.value.details() or "")


def test_a_frame_carries_many(slow: Server) -> None:
    """Requests that come in one frame are answered in frames, each request once."""
    feed = Feed()
    frame = pb.ModerateRequest(frame=[request("slurword", request_id=str(i)) for i in range(200)])
    feed.put(frame)
    feed.end()
    with slow.channel() as channel:
        answers = list(pb_grpc.ModerationServiceStub(channel).ModerateStream(iter(feed), timeout=5))
    assert sorted(int(inner.request_id) for answer in answers for inner in answer.frame) == list(range(200))
    assert all(inner.verdict == pb.VERDICT_BLOCK for answer in answers for inner in answer.frame)


def test_a_caller_who_hangs_up_leaves_the_server_well(slow: Server) -> None:
    """A stream that is cancelled in the middle harms no other call."""
    feed = Feed()
    for i in range(50):
        feed.send("hello", str(i))
    with slow.channel() as channel:
        answers = pb_grpc.ModerationServiceStub(channel).ModerateStream(iter(feed), timeout=5)
        next(answers)
        answers.cancel()
        feed.end()
    assert slow.ask("slurword").verdict == pb.VERDICT_BLOCK


def test_a_caller_who_does_not_read_is_slowed_down(slow: Server) -> None:
    """Answers that nobody takes do not pile up without end: the server stops reading, others are served."""
    feed = Feed()
    text = "slurword " + "x" * 2_000
    with slow.channel() as channel:
        answers = pb_grpc.ModerationServiceStub(channel).ModerateStream(iter(feed), timeout=30)
        for i in range(3_000):
            feed.send(text, str(i))
        feed.end()
        time.sleep(0.5)
        assert slow.ask("slurword").verdict == pb.VERDICT_BLOCK
        assert sorted(int(answer.request_id) for answer in answers) == list(range(3_000))


def test_a_flood_is_judged_or_says_that_it_was_not(slow: Server) -> None:
    """Ten thousand messages at once: each is answered once, judged like any other or marked as not looked at."""
    feed = Feed()
    for start in range(0, 10_240, 256):
        feed.put(pb.ModerateRequest(frame=[request("slurword", request_id=str(start + i)) for i in range(256)]))
    feed.end()
    with slow.channel() as channel:
        frames = pb_grpc.ModerationServiceStub(channel).ModerateStream(iter(feed), timeout=60)
        answers = [inner for frame in frames for inner in frame.frame]
    assert sorted(int(answer.request_id) for answer in answers) == list(range(10_240))
    judged = [answer for answer in answers if not answer.HasField("fallback")]
    assert all(answer.verdict == pb.VERDICT_BLOCK for answer in judged)
    assert len(judged) > 100
    for answer in answers:
        if answer.HasField("fallback"):
            assert answer.fallback.reason == pb.FALLBACK_REASON_OVERLOAD
            assert "words" in answer.fallback.unfinished
