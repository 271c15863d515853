"""Writes decisions, flags, sanctions and the audit trail into the store, in one transaction a batch."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, select
from sqlalchemy.dialects import postgresql

from modgate.penalties.sanction import Sanction
from modgate.review.entry import DecisionRow, Entry, bounded, user_hash
from modgate.storage.database import Database
from modgate.storage.journal import Position
from modgate.storage.tables import (
    audit,
    decision_matches,
    decisions,
    journal_positions,
    review_items,
    sanctions,
)

__all__ = ["ERASURE_LOCK", "Archive", "audit_row", "insert_new"]

ERASURE_LOCK = 7_032_416_850_912
"""Advisory lock of PostgreSQL: batches share it, an erasure has it alone, so that no batch slips past one."""

_OPEN = 1
_VARIABLES = 999
"""Values of one statement; older builds of SQLite take no more."""


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, leaving out those whose key is there already.

    Args:
        connection: An open transaction.
        table: Where to.
        rows: All with the same columns, in any order; columns that are left out get their default.
    """
    if rows:
        columns = tuple(rows[0])
        insert_tuples(connection, table, columns, [tuple(row[column] for column in columns) for row in rows])


def insert_tuples(
    connection: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows whose values are in the order of `columns`, leaving out those whose key is there already.

    Each store is given many rows at once in the form that holds up the event loop least, which shares the interpreter:
    few statements, since a thread that comes back from one waits for the loop, and makes it wait. For PostgreSQL that
    is one JSON text, which the server takes apart.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        for start, count in _strides(len(rows), _VARIABLES // len(columns)):
            values = tuple(chain.from_iterable(rows[start : start + count]))
            connection.exec_driver_sql(_sqlite_insert(table, columns, count), values)
    else:
        connection.exec_driver_sql(_postgres_insert(table, columns), (json.dumps(rows),))


# Names of tables and columns are ours; values are passed beside the statements.


@lru_cache
def _sqlite_insert(table: Table, columns: tuple[str, ...], count: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    places = ", ".join([row] * count)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {places} ON CONFLICT DO NOTHING"  # noqa: S608


@lru_cache
def _postgres_insert(table: Table, columns: tuple[str, ...]) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # the library's
    typed = (f"(e->>{n})::{table.c[column].type.compile(dialect)}" for n, column in enumerate(columns))
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(typed)} "  # noqa: S608
        "FROM json_array_elements(%s::json) AS e ON CONFLICT DO NOTHING"
    )


def _strides(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield beginnings and lengths of strides, the lengths powers of two: few different statements to prepare."""
    start = 0
    stride = 1 << most.bit_length() - 1
    while start < count:
        while stride > count - start:
            stride //= 2
        yield start, stride
        start += stride


def audit_row(kind: str, subject_id: str, event: str, at_ms: int, *, author: str, reason: str) -> dict[str, Any]:
    """Return a line of the audit trail; the same event of the same moment has the same id, whoever writes it."""
    tail = hashlib.sha256(f"{kind}\x00{subject_id}\x00{event}".encode()).hexdigest()[:20]
    return {
        "id": f"{at_ms:012x}{tail}",
        "at_ms": at_ms,
        "kind": kind,
        "subject_id": subject_id,
        "event": event,
        "author": bounded(author),
        "reason": reason.replace("\x00", ""),
    }


class Archive:
    """The writing side of the history. Synchronous: for the draining thread.

    Args:
        database: The store.
        now: Wall-clock seconds.
    """

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._now = now

    def position(self, journal_id: str) -> Position | None:
        """Return how far a journal is in the store; None if nothing of it is."""
        query = select(journal_positions.c.segment, journal_positions.c.byte).where(
            journal_positions.c.journal_id == journal_id
        )
        with self._database.transaction(write=False) as connection:
            row = connection.execute(query).first()
        return None if row is None else Position(row.segment, row.byte)

    def write(
        self, entries: Sequence[Entry], journal: tuple[str, Position] | None = None, *, deadline: float = 10.0
    ) -> list[str]:
        """Put entries and the journal's new position into the store, both or neither.

        Args:
            entries: In order; those that are in the store already change nothing.
            journal: The journal's identity and the position behind its last entry among these.
            deadline: Seconds for a statement.

        Returns:
            Ids of the items that wait for a moderator now.
        """
        recorded_ms = int(self._now() * 1000)
        with self._database.transaction(deadline=deadline) as connection:
            if not self._database.is_sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({ERASURE_LOCK})")
            entries = _without_erased(connection, entries)
            rows = [entry["row"] for entry in entries if entry["row"] is not None]
            insert_tuples(connection, decisions, DecisionRow._fields, rows)
            names = [
                (name, entry["row"].id) for entry in entries if entry["row"] is not None for name in entry["names"]
            ]
            insert_tuples(connection, decision_matches, ("name", "decision_id"), names)
            flagged = [_item(row, recorded_ms) for row in rows if row.flagged]
            insert_new(connection, review_items, flagged)
            imposed = [row | {"changed_ms": recorded_ms} for entry in entries for row in entry["sanctions"]]
            insert_new(connection, sanctions, imposed)
            insert_new(connection, audit, [_imposed(row) for row in imposed])
            if journal is not None:
                self._move(connection, *journal, recorded_ms)
        return [str(item["id"]) for item in flagged]

    def expired(self, ended: Sequence[Sanction]) -> None:
        """Note in the audit trail that sanctions ended by themselves; every gate of a fleet may say so."""
        rows = [
            audit_row("sanction", s.id, "expired", int((s.expires_at or 0.0) * 1000), author="time", reason=s.reason)
            for s in ended
        ]
        with self._database.transaction() as connection:
            insert_new(connection, audit, rows)

    @staticmethod
    def _move(connection: Connection, identity: str, position: Position, at_ms: int) -> None:
        mark = "?" if connection.dialect.name == "sqlite" else "%s"
        # As text: building the statement anew costs more than running it, several times a second.
        connection.exec_driver_sql(
            f"INSERT INTO journal_positions (journal_id, segment, byte, drained_ms) VALUES ({', '.join([mark] * 4)}) "  # noqa: S608 - marks
            "ON CONFLICT (journal_id) DO UPDATE "
            "SET segment = excluded.segment, byte = excluded.byte, drained_ms = excluded.drained_ms",
            (identity, position.segment, position.offset, at_ms),
        )


def _imposed(row: Mapping[str, Any]) -> dict[str, Any]:
    return audit_row("sanction", row["id"], "imposed", row["imposed_ms"], author=row["author"], reason=row["reason"])


def _item(row: DecisionRow, recorded_ms: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "decision_id": row.id,
        "state": _OPEN,
        "origin": "rule",
        "flagged_ms": row.decided_ms,
        "recorded_ms": recorded_ms,
        "app_id": row.app_id,
        "message_id": row.message_id,
        "sender_id": row.sender_id,
        "receiver_id": row.receiver_id,
        "conversation_id": row.conversation_id,
        "conversation_type": row.conversation_type,
        # The decision has the text; a second copy would have to be erased twice.
        "text_form": 0,
        "text": "",
        "note": "",
    }


def _without_erased(connection: Connection, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Leave out what was decided before its sender was erased: it was on its way while the user went."""
    if not entries:
        return entries
    since = min(map(_at_ms, entries))
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    found = connection.exec_driver_sql(f"SELECT user_hash, at_ms FROM erasures WHERE at_ms >= {mark}", (since,))  # noqa: S608 - a mark
    erased: dict[str, int] = {row[0]: row[1] for row in found}
    if not erased:
        return entries
    return [entry for entry in entries if _at_ms(entry) > erased.get(_sender(entry), -1)]


def _sender(entry: Entry) -> str:
    row = entry["row"]
    if row is not None:
        return user_hash(row.app_id, row.sender_id)
    first = entry["sanctions"][0]
    return user_hash(first["app_id"], first["user_id"])


def _at_ms(entry: Entry) -> int:
    row = entry["row"]
    return row.decided_ms if row is not None else int(entry["sanctions"][0]["imposed_ms"])
