"""Tells watching moderators and bots of new flags at once."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from modgate.review.desk import Item, ReviewDesk
from modgate.review.search import HistoryFilter
from modgate.storage.database import StoreError

__all__ = ["FlagWatch"]

_OVERLAP_MS = 10_000
_LOOK_EVERY = 1.0
_PAGE = 500
_REMEMBER = 20_000


class FlagWatch:
    """Items of this gate wake the watchers at once; those of other gates are found by looking every second.

    Args:
        desk: Where items are.
        now: Wall-clock seconds.
        look_every: Seconds.
    """

    def __init__(
        self, desk: ReviewDesk, *, now: Callable[[], float] = time.time, look_every: float = _LOOK_EVERY
    ) -> None:
        self._desk = desk
        self._now = now
        self._look_every = look_every
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed: set[asyncio.Event] = set()
        self._stopped = False

    def start(self) -> None:
        """Bind to the running event loop."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """End all watching."""
        self._stopped = True
        self.nudge()

    def nudge(self) -> None:
        """Something new is in the store."""
        for event in self._changed:
            event.set()

    def nudge_from_thread(self, _identities: list[str]) -> None:
        """Something new is in the store, says another thread."""
        if self._loop is not None:
            # The loop may be closed already while the last batch is stored.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self.nudge)

    async def items(self, wanted: HistoryFilter) -> AsyncIterator[Item]:
        """Yield every item that comes from now on, once, in the order in which the store took them in."""
        changed = asyncio.Event()
        self._changed.add(changed)
        try:
            since_ms = int(self._now() * 1000)
            seen: OrderedDict[str, None] = OrderedDict()
            # What is in the store already is not new, though the first look overlaps with it.
            with contextlib.suppress(StoreError):
                async for item in self._since(wanted, since_ms):
                    seen[str(item.row["id"])] = None
            while not self._stopped:
                changed.clear()
                with contextlib.suppress(StoreError):
                    async for item in self._since(wanted, since_ms):
                        since_ms = max(since_ms, int(item.row["recorded_ms"]))
                        if item.row["id"] not in seen:
                            seen[str(item.row["id"])] = None
                            yield item
                while len(seen) > _REMEMBER:
                    seen.popitem(last=False)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), self._look_every)
        finally:
            self._changed.discard(changed)

    async def _since(self, wanted: HistoryFilter, since_ms: int) -> AsyncIterator[Item]:
        # Transactions may become visible after later ones: look again at the last seconds.
        place, after = since_ms - _OVERLAP_MS, ""
        while True:
            page = await self._desk.recorded_since(wanted, place, after=after, limit=_PAGE)
            for item in page:
                yield item
            if len(page) < _PAGE:
                return
            place, after = int(page[-1].row["recorded_ms"]), str(page[-1].row["id"])
