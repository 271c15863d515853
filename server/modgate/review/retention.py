"""Removes old decisions, a small batch at a time, so that nobody notices."""

import time
from collections.abc import Callable

import structlog
from sqlalchemy import ColumnElement, Connection, delete, func, select

from modgate.review.desk import ReviewState
from modgate.storage.database import Database
from modgate.storage.tables import audit, decision_matches, decisions, review_items, sanctions

__all__ = ["Retention", "stored_bytes"]

_BATCH = 200
_REST = 6
"""Rests between batches, for each second of work."""
_SWEEP_LOCK = 7_032_416_850_913
_POSTGRES_INDEX_SHARE = 0.45
_SAMPLE = 500


class Retention:
    """Synchronous: for a thread of its own.

    Args:
        database: The store.
        max_age: Seconds after which decisions go; None to keep them.
        max_bytes: Bytes beyond which the oldest decisions go; None for no bound.
        pause: Seconds between two batches, at least.
        stopped: Asked between batches.
        now: Wall-clock seconds.
    """

    def __init__(
        self,
        database: Database,
        *,
        max_age: float | None,
        max_bytes: int | None = None,
        pause: float = 0.02,
        stopped: Callable[[], bool] = lambda: False,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._max_age = max_age
        self._max_bytes = max_bytes
        self._pause = pause
        self._stopped = stopped
        self._now = now
        self._log = structlog.get_logger("modgate.history")

    def sweep(self) -> int:
        """Remove what is due and return how many decisions that were. What waits for a moderator stays."""
        removed = 0
        if self._max_age is not None:
            cutoff_ms = int((self._now() - self._max_age) * 1000)
            removed += self._remove(f"{max(0, cutoff_ms):012x}", None)
            self._remove_rest(cutoff_ms)
        if self._max_bytes is not None:
            removed += self._shrink(self._max_bytes)
        if removed:
            self._database.give_back_space()
            self._log.info("old decisions removed", decisions=removed)
        return removed

    def _shrink(self, max_bytes: int) -> int:
        with self._database.transaction(write=False, deadline=60.0) as connection:
            size = stored_bytes(connection)
            if size <= max_bytes:
                return 0
            rows = connection.execute(select(func.count()).select_from(decisions)).scalar_one()
        # What is left after this is measured again at the next sweep.
        return self._remove(None, max(1, int(rows * (1 - max_bytes / size))))

    def _remove(self, before: str | None, at_most: int | None) -> int:
        removed = 0
        place = ""
        while not self._stopped() and (at_most is None or removed < at_most):
            batch = _BATCH if at_most is None else min(_BATCH, at_most - removed)
            begun = time.monotonic()
            with self._database.transaction() as connection:
                # One gate of a fleet is enough.
                last, count = _oldest(connection, before, place, batch) if self._mine(connection) else ("", 0)
                if not count:
                    break
                _delete(connection, place, last)
            place = last
            removed += count
            # A store on the same machine, or shared with others, has them to serve most of the time.
            time.sleep(max(self._pause, _REST * (time.monotonic() - begun)))
        return removed

    def _mine(self, connection: Connection) -> bool:
        if self._database.is_sqlite:
            return True
        return bool(connection.exec_driver_sql(f"SELECT pg_try_advisory_xact_lock({_SWEEP_LOCK})").scalar())

    def _remove_rest(self, cutoff_ms: int) -> None:
        """Remove decided reports without a decision, and sanctions that ended long ago, with their audit trail."""
        over = (sanctions.c.expires_ms < cutoff_ms) | (sanctions.c.lifted_ms < cutoff_ms)
        decided = (review_items.c.state > ReviewState.ASKED) & (review_items.c.decided_ms < cutoff_ms)
        with self._database.transaction(deadline=60.0) as connection:
            for kind, ended in (
                ("sanction", select(sanctions.c.id).where(over)),
                ("review", select(review_items.c.id).where(decided)),
            ):
                connection.execute(delete(audit).where(audit.c.kind == kind, audit.c.subject_id.in_(ended)))
            connection.execute(delete(sanctions).where(over))
            connection.execute(delete(review_items).where(decided))


def stored_bytes(connection: Connection) -> int:
    """Return about how many bytes the history takes: used pages of SQLite, rows and an index share of PostgreSQL."""
    if connection.dialect.name == "sqlite":
        used, free, size = (
            int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (used - free) * size
    rows = connection.execute(select(func.count()).select_from(decisions)).scalar_one()
    # The files of a table do not shrink when rows go, so their size says nothing about what is left.
    width = connection.exec_driver_sql(
        f"SELECT avg(pg_column_size(d.*)) FROM (SELECT * FROM decisions ORDER BY id DESC LIMIT {_SAMPLE}) d"  # noqa: S608 - a constant
    ).scalar()
    return int(rows * float(width or 0.0) / (1 - _POSTGRES_INDEX_SHARE))


def _waits() -> ColumnElement[bool]:
    item = review_items.c
    return select(item.id).where(item.decision_id == decisions.c.id, item.state <= ReviewState.ASKED).exists()


def _oldest(connection: Connection, before: str | None, place: str, limit: int) -> tuple[str, int]:
    """Return the last id of the next batch, and how many decisions that is."""
    batch = select(decisions.c.id).where(~_waits(), decisions.c.id > place).order_by(decisions.c.id).limit(limit)
    if before is not None:
        batch = batch.where(decisions.c.id < before)
    ids = batch.subquery()
    last, count = connection.execute(select(func.max(ids.c.id), func.count()).select_from(ids)).one()
    return last or "", count


def _delete(connection: Connection, after: str, last: str) -> None:
    """Remove the decisions of a batch with all that hangs on them.

    The store finds them by the range: hundreds of ids in every statement would keep the interpreter busy, for which
    the event loop waits.
    """
    # The range is said of every table: what is said of one alone, a planner does not carry over to the others.
    doomed = select(decisions.c.id).where(*_within(decisions.c.id, after, last), ~_waits())
    hanging = *_within(review_items.c.decision_id, after, last), review_items.c.decision_id.in_(doomed)
    items = select(review_items.c.id).where(*hanging)
    matches = decision_matches.c.decision_id
    connection.execute(delete(decision_matches).where(*_within(matches, after, last), matches.in_(doomed)))
    connection.execute(delete(audit).where(audit.c.kind == "review", audit.c.subject_id.in_(items)))
    connection.execute(delete(review_items).where(*hanging))
    connection.execute(delete(decisions).where(*_within(decisions.c.id, after, last), ~_waits()))


def _within(column: ColumnElement[str], after: str, last: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return column > after, column <= last
