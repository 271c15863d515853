"""The moderators' desk: what waits for them, what they decide, and what users report."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from modgate.gate.ports import new_decision_id
from modgate.review.archive import audit_row, insert_new
from modgate.review.entry import StoredDecision, bounded, stored_decision
from modgate.review.search import BadPageTokenError, HistoryFilter, id_bounds, match_exists
from modgate.storage.database import Database
from modgate.storage.seal import KeptText, TextForm, TextSealer
from modgate.storage.tables import audit, decisions, review_items

__all__ = [
    "AlreadyDecidedError",
    "Item",
    "NoSuchItemError",
    "Report",
    "ReviewDesk",
    "ReviewState",
    "UnknownReasonError",
]


class ReviewState(IntEnum):
    """How far an item has come; numbers of the contract."""

    OPEN = 1
    ASKED = 2
    APPROVED = 3
    BLOCKED = 4


class NoSuchItemError(LookupError):
    """There is no item with this id."""


class AlreadyDecidedError(Exception):
    """Somebody else was faster."""


class UnknownReasonError(ValueError):
    """A report gave a reason that is not configured."""


@dataclass(frozen=True, slots=True)
class Item:
    """Something a moderator looks at.

    Attributes:
        row: The columns of `review_items`.
        decision: The decision about the message, if the history has it.
        text: The reported text, if the decision does not have it.
    """

    row: Mapping[str, Any]
    decision: StoredDecision | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A user's complaint about a message, or about a user if `message_id` is empty."""

    app_id: str
    reporter_id: str
    reason: str
    note: str = ""
    message_id: str = ""
    text: str = ""
    sender_id: str = ""
    conversation_id: str = ""
    user_id: str = ""


class ReviewDesk:
    """All of it over the store; awaited by the control plane.

    Args:
        database: The store.
        sealer: Opens and seals texts.
        reasons: Reasons that a report may give, in order; others are refused.
        flagged_text: What is kept of reported texts: `none`, `hash` or `full`.
        now: Wall-clock seconds.
        new_id: Ids that sort by time.
    """

    def __init__(
        self,
        database: Database,
        sealer: TextSealer,
        *,
        reasons: Sequence[str],
        flagged_text: str = "full",
        now: Callable[[], float] = time.time,
        new_id: Callable[[], str] = new_decision_id,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self.reasons = tuple(reasons)
        self._flagged_text = flagged_text
        self._now = now
        self._new_id = new_id

    async def waiting(self, wanted: HistoryFilter, *, limit: int, after: str = "") -> tuple[list[Item], str]:
        """Return a page of what waits, oldest first, and the place to go on from; empty if there is no more."""

        def work(connection: Connection) -> tuple[list[Item], str]:
            conditions = [review_items.c.state <= ReviewState.ASKED, *_conditions(wanted)]
            if after:
                conditions.append(review_items.c.id > after)
            query = select(review_items).where(*conditions).order_by(review_items.c.id).limit(limit + 1)
            items = self._items(connection, connection.execute(query).all())
            return items[:limit], str(items[limit - 1].row["id"]) if len(items) > limit else ""

        return await self._database.call(work)

    async def reviewed(
        self, wanted: HistoryFilter, *, limit: int, state: int = 0, moderator: str = "", before: str = ""
    ) -> tuple[list[Item], str]:
        """Return a page of what was decided, newest first, and the place to go on from.

        Raises:
            BadPageTokenError: `before` is no place.
        """
        table = review_items

        def work(connection: Connection) -> tuple[list[Item], str]:
            conditions = [table.c.state > ReviewState.ASKED, *_conditions(wanted)]
            if state:
                conditions.append(table.c.state == state)
            if moderator:
                conditions.append(table.c.moderator == moderator)
            if before:
                at, _, identity = before.partition(":")
                if not at.isdecimal():
                    raise BadPageTokenError("not a page token of this server")
                conditions.append(
                    (table.c.decided_ms < int(at)) | ((table.c.decided_ms == int(at)) & (table.c.id < identity))
                )
            query = select(table).where(*conditions).order_by(table.c.decided_ms.desc(), table.c.id.desc())
            items = self._items(connection, connection.execute(query.limit(limit + 1)).all())
            place = f"{items[limit - 1].row['decided_ms']}:{items[limit - 1].row['id']}" if len(items) > limit else ""
            return items[:limit], place

        return await self._database.call(work)

    async def recorded_since(
        self, wanted: HistoryFilter, since_ms: int, *, after: str = "", limit: int = 500
    ) -> list[Item]:
        """Return items that wait and that the store took in from this time on, in that order.

        Args:
            wanted: Which.
            since_ms: Milliseconds since the epoch.
            after: Of those taken in at exactly this time, only items with a greater id.
            limit: At most so many.
        """
        table = review_items

        def work(connection: Connection) -> list[Item]:
            later = (table.c.recorded_ms > since_ms) | ((table.c.recorded_ms == since_ms) & (table.c.id > after))
            conditions = [
                table.c.recorded_ms >= since_ms,
                later,
                table.c.state <= ReviewState.ASKED,
                *_conditions(wanted),
            ]
            query = select(table).where(*conditions).order_by(table.c.recorded_ms, table.c.id).limit(limit)
            return self._items(connection, connection.execute(query).all())

        return await self._database.call(work)

    async def decide(self, identity: str, state: ReviewState, *, moderator: str, note: str) -> Item:
        """Approve, block or ask about an item.

        Raises:
            NoSuchItemError: There is none.
            AlreadyDecidedError: Somebody was faster; the message says who decided what.
        """
        table = review_items
        at_ms = int(self._now() * 1000)
        # A question may follow nothing but silence; a verdict may follow a question.
        from_states = [ReviewState.OPEN] if state is ReviewState.ASKED else [ReviewState.OPEN, ReviewState.ASKED]
        values = {"state": int(state), "moderator": bounded(moderator), "note": note.replace("\x00", "")}
        if state is not ReviewState.ASKED:
            values["decided_ms"] = at_ms

        def work(connection: Connection) -> Item:
            won = connection.execute(
                table.update().where(table.c.id == identity, table.c.state.in_(from_states)).values(**values)
            )
            rows = connection.execute(select(table).where(table.c.id == identity)).all()
            if not rows:
                raise NoSuchItemError(f"there is no item {identity}")
            if won.rowcount != 1:
                row = rows[0]
                raise AlreadyDecidedError(f"{row.moderator or 'somebody'} was faster: {ReviewState(row.state).name}")
            event = audit_row("review", identity, state.name.lower(), at_ms, author=moderator, reason=note)
            insert_new(connection, audit, [event])
            return self._items(connection, rows)[0]

        return await self._database.call(work, write=True)

    async def report(self, report: Report) -> Item:
        """Flag a message or a user for a user; the same report made twice is one item.

        Raises:
            UnknownReasonError: The reason is not configured.
        """
        if report.reason not in self.reasons:
            raise UnknownReasonError(f"must be one of: {', '.join(self.reasons)}")
        at_ms = int(self._now() * 1000)
        fresh = self._new_id()

        def work(connection: Connection) -> Item:
            identity = _same_report(connection, report)
            if identity is None:
                identity = fresh
                insert_new(connection, review_items, [self._row_of(connection, report, fresh, at_ms)])
            rows = connection.execute(select(review_items).where(review_items.c.id == identity)).all()
            return self._items(connection, rows)[0]

        return await self._database.call(work, write=True)

    def _row_of(self, connection: Connection, report: Report, identity: str, at_ms: int) -> dict[str, Any]:
        known = _decision_of(connection, report) if report.message_id else None
        row: dict[str, Any] = {
            "id": identity,
            "decision_id": "" if known is None else known.id,
            "state": int(ReviewState.OPEN),
            "origin": "report",
            "flagged_ms": at_ms,
            "recorded_ms": at_ms,
            "app_id": bounded(report.app_id),
            "message_id": bounded(report.message_id),
            "sender_id": bounded(report.sender_id or report.user_id),
            "receiver_id": "",
            "conversation_id": bounded(report.conversation_id),
            "conversation_type": 0,
            "reason": bounded(report.reason),
            "reporter_id": bounded(report.reporter_id),
            "reported_user_id": bounded(report.user_id),
            "note": report.note.replace("\x00", ""),
        }
        if known is not None:
            copied = ("sender_id", "receiver_id", "conversation_id", "conversation_type")
            row |= {column: getattr(known, column) for column in copied}
        kept = self._sealer.keep(report.text, self._flagged_text, identity)
        return row | {"text_form": int(kept.form), "text": kept.value.replace("\x00", "\N{REPLACEMENT CHARACTER}")}

    def _items(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[Item]:
        wanted = {row.decision_id for row in rows if row.decision_id}
        found: dict[str, StoredDecision] = {}
        if wanted:
            query = select(decisions).where(decisions.c.id.in_(sorted(wanted)))
            for row in connection.execute(query).mappings():
                found[row["id"]] = stored_decision(dict(row), self._sealer)
        return [
            Item(
                row=dict(row._mapping),  # noqa: SLF001 - the documented way to a row as a mapping
                decision=found.get(row.decision_id),
                text=self._sealer.open(KeptText(TextForm(row.text_form), row.text), row.id),
            )
            for row in rows
        ]


def _conditions(wanted: HistoryFilter) -> list[ColumnElement[bool]]:
    table = review_items
    conditions = [table.c[column] == value for column, value in wanted.places.items()]
    if wanted.conversation_type:
        conditions.append(table.c.conversation_type == wanted.conversation_type)
    if wanted.reason:
        conditions.append(table.c.reason == wanted.reason)
    conditions += [match_exists(name, table.c.decision_id) for name in wanted.names]
    return conditions + id_bounds(wanted, table.c.id, table.c.flagged_ms)


def _decision_of(connection: Connection, report: Report) -> Row[Any] | None:
    table = decisions
    conditions = [table.c.message_id == bounded(report.message_id), table.c.app_id == bounded(report.app_id)]
    if report.sender_id:
        conditions.append(table.c.sender_id == bounded(report.sender_id))
    if report.conversation_id:
        conditions.append(table.c.conversation_id == bounded(report.conversation_id))
    return connection.execute(select(table).where(*conditions).order_by(table.c.id.desc()).limit(1)).first()


def _same_report(connection: Connection, report: Report) -> str | None:
    table = review_items
    about = report.sender_id or report.user_id
    conditions = [
        table.c.origin == "report",
        table.c.state <= ReviewState.ASKED,
        table.c.app_id == bounded(report.app_id),
        table.c.message_id == bounded(report.message_id),
        table.c.reported_user_id == bounded(report.user_id),
        table.c.reporter_id == bounded(report.reporter_id),
        table.c.reason == bounded(report.reason),
    ]
    if about:
        conditions.append(table.c.sender_id == bounded(about))
    row = connection.execute(select(table.c.id).where(*conditions).limit(1)).first()
    return None if row is None else str(row.id)
