"""Recent decisions by message, so that a gateway that repeats a call gets the same answer and is counted once."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modgate.gate.decision import Decision
from modgate.message import Message

__all__ = ["RecentDecisions"]

_Key = tuple[object, ...]


@dataclass(slots=True)
class _Entry:
    expires: float
    decision: "Decision | asyncio.Future[Decision]"


class RecentDecisions:
    """Remembers decisions of messages that carry an id, for a while and up to a number.

    A message that was edited has another text and is judged anew; an answer that needed a fallback is not kept, so
    that a repeated call may get the full one.
    """

    def __init__(self, *, keep_seconds: float = 60.0, capacity: int = 20_000) -> None:
        self._keep = keep_seconds
        self._capacity = capacity
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()

    async def once(
        self, message: Message, now: float, judge: Callable[[], Awaitable[Decision]], *, variant: object = None
    ) -> Decision:
        """Return the recent decision about this message, or judge it and remember that.

        Args:
            message: The message; without an id it is always judged.
            now: Monotonic seconds.
            judge: Called if there is no decision yet.
            variant: What else makes two calls differ, such as whether an explanation is wanted.
        """
        if not message.id:
            return await judge()
        key = _key(message, variant)
        entry = self._entries.get(key)
        if entry is not None and entry.expires > now:
            known = entry.decision
            if isinstance(known, Decision):
                return known
            # The first call is still being judged. It may be cancelled by its own caller, which is no answer.
            await asyncio.wait([known])
            if not known.cancelled() and known.exception() is None:
                return known.result()
        return await self._judge(key, now, judge)

    async def _judge(self, key: _Key, now: float, judge: Callable[[], Awaitable[Decision]]) -> Decision:
        future: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        entry = _Entry(now + self._keep, future)
        self._entries[key] = entry
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        try:
            decision = await judge()
        except BaseException:
            future.cancel()
            self._forget(key, entry)
            raise
        future.set_result(decision)
        if decision.fallback is None:
            entry.decision = decision
        else:
            self._forget(key, entry)
        return decision

    def _forget(self, key: _Key, entry: _Entry) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]


def _key(message: Message, variant: object) -> _Key:
    media = tuple((item.id, len(item.data), hash(item.data)) for item in message.media)
    return message.app_id, message.conversation.id, message.sender.id, message.id, message.text, media, variant
