"""The queue between reading streams and judging what was read."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tests.gate.clock import run

from modgate.rpc.intake import Intake


@dataclass
class Working:
    """A clock that only work moves."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Stream:
    """Begins requests in so much time, in no time those that it need not look at."""

    clock: Working
    seconds: float = 0.0003
    begun: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)

    def take(self, request: int, arrived: float, *, blind: bool) -> None:
        assert arrived <= self.clock.now
        if blind:
            self.refused.append(request)
        else:
            self.clock.now += self.seconds
            self.begun.append(request)


def test_a_burst_is_worked_off_in_order() -> None:
    """The largest frame on a quiet gate: all of it is looked at, first come, first begun."""
    clock = Working()
    stream = Stream(clock)

    async def go() -> None:
        intake: Intake[int] = Intake(monotonic=clock)
        for i in range(256):
            intake.put(stream, i)
        await asyncio.sleep(1)

    run(go())
    assert stream.begun == list(range(256))
    assert not stream.refused


def test_what_cannot_be_looked_at_in_time_is_refused_oldest_first() -> None:
    """Of ten times what fits, the newest are looked at; everything is answered; the cause is told."""
    clock = Working()
    stream = Stream(clock)
    told = Counter[str]()

    async def go() -> None:
        intake: Intake[int] = Intake(on_refusal=lambda: told.update(["too much"]), monotonic=clock)
        for i in range(4_000):
            intake.put(stream, i)
        await asyncio.sleep(1)

    run(go())
    assert sorted(stream.begun + stream.refused) == list(range(4_000))
    assert 50 < len(stream.begun) < 400
    assert max(stream.refused) < min(stream.begun)
    assert told["too much"] == 1


def test_a_backlog_that_stays_makes_what_is_looked_at_young() -> None:
    """While always more comes than can be looked at, less and less may wait, so that answers are not all old."""
    clock = Working()
    stream = Stream(clock)
    ages: list[float] = []

    class Timed(Stream):
        def take(self, request: int, arrived: float, *, blind: bool) -> None:
            if not blind:
                ages.append(clock.now - arrived)
            super().take(request, arrived, blind=blind)

    stream = Timed(clock)

    async def go() -> None:
        intake: Intake[int] = Intake(monotonic=clock)
        for i in range(100_000):
            intake.put(stream, i)
            # A message each 100 us of the working clock, where beginning one takes 300.
            if i % 100 == 0:
                clock.now += 0.01
                await asyncio.sleep(0.002)

    run(go())
    assert max(ages[: len(ages) // 10]) > 0.08
    assert max(ages[len(ages) // 2 :]) < 0.06
    assert len(stream.refused) > len(stream.begun)


def test_a_flood_is_refused_before_others_are() -> None:
    """Beside a stream with thousands waiting, one with a few loses none."""
    clock = Working()
    quiet, flood = Stream(clock), Stream(clock)

    async def go() -> None:
        intake: Intake[int] = Intake(monotonic=clock)
        for i in range(5_000):
            intake.put(flood, i)
            if i % 100 == 0:
                intake.put(quiet, i)
        await asyncio.sleep(1)

    run(go())
    assert len(quiet.begun) == 50
    assert not quiet.refused
    assert len(flood.refused) > 4_000


def test_a_flood_on_the_same_stream_is_refused_before_others_are() -> None:
    """A gateway may send all of its apps over one stream: the one with a few messages waiting loses none."""
    clock = Working()
    stream = Stream(clock)

    async def go() -> None:
        intake: Intake[int] = Intake(app_of=lambda i: "quiet" if i % 100 == 0 else "flood", monotonic=clock)
        for i in range(5_000):
            intake.put(stream, i)
        await asyncio.sleep(1)

    run(go())
    assert len(stream.refused) > 4_000
    assert not [i for i in stream.refused if i % 100 == 0]


def test_reading_comes_first() -> None:
    """As long as readers bring more, nothing is begun: what is not read could not even be refused."""
    clock = Working()
    stream = Stream(clock)

    async def go() -> list[int]:
        intake: Intake[int] = Intake(monotonic=clock)
        begun = []
        for i in range(80):
            intake.put(stream, i)
            if i % 8 == 7:
                await asyncio.sleep(0.0009)
                begun.append(len(stream.begun))
        await asyncio.sleep(1)
        return begun

    assert run(go()) == [0] * 10
    assert len(stream.begun) == 80
