"""Writes decisions, flags, sanctions and the audit trail into the store, in one transaction a batch."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, select

from modgate.penalties.sanction import Sanction
from modgate.review.entry import DecisionRow, Entry, bounded, user_hash
from modgate.storage.database import Database
from modgate.storage.journal import Position
from modgate.storage.tables import (
    audit,
    decision_matches,
    decisions,
    erasures,
    journal_positions,
    review_items,
    sanctions,
)

__all__ = ["ERASURE_LOCK", "Archive", "audit_row", "insert_new"]

ERASURE_LOCK = 7_032_416_850_912
"""Advisory lock of PostgreSQL: batches share it, an erasure has it alone, so that no batch slips past one."""

_OPEN = 1


def insert_new(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, leaving out those whose key is there already.

    Each store is given all rows at once in the form that costs this process least: it shares the interpreter with the
    event loop. For PostgreSQL that is one JSON text, which the server takes apart.

    Args:
        connection: An open transaction.
        table: Where to.
        rows: All with the same columns, in any order; columns that are left out get their default.
    """
    if not rows:
        return
    columns = tuple(rows[0])
    named = ", ".join(columns)
    # Names of tables and columns are ours; values are passed beside the statement.
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table.name} ({named}) VALUES ({places}) ON CONFLICT DO NOTHING"  # noqa: S608
        connection.exec_driver_sql(statement, [tuple(row[column] for column in columns) for row in rows])
        return
    statement = (
        f"INSERT INTO {table.name} ({named}) SELECT {named} "  # noqa: S608
        f"FROM json_populate_recordset(NULL::{table.name}, %s::json) ON CONFLICT DO NOTHING"
    )
    connection.exec_driver_sql(statement, (json.dumps(rows),))


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
        self, entries: Sequence[Entry], journal: tuple[str, Position] | None = None, *, deadline: float = 30.0
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
            insert_new(connection, decisions, rows)
            insert_new(
                connection,
                decision_matches,
                [
                    {"name": name, "decision_id": entry["row"]["id"]}
                    for entry in entries
                    if entry["row"] is not None
                    for name in entry["names"]
                ],
            )
            flagged = [_item(row, recorded_ms) for row in rows if row["flagged"]]
            insert_new(connection, review_items, flagged)
            imposed = [row | {"changed_ms": recorded_ms} for entry in entries for row in entry["sanctions"]]
            insert_new(connection, sanctions, imposed)
            insert_new(
                connection,
                audit,
                [
                    audit_row(
                        "sanction",
                        row["id"],
                        "imposed",
                        row["imposed_ms"],
                        author=row["author"],
                        reason=row["reason"],
                    )
                    for row in imposed
                ],
            )
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
        values = {"segment": position.segment, "byte": position.offset, "drained_ms": at_ms}
        table = journal_positions
        moved = connection.execute(table.update().where(table.c.journal_id == identity).values(**values))
        if moved.rowcount == 0:
            connection.execute(table.insert().values(journal_id=identity, **values))


def _item(row: DecisionRow, recorded_ms: int) -> dict[str, Any]:
    return {
        "id": row["id"],
        "decision_id": row["id"],
        "state": _OPEN,
        "origin": "rule",
        "flagged_ms": row["decided_ms"],
        "recorded_ms": recorded_ms,
        "app_id": row["app_id"],
        "message_id": row["message_id"],
        "sender_id": row["sender_id"],
        "receiver_id": row["receiver_id"],
        "conversation_id": row["conversation_id"],
        "conversation_type": row["conversation_type"],
        # The decision has the text; a second copy would have to be erased twice.
        "text_form": 0,
        "text": "",
        "note": "",
    }


def _without_erased(connection: Connection, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Leave out what was decided before its sender was erased: it was on its way while the user went."""
    senders = {_sender(entry): None for entry in entries if entry["row"] is not None or entry["sanctions"]}
    if not senders:
        return entries
    query = select(erasures.c.user_hash, erasures.c.at_ms).where(erasures.c.user_hash.in_(list(senders)))
    erased = {row.user_hash: row.at_ms for row in connection.execute(query)}
    if not erased:
        return entries
    return [entry for entry in entries if _at_ms(entry) > erased.get(_sender(entry), -1)]


def _sender(entry: Entry) -> str:
    row = entry["row"]
    if row is not None:
        return user_hash(row["app_id"], row["sender_id"])
    first = entry["sanctions"][0]
    return user_hash(first["app_id"], first["user_id"])


def _at_ms(entry: Entry) -> int:
    row = entry["row"]
    return row["decided_ms"] if row is not None else int(entry["sanctions"][0]["imposed_ms"])
