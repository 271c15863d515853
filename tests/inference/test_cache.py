"""Scores known before, and scores in the air."""

import asyncio

import pytest
from tests.gate.clock import run

from modgate.detectors.base import DetectorError, Problem
from modgate.inference.cache import ScoreCache


class Computing:
    """Counts computations, and takes a second for each."""

    def __init__(self, error: Exception | None = None) -> None:
        self.begun = 0
        self.cancelled = 0
        self.error = error

    async def __call__(self) -> str:
        self.begun += 1
        number = self.begun
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return f"v{number}"


def test_a_known_score_is_not_computed_again() -> None:
    """The second question is a hit."""
    compute = Computing()

    async def twice() -> tuple[list[str], int, int]:
        cache = ScoreCache[str](10)
        values = [await cache.get("k", compute) for _ in range(2)]
        return values, cache.hits, cache.misses

    assert run(twice()) == (["v1", "v1"], 1, 1)


def test_equal_questions_at_the_same_time_are_computed_once() -> None:
    """Everyone who asks while the answer is in the air shares it."""
    compute = Computing()

    async def together() -> list[str]:
        cache = ScoreCache[str](10)
        return await asyncio.gather(*(cache.get("k", compute) for _ in range(10)))

    assert run(together()) == ["v1"] * 10


def test_one_who_goes_away_does_not_take_the_answer_from_the_others() -> None:
    """Cancelling the first of three who wait cancels nothing else."""
    compute = Computing()

    async def leave() -> list[str]:
        cache = ScoreCache[str](10)
        calls = [asyncio.ensure_future(cache.get("k", compute)) for _ in range(3)]
        await asyncio.sleep(0.1)
        calls[0].cancel()
        return await asyncio.gather(*calls[1:])

    assert run(leave()) == ["v1", "v1"]
    assert compute.cancelled == 0


def test_when_all_have_gone_the_computation_is_cancelled() -> None:
    """Nobody waits, so nothing is computed; who comes later gets a computation of its own."""
    compute = Computing()

    async def leave() -> str:
        cache = ScoreCache[str](10)
        calls = [asyncio.ensure_future(cache.get("k", compute)) for _ in range(2)]
        await asyncio.sleep(0.1)
        for call in calls:
            call.cancel()
        await asyncio.sleep(0)
        return await cache.get("k", compute)

    assert run(leave()) == "v2"
    assert compute.cancelled == 1


def test_a_failure_is_not_remembered() -> None:
    """Those who waited get the failure; the next one who asks gets another attempt."""
    failing = Computing(ValueError("no"))

    async def fail() -> tuple[list[str], str]:
        cache = ScoreCache[str](10)
        failed = await asyncio.gather(*(cache.get("k", failing) for _ in range(2)), return_exceptions=True)
        return [type(f).__name__ for f in failed], await cache.get("k", Computing())

    assert run(fail()) == (["ValueError", "ValueError"], "v1")


@pytest.mark.parametrize("problem", [Problem.TIMEOUT, Problem.OVERLOAD])
def test_anothers_lack_of_time_is_not_ones_own(problem: Problem) -> None:
    """A message with time left does not inherit the failure of one whose deadline was nearer: it asks again."""
    hasty, patient = Computing(DetectorError(problem)), Computing()

    async def join() -> tuple[str, str]:
        cache = ScoreCache[str](10)
        first = asyncio.ensure_future(cache.get("k", hasty))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(cache.get("k", patient))
        with pytest.raises(DetectorError):
            await first
        return await second, await cache.get("k", patient)

    assert run(join()) == ("v1", "v1")


def test_the_least_recently_used_makes_room() -> None:
    """Capacity is kept by forgetting what was not asked for longest."""

    async def fill() -> tuple[int, list[str]]:
        cache = ScoreCache[str](2)
        for key in ("a", "b", "a", "c"):
            await cache.get(key, Computing())
        again = Computing()
        again.begun = 10
        return len(cache), [await cache.get(key, again) for key in ("a", "b")]

    assert run(fill()) == (2, ["v1", "v11"])


def test_without_capacity_everything_is_computed() -> None:
    """A cache of none is no cache."""
    compute = Computing()

    async def twice() -> list[str]:
        cache = ScoreCache[str](0)
        return [await cache.get("k", compute) for _ in range(2)]

    assert run(twice()) == ["v1", "v2"]
