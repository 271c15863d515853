"""Recent answers by message, so that a gateway that repeats a call gets the same answer and is counted once."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from modgate.message import Message

__all__ = ["RecentAnswers"]

T = TypeVar("T")


class RecentAnswers(Generic[T]):
    """Remembers answers to messages that carry an id, for a while and up to a number.

    A message that was edited has another text, media or payload and is judged anew. What is kept should be flat,
    such as encoded bytes: tens of thousands of object graphs would make every full garbage collection a pause that
    callers feel.
    """

    def __init__(self, *, keep_seconds: float = 60.0, capacity: int = 20_000) -> None:
        self._keep_seconds = keep_seconds
        self._capacity = capacity
        self._known: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._flying: dict[Hashable, asyncio.Future[T] | None] = {}

    async def once(self, key: Hashable | None, now: float, judge: Callable[[], Awaitable[tuple[T, bool]]]) -> T:
        """Return the recent answer to a message, or judge it and remember that.

        Args:
            key: What `key` returned for the message; without one it is always judged.
            now: Monotonic seconds.
            judge: Called if there is no answer yet; returns it and whether it is worth keeping.
        """
        if key is None:
            return (await judge())[0]
        while True:
            known = self.get(key, now)
            if known is not None:
                return known
            if key not in self._flying:
                return await self._judge(key, now, judge)
            # The first call is still being judged. It may be cancelled by its own caller, which is no answer.
            future = self._flying[key]
            if future is None:
                future = self._flying[key] = asyncio.get_running_loop().create_future()
            await asyncio.wait([future])
            if not future.cancelled():
                return future.result()

    def get(self, key: Hashable | None, now: float) -> T | None:
        """Return the recent answer to a message by its key, or None if there is none yet."""
        known = self._known.get(key) if key is not None else None
        return known[1] if known is not None and known[0] > now else None

    def is_flying(self, key: Hashable | None) -> bool:
        """Return whether the message is being judged right now."""
        return key in self._flying

    def put(self, key: Hashable | None, now: float, answer: T) -> None:
        """Remember the answer to a message that was judged without waiting."""
        if key is None:
            return
        self._known[key] = (now + self._keep_seconds, answer)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)

    @staticmethod
    def key(message: Message, variant: Hashable = None) -> Hashable | None:
        """Return what identifies a call about a message, or None if the message has no id."""
        if not message.id:
            return None
        media = tuple((item.id, len(item.data), hash(item.data)) for item in message.media)
        custom = json.dumps(message.custom, sort_keys=True, default=str) if message.custom else ""
        place = message.app_id, message.conversation.id, message.sender.id
        return *place, message.id, message.text, media, custom, variant

    async def _judge(self, key: Hashable, now: float, judge: Callable[[], Awaitable[tuple[T, bool]]]) -> T:
        self._flying[key] = None
        try:
            answer, keep = await judge()
        except BaseException:
            future = self._flying.pop(key)
            if future is not None:
                future.cancel()
            raise
        if keep:
            self.put(key, now, answer)
        future = self._flying.pop(key)
        if future is not None:
            future.set_result(answer)
        return answer
