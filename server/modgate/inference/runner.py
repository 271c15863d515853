"""The deadline queue: a few worker threads that run models in batches, the most urgent first.

Every model has a *lane*. A free worker takes the lane whose head is due first, and fills a batch with jobs as long as
the most urgent member still gets done in time: of like size, or of any if the model packs them. So a batch forms only
while all workers are busy: nothing ever waits for company. Work that cannot finish is not begun, and work whose caller
has gone is dropped; neither touches its batch mates.
"""

import asyncio
import heapq
import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from modgate.detectors.base import DetectorError, Problem
from modgate.inference.estimate import ServiceTime

__all__ = ["Lane", "Runner"]

_LOOKED_AT = 64
"""Jobs that a batch passes over, at most, in search of some that fit its first member."""
_MOST_PADDING = 1.15
_SLACK = 0.35
"""Share of the time left that waiting work may not fill."""


class Lane(Protocol):
    """A model as the runner sees it."""

    @property
    def name(self) -> str:
        """Name for metrics and thread dumps."""
        ...

    @property
    def service_time(self) -> ServiceTime:
        """How long a batch of so many units takes."""
        ...

    @property
    def max_batch(self) -> int:
        """Most jobs in a batch."""
        ...

    @property
    def max_units(self) -> float:
        """Most units in a batch, padding included; a single job may exceed it."""
        ...

    @property
    def packed(self) -> bool:
        """Whether a batch costs the sum of its jobs; otherwise all are padded to the largest."""
        ...

    def run(self, payloads: Sequence[object]) -> Sequence[object]:
        """Run a batch in a worker thread; an exception in the place of a result concerns that job alone."""
        ...


@dataclass(slots=True, order=True)
class _Job:
    deadline: float
    serial: int
    units: float = field(compare=False)
    payload: object = field(compare=False)
    future: "asyncio.Future[object]" = field(compare=False)
    cost: float = field(compare=False)


class _Queue:
    """One lane's waiting jobs and the work that they amount to."""

    __slots__ = ("backlog", "jobs", "lane")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.jobs: list[_Job] = []
        self.backlog = 0.0

    def push(self, job: _Job) -> None:
        heapq.heappush(self.jobs, job)
        self.backlog += job.cost

    def pop(self) -> _Job:
        job = heapq.heappop(self.jobs)
        self.backlog = max(0.0, self.backlog - job.cost) if self.jobs else 0.0
        return job


class Runner:
    """Worker threads over the queues of all lanes. Submit from one event loop; close before that loop ends."""

    def __init__(
        self,
        workers: int,
        *,
        nice: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
        on_batch: Callable[[str, int, float, float], None] | None = None,
    ) -> None:
        """Start the workers.

        Args:
            workers: Threads; as many as there are cores for models.
            nice: How far below the event loop's thread the workers are scheduled (0..19).
            monotonic: The clock of deadlines.
            on_batch: Told the lane, the number of jobs, and the seconds waited and run, from a worker thread.
        """
        self._monotonic = monotonic
        self._on_batch = on_batch
        self._nice = nice
        self._ready = threading.Condition()
        self._queues: dict[str, _Queue] = {}
        self._serial = itertools.count()
        # One slot a worker, written by that worker alone: its length never changes under a reader.
        self._busy_until = [0.0] * workers
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, args=(i,), name=f"modgate-model-{i}", daemon=True)
            for i in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def workers(self) -> int:
        """How many threads run models."""
        return len(self._threads)

    def depth(self) -> int:
        """Return how many jobs wait."""
        return sum(len(queue.jobs) for queue in self._queues.values())

    async def submit(self, lane: Lane, payload: object, units: float, deadline: float) -> object:
        """Run a payload through a lane and return its result; the arguments and errors are those of `enqueue`."""
        return await self.enqueue(lane, payload, units, deadline)

    def enqueue(self, lane: Lane, payload: object, units: float, deadline: float) -> "asyncio.Future[object]":
        """Queue a payload for a lane and return the future of its result. Cancel that, and the work is not begun.

        Args:
            lane: The model.
            payload: What the lane's `run` takes.
            units: Size of the work, in the units of the lane's service time.
            deadline: Monotonic seconds by which the result is needed.

        Raises:
            DetectorError: OVERLOAD at once if the work that waits leaves no time for this. The future fails with
                TIMEOUT if its time came before its turn, and with ERROR if the model failed.
        """
        self.admit(lane, units, deadline)
        loop = asyncio.get_running_loop()
        cost = lane.service_time.predict(units)
        job = _Job(deadline, next(self._serial), units, payload, loop.create_future(), cost)
        with self._ready:
            if self._closed:
                raise DetectorError(Problem.ERROR, "the models are shut down")
            queue = self._queues.get(lane.name)
            if queue is None:
                queue = self._queues[lane.name] = _Queue(lane)
            queue.push(job)
            self._ready.notify()
        return job.future

    def admit(self, lane: Lane, units: float, deadline: float) -> None:
        """Refuse work that would come too late, before anything is spent on it. Takes no lock.

        Raises:
            DetectorError: OVERLOAD.
        """
        # However slow things look, a few jobs are always tried: only what runs can show that it got better.
        if self.depth() < 2 * self.workers:
            return
        now = self._monotonic()
        # A queue that is filled to the deadline answers everything at the last moment, and the way back makes it late.
        latest = deadline - _SLACK * (deadline - now)
        if self._earliest_start(now) + lane.service_time.predict(units) > latest:
            lane.service_time.forgive()
            raise DetectorError(Problem.OVERLOAD, f"{lane.name}: the queue leaves no time for this")

    def _earliest_start(self, now: float) -> float:
        running = sum(max(0.0, until - now) for until in self._busy_until)
        waiting = sum(queue.backlog for queue in self._queues.values())
        return now + (running + waiting) / max(1, len(self._threads))

    def close(self) -> None:
        """Let running batches end, fail what waits, and join the workers."""
        with self._ready:
            self._closed = True
            waiting = [job for queue in self._queues.values() for job in queue.jobs]
            self._queues.clear()
            self._ready.notify_all()
        for job in waiting:
            _settle(job, DetectorError(Problem.ERROR, "the models are shut down"))
        for thread in self._threads:
            thread.join(timeout=5)

    def _work(self, index: int) -> None:
        if self._nice:
            # On Linux, priority is a property of the thread.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while True:
            with self._ready:
                while not self._closed and not any(queue.jobs for queue in self._queues.values()):
                    self._ready.wait()
                if self._closed:
                    return
                lane, batch, dropped = self._take()
                units = _units(lane, batch)
                if batch:
                    self._busy_until[index] = self._monotonic() + lane.service_time.predict(units)
            _deliver(dropped, [DetectorError(Problem.TIMEOUT, f"{lane.name}: no time left")] * len(dropped))
            if batch:
                self._run(lane, batch, units)
                self._busy_until[index] = 0.0

    def _take(self) -> tuple[Lane, list[_Job], list[_Job]]:
        """Return the next batch, and the jobs whose time had come; called with the lock held."""
        queue = min((q for q in self._queues.values() if q.jobs), key=lambda q: q.jobs[0])
        lane, now = queue.lane, self._monotonic()
        batch: list[_Job] = []
        dropped: list[_Job] = []
        unlike: list[_Job] = []
        while queue.jobs and len(batch) < lane.max_batch and len(unlike) < _LOOKED_AT:
            job = queue.pop()
            if job.future.cancelled():
                continue
            if now + lane.service_time.predict(job.units) > job.deadline:
                lane.service_time.forgive()
                dropped.append(job)
                continue
            if not batch:
                batch.append(job)
                continue
            batch.append(job)
            size = _units(lane, batch)
            # The first member is the most urgent; what would make it late waits for another batch.
            if (
                size > lane.max_units
                or not (lane.packed or _alike(batch[0].units, job.units))
                or now + lane.service_time.predict(size) > batch[0].deadline
            ):
                unlike.append(batch.pop())
        for job in unlike:
            queue.push(job)
        return lane, batch, dropped

    def _run(self, lane: Lane, batch: list[_Job], units: float) -> None:
        started = self._monotonic()
        results: Sequence[object]
        try:
            results = lane.run([job.payload for job in batch])
        except Exception as error:  # noqa: BLE001 - whatever the model raises is that batch's answer
            results = [error] * len(batch)
            if len(batch) > 1:
                # One bad member must not hurt the others: each gets its own run.
                results = [_alone(lane, job) for job in batch]
        seconds = self._monotonic() - started
        lane.service_time.observe(units, seconds)
        _deliver(batch, results)
        if self._on_batch is not None:
            self._on_batch(lane.name, len(batch), seconds, units)


def _alike(first: float, second: float) -> bool:
    """Return whether two jobs fit one batch: all rows are padded to the longest, and padding is work for nothing."""
    return max(first, second) <= _MOST_PADDING * min(first, second) + 1


def _units(lane: Lane, batch: Sequence[_Job]) -> float:
    """Return the size of a batch."""
    if lane.packed:
        return sum(job.units for job in batch)
    return max((job.units for job in batch), default=0.0) * len(batch)


def _alone(lane: Lane, job: _Job) -> object:
    try:
        return lane.run([job.payload])[0]
    except Exception as error:  # noqa: BLE001 - the answer of this job
        return error


def _deliver(jobs: Sequence[_Job], results: Sequence[object]) -> None:
    """Hand results to the event loop: one wake-up for the whole batch."""
    if not jobs:
        return
    loop = jobs[0].future.get_loop()

    def settle() -> None:
        for job, result in zip(jobs, results, strict=True):
            _settle(job, result)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        return  # the loop has ended: nobody waits any more


def _settle(job: _Job, result: object) -> None:
    if job.future.done():
        return
    if isinstance(result, DetectorError):
        job.future.set_exception(result)
    elif isinstance(result, Exception):
        failure = DetectorError(Problem.ERROR, f"model failed: {type(result).__name__}")
        failure.__cause__ = result
        job.future.set_exception(failure)
    else:
        job.future.set_result(result)
