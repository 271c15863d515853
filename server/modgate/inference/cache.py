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
        if flight is not None:
            self.hits += 1
            return await flight.join()
        self.misses += 1
        if self._capacity <= 0:
            return await compute()
        flight = self._flying[key] = _Flight(asyncio.ensure_future(compute()), lambda: self._flying.pop(key, None))
        flight.future.add_done_callback(lambda future: self._landed(key, flight, future))
        return await flight.join()

    def _landed(self, key: Hashable, flight: "_Flight[V]", future: "asyncio.Future[V]") -> None:
        if self._flying.get(key) is flight:
            del self._flying[key]
        flight.land()
        if future.cancelled() or future.exception() is not None:
            return
        self._known[key] = future.result()
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)


class _Flight(Generic[V]):
    """A computation in the air and those who wait for it, each with a future of its own.

    `asyncio.shield` would do the same with a future and two callbacks more for every message.
    """

    __slots__ = ("_abandoned", "_waiting", "future")

    def __init__(self, future: "asyncio.Future[V]", abandoned: Callable[[], object]) -> None:
        self.future = future
        self._abandoned = abandoned
        self._waiting: set[asyncio.Future[V]] = set()

    async def join(self) -> V:
        """Wait for the value. Who leaves as the last takes the computation along."""
        waiter: asyncio.Future[V] = self.future.get_loop().create_future()
        self._waiting.add(waiter)
        try:
            return await waiter
        finally:
            self._waiting.discard(waiter)
            if not self._waiting and not self.future.done():
                self._abandoned()
                self.future.cancel()

    def land(self) -> None:
        """Hand the outcome to all who wait."""
        error = None if self.future.cancelled() else self.future.exception()
        for waiter in self._waiting:
            if waiter.done():
                continue
            if self.future.cancelled():
                waiter.cancel()
            elif error is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(self.future.result())
