"""One stream: order, backpressure, endings; without a network."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.gate.clock import run

from modgate.rpc.intake import Intake
from modgate.rpc.stream import AnswerStream


class Wire:
    """A connection whose requests a test puts in; a request is its own answer after so many seconds."""

    def __init__(self, *frames: Sequence[tuple[str, float]], write_seconds: float = 0.0) -> None:
        self.incoming: asyncio.Queue[Sequence[tuple[str, float]] | None] = asyncio.Queue()
        for frame in frames:
            self.incoming.put_nowait(frame)
        self.written: list[str] = []
        self.frames: list[int] = []
        self.write_seconds = write_seconds
        self.reads = 0

    async def read(self) -> Sequence[tuple[str, float]] | None:
        self.reads += 1
        return await self.incoming.get()

    async def write(self, answers: Sequence[bytes]) -> None:
        await asyncio.sleep(self.write_seconds)
        self.written += [answer.decode() for answer in answers]
        self.frames.append(len(answers))


def begin(request: tuple[str, float], arrived: float, *, blind: bool) -> "bytes | tuple[str, float] | None":
    del arrived, blind
    name, seconds = request
    if name == "stop":
        return None
    return request if seconds else name.encode()


async def finish(request: tuple[str, float]) -> bytes:
    await asyncio.sleep(request[1])
    return request[0].encode()


def stream(window: int = 10) -> AnswerStream[tuple[str, float], tuple[str, float]]:
    return AnswerStream(begin, finish, window, Intake())


def test_every_request_is_answered_once_whatever_is_slow() -> None:
    """Answers that wait, answers that do not and slow writes in any mixture: nothing is lost, nothing doubled."""

    async def go() -> list[str]:
        frames = [[(f"{i}.{j}", 0.01 * ((i * j) % 4)) for j in range(i % 5 + 1)] for i in range(40)]
        wire = Wire(*frames, write_seconds=0.003)
        wire.incoming.put_nowait(None)
        await stream(window=3).run(wire, asyncio.Event())
        assert sorted(wire.written) == sorted(name for frame in frames for name, _ in frame)
        return wire.written

    assert len(run(go())) == 120


def test_answers_leave_in_the_order_of_completion() -> None:
    """The slow one comes last, although it came first."""

    async def go() -> list[str]:
        wire = Wire([("slow", 0.1)], [("quick", 0.0)], [("middle", 0.05)])
        wire.incoming.put_nowait(None)
        await stream().run(wire, asyncio.Event())
        return wire.written

    assert run(go()) == ["quick", "middle", "slow"]


def test_a_full_window_stops_the_reading() -> None:
    """With three messages waiting and room for two, the next frame is not read until one is answered."""

    async def go() -> tuple[int, int]:
        wire = Wire()
        running = asyncio.ensure_future(stream(window=2).run(wire, asyncio.Event()))
        for name in "abcdef":
            await asyncio.sleep(0.1)
            wire.incoming.put_nowait([(name, 1.0)])
        early = wire.reads
        await asyncio.sleep(1.0)
        late = wire.reads
        running.cancel()
        return early, late

    early, late = run(go())
    assert early == 3
    assert late > 3


def test_a_caller_that_takes_no_answers_is_not_read_for_ever() -> None:
    """What is read ahead and what waits to be sent is bounded."""

    async def go() -> int:
        wire = Wire(*([(str(i), 0.0)] for i in range(10_000)), write_seconds=1e9)
        running = asyncio.ensure_future(stream().run(wire, asyncio.Event()))
        await asyncio.sleep(60)
        running.cancel()
        return wire.reads

    assert 1_000 < run(go()) < 3_000


def test_a_stream_whose_caller_is_gone_ends_with_the_error() -> None:
    """An answer that cannot be sent ends the stream, and so does a request that cannot be begun."""

    class Broken(Wire):
        async def write(self, answers: Sequence[bytes]) -> None:
            raise OSError(f"{len(answers)} not sent")

    def fail(request: tuple[str, float], arrived: float, *, blind: bool) -> bytes:
        del arrived, blind
        raise LookupError(request[0])

    async def go(running: AnswerStream[tuple[str, float], tuple[str, float]], wire: Wire) -> None:
        await running.run(wire, asyncio.Event())

    with pytest.raises(OSError, match="1 not sent"):
        run(go(stream(), Broken([("a", 0.0)], [("b", 9.0)])))
    with pytest.raises(LookupError, match="a"):
        run(go(AnswerStream(fail, finish, 10, Intake()), Wire([("a", 0.0)])))


def test_an_ending_server_answers_what_it_has_read() -> None:
    """Told to end while a frame is half begun, the stream answers the whole frame, reads no more and returns."""

    async def go() -> list[str]:
        wire = Wire([(str(i), 0.1) for i in range(6)])
        ended = asyncio.Event()
        running = asyncio.ensure_future(stream(window=2).run(wire, ended))
        await asyncio.sleep(0.05)
        ended.set()
        wire.incoming.put_nowait([("unread", 0.0)])
        await running
        return wire.written

    assert sorted(run(go())) == [str(i) for i in range(6)]


def test_an_idle_stream_ends_when_told() -> None:
    """A stream that only waits for requests returns at once."""

    async def go() -> float:
        ended = asyncio.Event()
        running = asyncio.ensure_future(stream().run(Wire(), ended))
        await asyncio.sleep(1)
        ended.set()
        await running
        return asyncio.get_running_loop().time()

    assert run(go()) == pytest.approx(1.0)


def test_a_request_that_is_refused_ends_the_reading_after_the_answers_before_it() -> None:
    """What came before is answered; what comes after is not read."""

    async def go() -> list[str]:
        wire = Wire([("before", 0.1), ("at once", 0.0), ("stop", 0.0), ("after", 0.0)])
        await stream().run(wire, asyncio.Event())
        return wire.written

    assert run(go()) == ["at once", "before"]


def test_a_caller_that_goes_away_takes_its_work_with_it() -> None:
    """Cancelling the stream leaves no task behind."""

    async def go() -> int:
        running = asyncio.ensure_future(stream().run(Wire([("a", 9.0), ("b", 9.0)]), asyncio.Event()))
        await asyncio.sleep(0.1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(go()) == 1
