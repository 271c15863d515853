"""Searches of the history: newest first, a page at a time, each served by an index in its own order."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from modgate.review.entry import bounded
from modgate.storage.tables import decision_matches, decisions

__all__ = ["BadPageTokenError", "HistoryFilter", "from_token", "id_bounds", "match_exists", "search", "to_token"]

_CLOCK_SLACK_MS = 60_000


class BadPageTokenError(ValueError):
    """A page token that no page here has given out."""


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """What to look for; every field that is set must fit.

    Attributes:
        from_ms: Milliseconds since the epoch, from this time on.
        until_ms: Before this time.
        conversation_type: Number of the contract; 0 for any.
        verdict: Number of the contract; 0 for any.
        reason: Reason that a report gave; only of review items.
    """

    from_ms: int | None = None
    until_ms: int | None = None
    app_id: str = ""
    conversation_id: str = ""
    conversation_type: int = 0
    sender_id: str = ""
    receiver_id: str = ""
    message_id: str = ""
    rule_id: str = ""
    label: str = ""
    reason: str = ""
    verdict: int = 0

    @property
    def names(self) -> list[str]:
        """What has to have matched, as `decision_matches` names it."""
        found = [("rule", self.rule_id), ("label", self.label)]
        return [bounded(f"{kind}:{name}") for kind, name in found if name]

    @property
    def places(self) -> dict[str, str]:
        """Columns that have to be equal."""
        named = {
            "app_id": self.app_id,
            "conversation_id": self.conversation_id,
            "sender_id": self.sender_id,
            "receiver_id": self.receiver_id,
            "message_id": self.message_id,
        }
        return {column: bounded(value) for column, value in named.items() if value}


def search(
    connection: Connection, wanted: HistoryFilter, *, limit: int, before: str = ""
) -> tuple[list[dict[str, Any]], str]:
    """Return a page of decisions, newest first, and the id to go on from; empty if there is no more.

    Args:
        connection: An open transaction.
        wanted: Which.
        limit: Rows of a page.
        before: Only decisions with a smaller id.
    """
    table = decisions
    query: Select[Any] = select(table)
    order: ColumnElement[Any] = table.c.id
    names = wanted.names
    if names:
        # Led by what matched: a rule that hit one message in a million must not cost a scan of all of them.
        query = query.join(decision_matches, decision_matches.c.decision_id == table.c.id)
        query = query.where(decision_matches.c.name == names[0])
        query = query.where(*(match_exists(name, table.c.id) for name in names[1:]))
        order = decision_matches.c.decision_id
    query = query.where(*(table.c[column] == value for column, value in wanted.places.items()))
    if wanted.conversation_type:
        query = query.where(table.c.conversation_type == wanted.conversation_type)
    if wanted.verdict:
        query = query.where(table.c.verdict == wanted.verdict)
        if wanted.verdict > 1:
            # Said once more in the words of the partial index, which a bound parameter does not fit.
            query = query.where(table.c.verdict > 1)
    if before:
        query = query.where(order < before)
    query = query.where(*id_bounds(wanted, order, table.c.decided_ms))
    found = connection.execute(query.order_by(order.desc()).limit(limit + 1)).mappings()
    rows = [dict(row) for row in found]
    return rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else ""


def id_bounds(wanted: HistoryFilter, order: ColumnElement[Any], at: ColumnElement[Any]) -> list[ColumnElement[bool]]:
    """Return the conditions of a time span: exact on the time, and roughly on the id, which begins with the time."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.from_ms is not None:
        conditions += [at >= wanted.from_ms, order >= f"{max(0, wanted.from_ms - _CLOCK_SLACK_MS):012x}"]
    if wanted.until_ms is not None:
        conditions += [at < wanted.until_ms, order < f"{max(0, wanted.until_ms + _CLOCK_SLACK_MS):012x}"]
    return conditions


def match_exists(name: str, decision_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that a decision matched this."""
    table = decision_matches.alias()
    return select(table.c.name).where(table.c.name == name, table.c.decision_id == decision_id).exists()


def to_token(place: str) -> str:
    """Return an opaque page token."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=") if place else ""


def from_token(token: str) -> str:
    """Return the place that a page token stands for.

    Raises:
        BadPageTokenError: It is none.
    """
    try:
        return base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise BadPageTokenError("not a page token of this server") from error
