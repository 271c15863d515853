"""Copies of sanctions among the gates of a fleet, through Valkey: at once by a channel, completely now and then."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import structlog
from valkey.asyncio import Valkey

from modgate.penalties.book import SanctionBook
from modgate.penalties.sanction import Sanction, SanctionTarget
from modgate.rules.ruleset import PenaltyType, SanctionScope
from modgate.storage.valkey import AWAY

__all__ = ["SanctionReplica"]

_KEPT_AFTER_END = 86_400.0
_LONGEST_PAUSE = 2.0
_WAITING_AT_MOST = 10_000
_AT_ONCE = 200


class SanctionReplica:
    """A hash of all sanctions and a channel of changes.

    Every gate that finds the server without a sanction it knows of puts it back: a server that lost its memory has
    it again within a period.

    Args:
        book: This gate's.
        client: Valkey or Redis.
        prefix: Begins every key.
        sync_every: Seconds between two complete copies.
        now: Wall-clock seconds.
    """

    def __init__(
        self,
        book: SanctionBook,
        client: Valkey,
        *,
        prefix: str = "modgate",
        sync_every: float = 30.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        # The library types its methods for its blocking twin as well.
        self._client: Any = client
        self._key = f"{prefix}:sanctions"
        self._channel = f"{prefix}:sanctions:changes"
        self._sync_every = sync_every
        self._now = now
        self._changed: asyncio.Queue[Sanction | str] = asyncio.Queue(_WAITING_AT_MOST)
        self._log = structlog.get_logger("modgate.sanctions")
        self.away = False

    def publish(self, sanction: Sanction) -> None:
        """Tell the other gates; returns at once. What does not fit now is in the next complete copy."""
        if not self._changed.full():
            self._changed.put_nowait(sanction)

    def forget(self, app_id: str, user_id: str) -> None:
        """Tell the other gates that a user was erased."""
        if not self._changed.full():
            self._changed.put_nowait(json.dumps({"erased": [app_id, user_id]}))

    async def run(self) -> None:
        """Keep book and server in step, whatever happens to the server, until cancelled."""
        pause = 0.1
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._send())
                    tasks.create_task(self._receive())
            except* AWAY as errors:
                if not self.away:
                    self._log.warning("valkey away, sanctions stay local", error=str(errors.exceptions[0]))
                self.away = True
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2) if self.away else 0.1

    async def copy(self) -> None:
        """Copy everything both ways, a little at a time: the event loop has messages to answer."""
        now = self._now()
        there: set[str] = set()
        async for identity, line in self._client.hscan_iter(self._key, count=_AT_ONCE):
            there.add(identity)
            sanction = self._read(line)
            if sanction is not None:
                await self._compare(sanction, now)
        for number, sanction in enumerate(self._book, 1):
            if sanction.id not in there and (sanction.in_force(now) or sanction.lifted_at is not None):
                await self._client.hset(self._key, sanction.id, _to_json(sanction))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _compare(self, sanction: Sanction, now: float) -> None:
        end = sanction.lifted_at or sanction.expires_at
        mine = self._book.get(sanction.id)
        if end is not None and end + _KEPT_AFTER_END < now:
            await self._client.hdel(self._key, sanction.id)
        elif sanction.lifted_at is None and mine is not None and mine.lifted_at is not None:
            await self._client.hset(self._key, sanction.id, _to_json(mine))
        elif sanction.lifted_at is not None or sanction.in_force(now):
            self._book.put(sanction)

    async def _send(self) -> None:
        while True:
            change = await self._changed.get()
            if isinstance(change, str):
                await self._erase(change)
                continue
            line = _to_json(change)
            async with self._client.pipeline(transaction=True) as pipe:
                pipe.hset(self._key, change.id, line)
                pipe.publish(self._channel, line)
                await pipe.execute()

    async def _erase(self, line: str) -> None:
        app_id, user_id = json.loads(line)["erased"]
        there: dict[str, str] = await self._client.hgetall(self._key)
        sanctions = map(self._read, there.values())
        gone = [s.id for s in sanctions if s and s.app_id == app_id and user_id in (s.user_id, s.for_user_id)]
        if gone:
            await self._client.hdel(self._key, *gone)
        await self._client.publish(self._channel, line)

    def _take(self, line: str) -> None:
        if line.startswith('{"erased"'):
            self._book.erase_user(*json.loads(line)["erased"])
            return
        sanction = self._read(line)
        if sanction is not None:
            self._book.put(sanction)

    def _read(self, line: str) -> Sanction | None:
        try:
            return _from_json(line)
        except (ValueError, TypeError, LookupError) as error:
            # Of a version to come, or not ours at all: the others must arrive all the same.
            self._log.warning("cannot read a shared sanction", error=type(error).__name__)
            return None

    async def _receive(self) -> None:
        async with self._client.pubsub() as channel:
            await channel.subscribe(self._channel)
            due = 0.0
            while True:
                if time.monotonic() >= due:
                    await self.copy()
                    due = time.monotonic() + self._sync_every
                    if self.away:
                        self._log.info("valkey back, sanctions shared")
                    self.away = False
                message = await channel.get_message(ignore_subscribe_messages=True, timeout=0.5)
                if message is not None:
                    self._take(message["data"])


def _to_json(sanction: Sanction) -> str:
    return json.dumps(asdict(sanction), separators=(",", ":"), sort_keys=True)


def _from_json(line: str) -> Sanction:
    raw = json.loads(line)
    return Sanction(
        **raw
        | {
            "target": SanctionTarget(raw["target"]),
            "type": PenaltyType(raw["type"]),
            "scope": SanctionScope(raw["scope"]),
            "exempt_roles": tuple(raw["exempt_roles"]),
        }
    )
