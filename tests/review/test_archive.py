"""Writing into the store: once, together with the journal's position, and past nobody who was erased."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError

from modgate.gate import Penalty
from modgate.review.erasure import erase_user
from modgate.rules.ruleset import PenaltyType, SanctionScope, Verdict
from modgate.storage import Position


def test_an_entry_is_stored_once_however_often_it_arrives(shelf: Any, decide: Any) -> None:
    """A batch that comes again after a crash changes nothing."""
    penalty = Penalty(PenaltyType.MUTE, SanctionScope.APP, timedelta(hours=1), "r", "why", "s1")
    blocked = decide(1, verdict=Verdict.BLOCK, flagged=True, rule="r", penalties=(penalty,))
    for _ in range(3):
        shelf.put(blocked)
    tables = ("decisions", "decision_matches", "review_items", "sanctions", "audit")
    assert {table: shelf.count(table) for table in tables} == {
        "decisions": 1,
        "decision_matches": 2,
        "review_items": 1,
        "sanctions": 1,
        "audit": 1,
    }


def test_the_position_is_stored_with_the_entries_or_not_at_all(shelf: Any, decide: Any) -> None:
    """If the entries cannot be stored, the position stays where it was."""
    assert shelf.archive.position("j1") is None
    shelf.archive.write([shelf.entry(decide(1))], ("j1", Position(1, 100)))
    assert shelf.archive.position("j1") == Position(1, 100)
    broken = shelf.entry(decide(2))
    broken["row"] = broken["row"]._replace(verdict="no number" if not shelf.database.is_sqlite else None)
    with pytest.raises(SQLAlchemyError):
        shelf.archive.write([shelf.entry(decide(3)), broken], ("j1", Position(2, 0)))
    assert shelf.archive.position("j1") == Position(1, 100)
    assert shelf.count("decisions") == 1


def test_strange_names_and_texts_can_be_stored(shelf: Any, decide: Any) -> None:
    """NUL characters and endless ids neither break the store nor collide."""
    message = decide(1).message
    first = replace(message, id="x" * 5000, text="a\x00b")
    second = replace(message, id="x" * 5001, text="a\x00b")
    shelf.put(decide(1, message=first), decide(2, message=second), text="full")
    with shelf.database.transaction() as connection:
        rows = connection.exec_driver_sql("SELECT message_id FROM decisions").all()
    assert len({row[0] for row in rows}) == 2
    assert max(len(row[0]) for row in rows) == 255


def test_what_was_on_its_way_when_its_sender_was_erased_does_not_come_back(shelf: Any, decide: Any) -> None:
    """An entry decided before the erasure is left out when it arrives later; newer ones and others are kept."""
    old, other, new = decide(1), decide(2, sender="bob"), decide(10)
    erase_user(shelf.database, "app", "ann", at_ms=int(old.decided_at * 1000) + 5000, author="op")
    shelf.put(old, other, new)
    with shelf.database.transaction() as connection:
        kept = {row[0] for row in connection.exec_driver_sql("SELECT id FROM decisions")}
    assert kept == {other.id, new.id}
