"""The decode pool: deadlines hold whatever the work does, and what hangs stays bounded."""

import asyncio
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from tests.media.pictures import soon

from modgate.media.errors import MediaError, MediaProblem
from modgate.media.pool import DecodePool


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What hanging work waits for; opened at the end, so that no thread stays behind."""
    event = threading.Event()
    yield event
    event.set()


async def _problem(pool: DecodePool, gate: threading.Event, deadline: float) -> MediaProblem:
    with pytest.raises(MediaError) as error:
        await pool.run(gate.wait, deadline)
    return error.value.problem


async def test_runs_work_in_a_thread() -> None:
    """Results come back, and so do the errors of the work."""
    pool = DecodePool(2)
    assert await pool.run(threading.get_ident, soon()) != threading.get_ident()
    squares = [pool.run(partial(pow, n, 2), soon()) for n in range(50)]
    assert await asyncio.gather(*squares) == [n * n for n in range(50)]
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 // 0, soon())
    pool.close()


async def test_hanging_work_is_replaced(gate: threading.Event) -> None:
    """Work that hangs is abandoned at its deadline, and other work goes on in a replacement thread."""
    pool = DecodePool(1, spare=2)
    assert await _problem(pool, gate, time.monotonic() + 0.05) is MediaProblem.DEADLINE
    assert pool.hanging == 1
    assert await pool.run(lambda: "done", soon()) == "done"
    pool.close()


async def test_when_every_thread_hangs(gate: threading.Event) -> None:
    """When all threads hang, callers are told at once instead of waiting; when they come back, work goes on."""
    pool = DecodePool(1, spare=1)
    for _ in range(2):
        assert await _problem(pool, gate, time.monotonic() + 0.05) is MediaProblem.DEADLINE
    assert pool.hanging == 2
    assert await _problem(pool, gate, soon()) is MediaProblem.BUSY
    gate.set()
    while pool.hanging:  # noqa: ASYNC110  threads set it
        await asyncio.sleep(0.001)
    assert await asyncio.gather(*(pool.run(lambda: 1, soon()) for _ in range(5))) == [1] * 5
    pool.close()


async def test_the_queue_is_bounded(gate: threading.Event) -> None:
    """More work than may wait is refused; waiting work that is cancelled makes room."""
    pool = DecodePool(1, waiting=1)
    running = asyncio.ensure_future(pool.run(gate.wait, soon()))
    await asyncio.sleep(0)
    while pool.depth:  # noqa: ASYNC110  a thread empties it
        await asyncio.sleep(0.001)
    waiting = asyncio.ensure_future(pool.run(lambda: 1, soon()))
    await asyncio.sleep(0)
    assert await _problem(pool, gate, soon()) is MediaProblem.BUSY
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert pool.depth == 0
    after = asyncio.ensure_future(pool.run(lambda: 2, soon()))
    await asyncio.sleep(0)
    gate.set()
    assert await running
    assert await after == 2
    pool.close()


async def test_work_that_is_too_late_is_not_begun() -> None:
    """Work whose deadline passes while it waits never runs."""
    pool = DecodePool(1)
    ran: list[int] = []
    with pytest.raises(MediaError) as error:
        await pool.run(lambda: ran.append(1), time.monotonic() - 1.0)
    assert error.value.problem is MediaProblem.DEADLINE
    await pool.run(lambda: None, soon())
    assert ran == []
    pool.close()


async def test_memory_is_given_back_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no picture has come for a while, what the allocator kept is handed back, once."""
    given: list[int] = []
    rested = threading.Event()

    def give_back() -> None:
        given.append(1)
        rested.set()

    monkeypatch.setattr("modgate.media.pool._REST", 0.01)
    monkeypatch.setattr("modgate.media.pool.give_back", give_back)
    pool = DecodePool(1)
    await pool.run(threading.get_ident, soon())
    assert await asyncio.to_thread(rested.wait, 10)
    assert await pool.run(lambda: len(given), soon()) == 1
    pool.close()
