"""Scores that were computed before, bounded in number, and computations that are in the air, shared."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from modgate.detectors.base import DetectorError, Problem

__all__ = ["ScoreCache"]

V = TypeVar("V")


class ScoreCache(Generic[V]):
    """Least-recently-used cache with single flight: equal questions at the same time are computed once."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._known: OrderedDict[Hashable, V] = OrderedDict()
        self._flying: dict[Hashable, _Flight[V]] = {}
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._known)

    def peek(self, key: Hashable) -> V | None:
        """Return the known value without counting a hit or computing anything."""
        return self._known.get(key)

    async def get(self, key: Hashable, compute: Callable[[], Awaitable[V]]) -> V:
        """Return the known value, join the computation in the air, or start one.

        The computation is cancelled when the last of those who wait for it is; its failure is everybody's, except that
        who joined one that ran out of time asks once more: its own deadline may be later.
        """
        joined = key in self._flying
        try:
            return await self._get(key, compute)
        except DetectorError as error:
            if not joined or error.problem is Problem.ERROR:
                raise
        return await self._get(key, compute)

    async def _get(self, key: Hashable, compute: Callable[[], Awaitable[V]]) -> V:
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            self.hits += 1
            return known
        flight = self._flying.get(key)
        if flight is None:
            self.misses += 1
            if self._capacity <= 0:
                return await compute()
            flight = self._flying[key] = _Flight(asyncio.ensure_future(compute()))
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        else:
            self.hits += 1
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._flying.pop(key, None)
                flight.task.cancel()

    def _landed(self, key: Hashable, task: "asyncio.Future[V]") -> None:
        flight = self._flying.get(key)
        if flight is not None and flight.task is task:
            del self._flying[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._known[key] = task.result()
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)


class _Flight(Generic[V]):
    __slots__ = ("task", "waiting")

    def __init__(self, task: "asyncio.Future[V]") -> None:
        self.task = task
        self.waiting = 0
