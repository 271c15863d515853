"""Stores filled with millions of decisions by the store itself, in minutes instead of hours."""

import time
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.schema import CreateIndex

from modgate.storage.database import Database
from modgate.storage.tables import decision_matches, decisions, review_items

__all__ = ["SENDERS", "fill"]

SENDERS = 100_000
_CONVERSATIONS = 20_000
_DETAILS = '{"matches":[{"rule_id":"insults","rule_revision":1,"detector":"words","label":"insult","score":1.0}]}'
_CHUNK = 500_000


def fill(database: Database, rows: int, *, days: float) -> None:
    """Fill an empty store with decisions spread over the last days: 5 % blocked, 1 % waiting for a moderator.

    Args:
        database: With its tables, empty.
        rows: How many.
        days: How far back the first one is.
    """
    begun_ms = int((time.time() - days * 86_400) * 1000)
    step = days * 86_400_000 / rows
    indexes = [index for table in (decisions, decision_matches, review_items) for index in table.indexes]
    with database.transaction(deadline=3600) as connection:
        for index in indexes:
            index.drop(connection)
    for start in range(0, rows, _CHUNK):
        with database.transaction(deadline=3600) as connection:
            _insert(connection, start, min(rows, start + _CHUNK), begun_ms, step)
    for index in indexes:
        with database.transaction(deadline=3600) as connection:
            connection.execute(CreateIndex(index))
    with database.transaction(deadline=3600) as connection:
        connection.exec_driver_sql("ANALYZE")


def _insert(connection: Connection, start: int, stop: int, begun_ms: int, step: float) -> None:
    if connection.dialect.name == "sqlite":
        source = f"WITH RECURSIVE n(i) AS (VALUES({start}) UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {stop})"  # noqa: S608 - numbers
        ms = f"CAST({begun_ms} + i * {step!r} AS INTEGER)"
        identity = f"printf('%012x7%019x', {ms}, i)"
        origin, mix = "n", "(i * 2654435761 & 4294967295)"
        flagged = "i % 100 = 0"
    else:
        source, origin = "", f"generate_series({start}::bigint, {stop - 1}) AS n(i)"
        ms = f"({begun_ms} + (i * {step!r}))::bigint"
        identity = f"lpad(to_hex({ms}), 12, '0') || '7' || lpad(to_hex(i), 19, '0')"
        mix, flagged = "((i * 2654435761::bigint) & 4294967295)", "i % 100 = 0"
    names: dict[str, Any] = {
        "id": identity,
        "decided_ms": ms,
        "app_id": "'bench'",
        "message_id": "'m' || i",
        "sender_id": f"'u' || ({mix} % {SENDERS})",
        "sender_name": "''",
        "receiver_id": "''",
        "conversation_id": f"'c' || ({mix} / 7 % {_CONVERSATIONS})",
        "conversation_name": "''",
        "conversation_type": "2",
        "verdict": "CASE WHEN i % 20 = 0 THEN 3 ELSE 1 END",
        "flagged": flagged,
        "ruleset_revision": "'r1'",
        "elapsed": "0.001",
        "text_form": "0",
        "text": "''",
        "details": f"CASE WHEN i % 20 = 0 THEN '{_DETAILS}' ELSE '{{}}' END",
    }
    columns, values = ", ".join(names), ", ".join(names.values())
    # Constants of this file and numbers; nothing comes from outside.
    _run(connection, f"INSERT INTO decisions ({columns}) {source} SELECT {values} FROM {origin}")  # noqa: S608
    first, last = (f"{int(begun_ms + i * step):012x}7{i:019x}" for i in (start, stop - 1))
    chunk = f"WHERE id >= '{first}' AND id <= '{last}'"
    _run(connection, f"INSERT INTO decision_matches SELECT 'rule:insults', id FROM decisions {chunk} AND verdict > 1")  # noqa: S608
    copied = "app_id, message_id, sender_id, receiver_id, conversation_id, conversation_type"
    _run(
        connection,
        "INSERT INTO review_items (id, decision_id, state, origin, flagged_ms, recorded_ms, text_form, text, note, "  # noqa: S608
        f"{copied}) SELECT id, id, 1, 'rule', decided_ms, decided_ms, 0, '', '', {copied} FROM decisions {chunk} "
        "AND flagged",
    )


def _run(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement.replace("%", "%%") if connection.dialect.name != "sqlite" else statement)
