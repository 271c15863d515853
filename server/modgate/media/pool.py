"""Worker threads for decoding: bounded in number, bounded in queue, and never waited for beyond a deadline.

A thread cannot be killed. Work that runs past its deadline is *abandoned*: its caller gets an error at once, its
result is dropped, and a replacement thread takes over its place, up to a bound. If it ends after all, the surplus
thread goes away; if it never ends, it costs one thread and the memory of one picture. When the bound is reached and
all threads hang, callers are told BUSY immediately, and the message path goes on without pictures.

Pillow releases the interpreter lock while it decodes and resizes, so these threads do not hold up the event loop.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from modgate.media.errors import MediaError, MediaProblem
from modgate.media.memory import give_back

__all__ = ["DecodePool"]

T = TypeVar("T")

_REST = 1.0
"""Seconds without a picture after which memory is given back."""


@dataclass(slots=True, eq=False)
class _Job:
    work: Callable[[], Any]
    deadline: float
    loop: asyncio.AbstractEventLoop
    answer: "asyncio.Future[Any]" = field(init=False)
    running: bool = False
    abandoned: bool = False

    def __post_init__(self) -> None:
        self.answer = self.loop.create_future()

    def settle(self, result: object, error: BaseException | None) -> None:
        """Hand the outcome to the event loop; too late is not an error."""

        def put() -> None:
            if self.answer.done():
                return
            if error is None:
                self.answer.set_result(result)
            else:
                self.answer.set_exception(error)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(put)


class DecodePool:
    """Runs blocking work on pictures under a deadline.

    Args:
        workers: Threads that work at once.
        spare: Further threads that may replace those which hang.
        waiting: Jobs that may wait for a thread; more are refused.
        nice: How far below the event loop's thread the workers are scheduled (0..19).
    """

    def __init__(self, workers: int, *, spare: int = 2, waiting: int = 64, nice: int = 0) -> None:
        self._workers = workers
        self._most = workers + spare
        self._waiting = waiting
        self._nice = nice
        self._jobs: deque[_Job] = deque()
        self._threads = 0
        self._idle = 0
        self._abandoned = 0
        self._closed = False
        self._used = False
        self._change = threading.Condition()

    @property
    def hanging(self) -> int:
        """How many threads are still at work that nobody waits for."""
        return self._abandoned

    @property
    def depth(self) -> int:
        """How many jobs wait for a thread."""
        return len(self._jobs)

    async def run(self, work: Callable[[], T], deadline: float) -> T:
        """Run `work` in a thread.

        Args:
            work: What to do; should look at the deadline itself when it can.
            deadline: `time.monotonic()` seconds.

        Raises:
            MediaError: DEADLINE if it was not done in time, BUSY if too much was waiting. Also what `work` raises.
        """
        job = _Job(work, deadline, asyncio.get_running_loop())
        self._submit(job)
        try:
            answer: T = await asyncio.wait_for(job.answer, max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            raise MediaError(MediaProblem.DEADLINE) from error
        finally:
            self._leave(job)
        return answer

    def close(self, patience: float = 1.0) -> None:
        """End the threads; those at work may finish within `patience` seconds, those that hang are left behind.

        A thread that is still inside a decoder when the interpreter goes away would abort the process.
        """
        with self._change:
            self._closed = True
            self._jobs.clear()
            self._change.notify_all()
            self._change.wait_for(lambda: not self._threads, patience)

    def _submit(self, job: _Job) -> None:
        with self._change:
            if self._closed or len(self._jobs) >= self._waiting or self._abandoned >= self._most:
                raise MediaError(MediaProblem.BUSY, f"{len(self._jobs)} pictures wait, {self._abandoned} threads hang")
            self._jobs.append(job)
            if self._idle >= len(self._jobs):
                self._change.notify()
            else:
                self._grow()

    def _grow(self) -> None:
        if self._threads < min(self._workers + self._abandoned, self._most):
            self._threads += 1
            threading.Thread(target=self._serve, name="modgate-decode", daemon=True).start()

    def _leave(self, job: _Job) -> None:
        """Note that nobody waits for this job any more."""
        with self._change:
            if job.running and not job.abandoned:
                job.abandoned = True
                self._abandoned += 1
                if self._jobs:
                    self._grow()
            elif not job.running:
                with contextlib.suppress(ValueError):
                    self._jobs.remove(job)

    def _serve(self) -> None:
        if self._nice:
            # On Linux, priority is a property of the thread.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while (job := self._take()) is not None:
            if time.monotonic() >= job.deadline:
                job.settle(None, MediaError(MediaProblem.DEADLINE))
                self._finish(job)
                continue
            result: object = None
            error: BaseException | None = None
            try:
                result = job.work()
            except BaseException as raised:  # noqa: BLE001  whatever it is belongs to the caller, not to this thread
                error = raised
            self._finish(job)
            job.settle(result, error)

    def _take(self) -> _Job | None:
        with self._change:
            while True:
                if self._jobs:
                    job = self._jobs.popleft()
                    job.running = self._used = True
                    return job
                if self._closed or self._threads > self._workers + self._abandoned:
                    self._threads -= 1
                    self._change.notify_all()
                    return None
                self._idle += 1
                worked = self._change.wait(_REST if self._used else None)
                self._idle -= 1
                if not worked and self._used and not self._jobs:
                    self._used = False
                    # Without the lock: jobs that come meanwhile go to another thread.
                    self._change.release()
                    try:
                        give_back()
                    finally:
                        self._change.acquire()

    def _finish(self, job: _Job) -> None:
        with self._change:
            job.running = False
            if job.abandoned:
                self._abandoned -= 1
