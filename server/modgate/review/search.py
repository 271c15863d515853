"""Searches of the history: newest first, a page at a time, each served by an index in its own order."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from modgate.review.entry import bounded
from modgate.storage.tables import decision_matches, decisions

__all__ = ["BadPageTokenError", "HistoryFilter", "from_token", "id_bounds", "match_exists", "search", "to_token"]

_CLOCK_SLACK_MS = 60_000
_MATCHES_AT_ONCE = 200


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
    if wanted.names and not wanted.places:
        rows = _led_by_match(connection, wanted, limit + 1, before)
    else:
        rows = _led_by_place(connection, wanted, limit + 1, before)
    return rows[:limit], str(rows[limit - 1]["id"]) if len(rows) > limit else ""


def _led_by_place(connection: Connection, wanted: HistoryFilter, limit: int, before: str) -> list[dict[str, Any]]:
    table = decisions
    conditions = _conditions(wanted) + [match_exists(name, table.c.id) for name in wanted.names]
    if before:
        conditions.append(table.c.id < before)
    query = select(table).where(*conditions).order_by(table.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def _led_by_match(connection: Connection, wanted: HistoryFilter, limit: int, before: str) -> list[dict[str, Any]]:
    # A rule that hit one message in a million must not cost a scan of all of them, and a rule that hit most must not
    # cost a join with all of them. Planners get one of the two wrong, so the matches are walked here, some at a time.
    table = decision_matches
    at_once = max(limit, _MATCHES_AT_ONCE)
    rows: list[dict[str, Any]] = []
    while len(rows) < limit:
        conditions = [table.c.name == wanted.names[0], *id_bounds(wanted, table.c.decision_id)]
        conditions += [match_exists(name, table.c.decision_id) for name in wanted.names[1:]]
        if before:
            conditions.append(table.c.decision_id < before)
        matched = select(table.c.decision_id).where(*conditions).order_by(table.c.decision_id.desc()).limit(at_once)
        ids = list(connection.execute(matched).scalars())
        if ids:
            query = select(decisions).where(decisions.c.id.in_(ids), *_conditions(wanted))
            rows += [dict(row) for row in connection.execute(query.order_by(decisions.c.id.desc())).mappings()]
            before = ids[-1]
        if len(ids) < at_once:
            break
    return rows[:limit]


def _conditions(wanted: HistoryFilter) -> list[ColumnElement[bool]]:
    table = decisions
    conditions: list[ColumnElement[bool]] = [table.c[column] == value for column, value in wanted.places.items()]
    if wanted.conversation_type:
        conditions.append(table.c.conversation_type == wanted.conversation_type)
    if wanted.verdict:
        conditions.append(table.c.verdict == wanted.verdict)
        if wanted.verdict > 1:
            # Said once more in the words of the partial index, which a bound parameter does not fit.
            conditions.append(table.c.verdict > 1)
    return conditions + id_bounds(wanted, table.c.id, table.c.decided_ms)


def id_bounds(
    wanted: HistoryFilter, order: ColumnElement[Any], at: ColumnElement[Any] | None = None
) -> list[ColumnElement[bool]]:
    """Return the conditions of a time span: roughly on the id, which begins with the time, and exactly on the time.

    Args:
        wanted: Holds the span.
        order: The id.
        at: The time in milliseconds; None if only the id is at hand.
    """
    conditions: list[ColumnElement[bool]] = []
    if wanted.from_ms is not None:
        conditions.append(order >= f"{max(0, wanted.from_ms - _CLOCK_SLACK_MS):012x}")
        conditions += [] if at is None else [at >= wanted.from_ms]
    if wanted.until_ms is not None:
        conditions.append(order < f"{max(0, wanted.until_ms + _CLOCK_SLACK_MS):012x}")
        conditions += [] if at is None else [at < wanted.until_ms]
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
