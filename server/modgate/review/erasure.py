"""Erases a user, and proves it without keeping what was erased."""

import hashlib
from dataclasses import dataclass, field

from sqlalchemy import Connection, Select, delete, select, update

from modgate.review.archive import ERASURE_LOCK, audit_row, insert_new
from modgate.review.entry import bounded, user_hash
from modgate.storage.database import Database
from modgate.storage.tables import audit, decision_matches, decisions, erasures, review_items, sanctions

__all__ = ["Erased", "erase_user"]

_DEADLINE = 600.0


@dataclass(slots=True)
class Erased:
    """What was removed.

    Attributes:
        removed: Rows by kind.
        proof: SHA-256 over lines `kind:id` of everything removed, sorted by id within each kind.
    """

    removed: dict[str, int] = field(default_factory=dict)
    proof: str = ""


def erase_user(database: Database, app_id: str, user_id: str, *, at_ms: int, author: str) -> Erased:
    """Remove a user's decisions, reports about the user, sanctions and their audit trail; synchronous, all or nothing.

    Where the user was the receiver of another's message or made a report, only the user's id is removed. What is still
    on its way from a journal, here or at another gate, is left out when it arrives: the store remembers a hash of the
    user and the time. On SQLite the freed pages are overwritten.
    """
    user, app = bounded(user_id), bounded(app_id)
    mine = select(decisions.c.id).where(decisions.c.sender_id == user, decisions.c.app_id == app)
    reported = select(review_items.c.id).where(
        review_items.c.app_id == app, (review_items.c.sender_id == user) | (review_items.c.reported_user_id == user)
    )
    imposed = select(sanctions.c.id).where(
        sanctions.c.app_id == app, (sanctions.c.user_id == user) | (sanctions.c.for_user_id == user)
    )
    erased = Erased()
    digest = hashlib.sha256()
    with database.transaction(deadline=_DEADLINE) as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ERASURE_LOCK})")
        for kind, query in (("decisions", mine), ("review_items", reported), ("sanctions", imposed)):
            erased.removed[kind] = _count(connection, kind, query, digest)
        for kind, subjects in (("review", reported), ("sanction", imposed)):
            connection.execute(delete(audit).where(audit.c.kind == kind, audit.c.subject_id.in_(subjects)))
        connection.execute(delete(decision_matches).where(decision_matches.c.decision_id.in_(mine)))
        connection.execute(delete(review_items).where(review_items.c.id.in_(reported)))
        connection.execute(delete(sanctions).where(sanctions.c.id.in_(imposed)))
        connection.execute(delete(decisions).where(decisions.c.sender_id == user, decisions.c.app_id == app))
        named = decisions.c.receiver_id == user, decisions.c.app_id == app
        erased.removed["receiver_ids"] = connection.execute(
            update(decisions).where(*named).values(receiver_id="")
        ).rowcount
        mentioned = review_items.c.receiver_id == user, review_items.c.app_id == app
        connection.execute(update(review_items).where(*mentioned).values(receiver_id=""))
        complained = review_items.c.reporter_id == user, review_items.c.app_id == app
        erased.removed["reporter_ids"] = connection.execute(
            update(review_items).where(*complained).values(reporter_id="")
        ).rowcount
        erased.proof = digest.hexdigest()
        hashed = user_hash(app_id, user_id)
        connection.execute(delete(erasures).where(erasures.c.user_hash == hashed))
        connection.execute(erasures.insert().values(user_hash=hashed, at_ms=at_ms))
        event = audit_row("erasure", hashed, "erased", at_ms, author=author, reason=erased.proof)
        insert_new(connection, audit, [event])
    if database.is_sqlite:
        database.checkpoint()
    return erased


def _count(connection: Connection, kind: str, query: Select[tuple[str]], digest: "hashlib._Hash") -> int:
    count = 0
    for (identity,) in connection.execute(query.order_by("id")):
        digest.update(f"{kind}:{identity}\n".encode())
        count += 1
    return count
