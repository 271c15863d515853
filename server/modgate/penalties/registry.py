"""Sanctions for good: in the store with their audit trail, and in the book that the gate asks."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from sqlalchemy import Connection, Row, select

from modgate.gate.ports import new_decision_id
from modgate.penalties.book import SanctionBook
from modgate.penalties.sanction import Sanction
from modgate.review.archive import audit_row, insert_new
from modgate.review.entry import bounded, sanction_of, sanction_row, user_hash
from modgate.storage.database import Database
from modgate.storage.tables import audit, erasures, sanctions

__all__ = ["NoSuchSanctionError", "SanctionEvent", "SanctionRegistry", "Share"]

_AT_ONCE = 500
_OVERLAP_MS = 10_000


class NoSuchSanctionError(LookupError):
    """There is no sanction with this id, or it has ended."""


class Share(Protocol):
    """Tells other gates; must not block or raise."""

    def publish(self, sanction: Sanction) -> None:
        """Send a sanction, new or changed."""
        ...


@dataclass(frozen=True, slots=True)
class SanctionEvent:
    """One line of the audit trail."""

    id: str
    sanction_id: str
    event: str
    author: str
    reason: str
    at_ms: int


class SanctionRegistry:
    """Awaited by the control plane and by the loop that keeps the book in step with the store.

    Args:
        book: What the gate asks.
        database: The store.
        share: Tells other gates at once; without one they read the store every few seconds.
        now: Wall-clock seconds.
        new_id: Ids that sort by time.
    """

    def __init__(
        self,
        book: SanctionBook,
        database: Database,
        *,
        share: Share | None = None,
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = new_decision_id,
    ) -> None:
        self._book = book
        self._database = database
        self._share = share
        self._now = now
        self._new_id = new_id
        self._seen_ms = 0
        self._erased_ms = 0

    async def impose(self, sanction: Sanction, *, seconds: float | None) -> Sanction:
        """Put a sanction in force and return it with its id and times.

        Args:
            sanction: What to impose; its id and times are set here.
            seconds: For how long; None until it is lifted.
        """
        now = self._now()
        fresh = replace(
            sanction,
            id=self._new_id(),
            imposed_at=now,
            expires_at=None if seconds is None else now + seconds,
            lifted_at=None,
        )
        await self.keep(fresh)
        self._put(fresh)
        return fresh

    async def keep(self, sanction: Sanction) -> None:
        """Write a sanction into the store, if it is not there."""
        at_ms = int(self._now() * 1000)
        row = sanction_row(sanction)
        event = audit_row(
            "sanction", row["id"], "imposed", row["imposed_ms"], author=row["author"], reason=row["reason"]
        )

        def work(connection: Connection) -> None:
            insert_new(connection, sanctions, [row | {"changed_ms": at_ms}])
            insert_new(connection, audit, [event])

        await self._database.call(work, write=True)

    async def lift(self, identity: str, *, author: str, reason: str) -> Sanction:
        """End a sanction before its time and return it.

        Raises:
            NoSuchSanctionError: It does not exist or has ended.
        """
        now = self._now()
        at_ms = int(now * 1000)
        table = sanctions

        def work(connection: Connection) -> Sanction:
            standing = (table.c.lifted_ms.is_(None)) & ((table.c.expires_ms.is_(None)) | (table.c.expires_ms > at_ms))
            lifted = connection.execute(
                table.update().where(table.c.id == identity, standing).values(lifted_ms=at_ms, changed_ms=at_ms)
            )
            if lifted.rowcount != 1:
                raise NoSuchSanctionError(f"no sanction {identity} is in force")
            event = audit_row("sanction", identity, "lifted", at_ms, author=author, reason=reason)
            insert_new(connection, audit, [event])
            return _sanction(connection.execute(select(table).where(table.c.id == identity)).one())

        sanction = await self._database.call(work, write=True)
        self._put(sanction)
        return sanction

    async def page(
        self,
        *,
        app_id: str = "",
        user_id: str = "",
        conversation_id: str = "",
        include_ended: bool = False,
        limit: int,
        before: str = "",
    ) -> tuple[list[Sanction], str]:
        """Return a page of sanctions, newest first, and the place to go on from; empty if there is no more."""
        table = sanctions
        now_ms = int(self._now() * 1000)
        conditions = [
            table.c[column] == bounded(value)
            for column, value in (("app_id", app_id), ("user_id", user_id), ("conversation_id", conversation_id))
            if value
        ]
        if not include_ended:
            conditions.append(table.c.lifted_ms.is_(None))
            conditions.append((table.c.expires_ms.is_(None)) | (table.c.expires_ms > now_ms))
        if before:
            conditions.append(table.c.id < before)
        query = select(table).where(*conditions).order_by(table.c.id.desc()).limit(limit + 1)
        rows = await self._database.call(lambda connection: connection.execute(query).all())
        return [_sanction(row) for row in rows[:limit]], str(rows[limit - 1].id) if len(rows) > limit else ""

    async def events(self, *, sanction_id: str = "", limit: int, before: str = "") -> tuple[list[SanctionEvent], str]:
        """Return a page of the audit trail, newest first, and the place to go on from."""
        table = audit
        conditions = [table.c.kind == "sanction"]
        if sanction_id:
            conditions.append(table.c.subject_id == sanction_id)
        if before:
            conditions.append(table.c.id < before)
        query = select(table).where(*conditions).order_by(table.c.id.desc()).limit(limit + 1)
        rows = await self._database.call(lambda connection: connection.execute(query).all())
        found = [SanctionEvent(r.id, r.subject_id, r.event, r.author, r.reason, r.at_ms) for r in rows[:limit]]
        return found, found[-1].id if len(rows) > limit else ""

    async def sync(self) -> int:
        """Copy what changed in the store since the last time into the book; return how much of it was new.

        The first time, everything is copied that would be in force, had it not been lifted: an older copy may have
        come from the journal. Transactions may become visible late, so each look overlaps
        with the one before.
        """
        now_ms = int(self._now() * 1000)
        table = sanctions
        since = max(0, self._seen_ms - _OVERLAP_MS)
        in_force = (table.c.expires_ms.is_(None)) | (table.c.expires_ms > now_ms)
        query = select(table).where(table.c.changed_ms >= since, in_force)
        erased_since = max(0, self._erased_ms - _OVERLAP_MS)

        def work(connection: Connection) -> tuple[Sequence[Row[Any]], set[str]]:
            gone = connection.execute(select(erasures.c.user_hash).where(erasures.c.at_ms >= erased_since)).scalars()
            return connection.execute(query).all(), set(gone) if erased_since else set()

        rows, gone = await self._database.call(work)
        self._seen_ms = self._erased_ms = now_ms
        if gone:
            await self._forget(gone)
        return self._book.put_all(_sanction(row) for row in rows)

    def erase_user(self, app_id: str, user_id: str) -> None:
        """Forget a user in the book."""
        self._book.erase_user(app_id, user_id)

    async def _forget(self, gone: set[str]) -> None:
        for number, sanction in enumerate(self._book, 1):
            if user_hash(sanction.app_id, sanction.user_id) in gone:
                self._book.remove(sanction.id)
            if number % _AT_ONCE == 0:
                # The event loop has messages to answer.
                await asyncio.sleep(0)

    def _put(self, sanction: Sanction) -> None:
        self._book.put(sanction)
        if self._share is not None:
            self._share.publish(sanction)


def _sanction(row: Row[Any]) -> Sanction:
    return sanction_of(dict(row._mapping))  # noqa: SLF001 - the documented way to a row as a mapping
