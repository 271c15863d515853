"""The deadline queue: what runs, in which order, and what is never begun."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from modgate.detectors.base import DetectorError, Problem
from modgate.inference.estimate import ServiceTime
from modgate.inference.runner import Runner

FAR = 1_000.0


@dataclass(slots=True)
class Clock:
    """Time that only a test moves."""

    time: float = 0.0

    def __call__(self) -> float:
        return self.time


@dataclass(slots=True)
class Recording:
    """A lane that notes its batches, and can be held so that a queue forms behind it."""

    name: str = "model"
    max_batch: int = 4
    max_units: float = 100.0
    packed: bool = False
    service_time: ServiceTime = field(default_factory=lambda: ServiceTime([(1.0, 0.01)]))
    batches: list[list[object]] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    def run(self, payloads: Sequence[object]) -> Sequence[object]:
        if payloads == ["hold"]:
            self.begun.set()
            assert self.held.wait(10)
            return ["held"]
        self.batches.append(list(payloads))
        if "bad" in payloads:
            raise ValueError("a bad member")
        return [f"{payload}!" for payload in payloads]


@pytest_asyncio.fixture
async def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def runner(clock: Clock) -> AsyncIterator[Runner]:
    runner = Runner(1, monotonic=clock)
    yield runner
    await asyncio.to_thread(runner.close)


class Held:
    """Keeps the only worker busy while a test fills the queue; released on leaving."""

    def __init__(self, runner: Runner, lane: Recording) -> None:
        self.runner = runner
        self.lane = lane

    async def __aenter__(self) -> None:
        self.blocker = asyncio.ensure_future(self.runner.submit(self.lane, "hold", 1.0, FAR))
        await asyncio.sleep(0)
        await asyncio.to_thread(self.lane.begun.wait, 10)

    async def __aexit__(self, *_: object) -> None:
        self.lane.held.set()
        assert await self.blocker == "held"


async def queued(
    runner: Runner, lane: Recording, payload: object, deadline: float, units: float = 1.0
) -> "asyncio.Task[object]":
    task = asyncio.create_task(runner.submit(lane, payload, units, deadline))
    await asyncio.sleep(0)
    return task


async def test_a_lone_job_runs_at_once(runner: Runner) -> None:
    """Nothing waits for company."""
    lane = Recording()
    assert await runner.submit(lane, "a", 1.0, FAR) == "a!"
    assert lane.batches == [["a"]]


async def test_what_waited_together_runs_in_one_batch_most_urgent_first(runner: Runner) -> None:
    """A batch forms while all workers are busy, in the order of deadlines and not of arrival."""
    lane = Recording()
    async with Held(runner, lane):
        tasks = [await queued(runner, lane, p, d) for p, d in (("late", 30.0), ("soon", 10.0), ("middle", 20.0))]
        assert runner.depth() == 3
    assert await asyncio.gather(*tasks) == ["late!", "soon!", "middle!"]
    assert lane.batches == [["soon", "middle", "late"]]


async def test_a_batch_is_bounded(runner: Runner) -> None:
    """No more jobs run together than the lane allows; the rest follow."""
    lane = Recording(max_batch=2)
    async with Held(runner, lane):
        tasks = [await queued(runner, lane, str(i), FAR + i) for i in range(5)]
    await asyncio.gather(*tasks)
    assert lane.batches == [["0", "1"], ["2", "3"], ["4"]]


async def test_padding_bounds_a_batch_too(runner: Runner) -> None:
    """Jobs whose padded size would exceed the lane's units go into different batches."""
    lane = Recording(max_units=100.0)
    async with Held(runner, lane):
        tasks = [await queued(runner, lane, str(i), FAR + i, units=40.0) for i in range(3)]
    await asyncio.gather(*tasks)
    assert lane.batches == [["0", "1"], ["2"]]


async def test_a_short_job_is_not_padded_to_a_long_one(runner: Runner) -> None:
    """Jobs of very unlike size are batched with their like, whatever stands between them in the queue."""
    lane = Recording(max_units=1_000.0)
    async with Held(runner, lane):
        sizes = (10.0, 100.0, 11.0, 105.0)
        tasks = [await queued(runner, lane, size, FAR + i, units=size) for i, size in enumerate(sizes)]
    await asyncio.gather(*tasks)
    assert lane.batches == [[10.0, 11.0], [100.0, 105.0]]


async def test_a_packed_batch_takes_jobs_of_any_size_up_to_its_units(runner: Runner) -> None:
    """Where nothing is padded, sizes add up, and what fits fills the batch past one that does not."""
    lane = Recording(max_units=120.0, packed=True)
    async with Held(runner, lane):
        sizes = (10.0, 90.0, 40.0, 20.0)
        tasks = [await queued(runner, lane, size, FAR + i, units=size) for i, size in enumerate(sizes)]
    await asyncio.gather(*tasks)
    assert lane.batches == [[10.0, 90.0, 20.0], [40.0]]


async def test_a_full_queue_refuses_at_once(runner: Runner) -> None:
    """If the work that waits leaves no time, the caller knows immediately and nothing is queued."""
    lane = Recording()
    async with Held(runner, lane):
        waiting = [await queued(runner, lane, str(i), FAR) for i in range(3)]
        depth = runner.depth()
        with pytest.raises(DetectorError) as refused:
            await runner.submit(lane, "one too many", 1.0, 0.045)
        assert refused.value.problem is Problem.OVERLOAD
        assert runner.depth() == depth == 3
    await asyncio.gather(*waiting)


async def test_work_that_cannot_be_done_in_time_is_not_begun(runner: Runner, clock: Clock) -> None:
    """A job whose deadline passed while it waited is told TIMEOUT; its neighbours run."""
    lane = Recording()
    async with Held(runner, lane):
        hasty = await queued(runner, lane, "hasty", 1.0)
        patient = await queued(runner, lane, "patient", FAR)
        clock.time = 0.995
    with pytest.raises(DetectorError) as late:
        await hasty
    assert late.value.problem is Problem.TIMEOUT
    assert await patient == "patient!"
    assert lane.batches == [["patient"]]


async def test_a_cancelled_job_leaves_its_batch_mates_alone(runner: Runner) -> None:
    """What nobody waits for any more is dropped, and everyone else gets an answer."""
    lane = Recording()
    async with Held(runner, lane):
        tasks = [await queued(runner, lane, str(i), FAR + i) for i in range(4)]
        tasks[1].cancel()
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(a).__name__ if isinstance(a, BaseException) else a for a in answers] == [
        "0!",
        "CancelledError",
        "2!",
        "3!",
    ]
    assert lane.batches == [["0", "2", "3"]]


async def test_a_caller_that_goes_away_during_its_batch_leaves_the_others_alone(runner: Runner) -> None:
    """Cancelling one of a batch that is running does not keep the others from their results."""
    lane = Recording()
    held = asyncio.ensure_future(runner.submit(lane, "hold", 1.0, FAR))
    await asyncio.sleep(0)
    await asyncio.to_thread(lane.begun.wait, 10)
    other = await queued(runner, lane, "other", FAR)
    held.cancel()
    lane.held.set()
    assert await other == "other!"


async def test_one_bad_member_never_hurts_its_batch(runner: Runner) -> None:
    """A batch that fails is run again member by member: only the bad one gets the error."""
    lane = Recording()
    async with Held(runner, lane):
        tasks = [await queued(runner, lane, p, FAR + i) for i, p in enumerate(("a", "bad", "c"))]
    good, bad, also_good = await asyncio.gather(*tasks, return_exceptions=True)
    assert (good, also_good) == ("a!", "c!")
    assert isinstance(bad, DetectorError)
    assert bad.problem is Problem.ERROR
    assert str(bad) == "model failed: ValueError"


async def test_an_error_in_place_of_a_result_is_that_jobs_alone(runner: Runner) -> None:
    """A lane may refuse one member of a batch by itself."""

    class Picky(Recording):
        def run(self, payloads: Sequence[object]) -> Sequence[object]:
            if payloads == ["hold"]:
                return Recording.run(self, payloads)
            return [DetectorError(Problem.ERROR, "no") if p == "b" else p for p in payloads]

    lane = Picky()
    async with Held(runner, lane):
        tasks = [await queued(runner, lane, p, FAR + i) for i, p in enumerate("abc")]
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(answer) for answer in answers] == ["a", "no", "c"]


async def test_lanes_take_turns_by_deadline(runner: Runner) -> None:
    """The lane whose head is due first runs first, whichever was asked first."""
    order: list[str] = []

    class Noting(Recording):
        def run(self, payloads: Sequence[object]) -> Sequence[object]:
            if payloads != ["hold"]:
                order.append(self.name)
            return Recording.run(self, payloads)

    slow, urgent = Noting(name="slow"), Noting(name="urgent")
    async with Held(runner, slow):
        tasks = [await queued(runner, slow, "s", 20.0), await queued(runner, urgent, "u", 10.0)]
    await asyncio.gather(*tasks)
    assert order == ["urgent", "slow"]


async def test_closing_fails_what_waits_and_refuses_what_comes(clock: Clock) -> None:
    """Nobody is left waiting for a model that has been shut down."""
    runner = Runner(1, monotonic=clock)
    lane = Recording()
    async with Held(runner, lane):
        waiting = await queued(runner, lane, "waiting", FAR)
        with ThreadPoolExecutor(1) as pool:
            closing = asyncio.get_running_loop().run_in_executor(pool, runner.close)
            lane.held.set()
            await closing
    for call in (waiting, asyncio.ensure_future(runner.submit(lane, "after", 1.0, FAR))):
        with pytest.raises(DetectorError) as refused:
            await call
        assert refused.value.problem is Problem.ERROR


async def test_batches_are_reported(clock: Clock) -> None:
    """The observer learns of each batch with its lane and number of jobs."""
    seen: list[tuple[str, int, float]] = []
    runner = Runner(1, monotonic=clock, on_batch=lambda lane, jobs, _, units: seen.append((lane, jobs, units)))
    lane = Recording()
    async with Held(runner, lane):
        tasks = [await queued(runner, lane, str(i), FAR + i, units=2.0) for i in range(3)]
    await asyncio.gather(*tasks)
    await asyncio.to_thread(runner.close)
    assert seen == [("model", 1, 1.0), ("model", 3, 6.0)]


async def test_many_callers_and_cancellations_leave_nobody_waiting(clock: Clock) -> None:
    """Thousands of jobs, a third of them cancelled at random moments: everyone else gets its own answer."""
    runner = Runner(2, monotonic=clock)
    lane = Recording(max_batch=8)
    tasks = []
    for i in range(3_000):
        tasks.append(asyncio.create_task(runner.submit(lane, i, 1.0, FAR)))
        if i % 3 == 0:
            tasks[i // 2].cancel()
        if i % 50 == 0:
            await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(runner.close)
    assert all(isinstance(a, asyncio.CancelledError) or a == f"{i}!" for i, a in enumerate(answers))
    assert runner.depth() == 0
