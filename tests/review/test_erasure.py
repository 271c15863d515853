"""Erasing a user."""

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

from modgate.gate import Penalty
from modgate.review import Report, ReviewDesk
from modgate.review.archive import Archive
from modgate.review.entry import entry_of
from modgate.review.erasure import erase_user
from modgate.rules.ruleset import PenaltyType, SanctionScope
from modgate.storage import Database, TextSealer
from modgate.storage.settings import HistorySettings


async def test_everything_of_the_user_goes_and_nothing_of_others(shelf: Any, decide: Any) -> None:
    """Decisions, reports, sanctions and their trail go; in other users' rows only the name of the erased one does."""
    penalty = Penalty(PenaltyType.MUTE, SanctionScope.APP, timedelta(hours=1), "r", "why", "s1")
    shelf.put(
        decide(1, flagged=True, rule="r", penalties=(penalty,)),
        decide(2),
        decide(3, sender="bob", receiver="ann"),
        decide(4, sender="bob", flagged=True, rule="r"),
        decide(5, app="other"),
        text="full",
    )
    desk = ReviewDesk(shelf.database, shelf.sealer, reasons=("spam",))
    await desk.report(Report(app_id="app", reporter_id="eve", reason="spam", user_id="ann"))
    await desk.report(Report(app_id="app", reporter_id="ann", reason="spam", user_id="bob"))
    erased = erase_user(shelf.database, "app", "ann", at_ms=5, author="op")
    assert erased.removed == {
        "decisions": 2,
        "review_items": 2,
        "sanctions": 1,
        "receiver_ids": 1,
        "reporter_ids": 1,
    }
    with shelf.database.transaction() as connection:
        for table, left in (("decisions", 3), ("decision_matches", 2), ("review_items", 2), ("sanctions", 0)):
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608 - ours
            assert len(rows) == left, table
            assert not any("ann" in row for row in rows if row[2:3] != ("other",) and "other" not in row)
        events = connection.exec_driver_sql("SELECT kind, event, reason FROM audit").all()
    assert [tuple(event) for event in events] == [("erasure", "erased", erased.proof)]


def test_the_proof_can_be_recomputed_from_the_ids(shelf: Any, decide: Any) -> None:
    """Who kept the ids of a user's decisions can check that exactly those were removed."""
    decisions = [decide(n) for n in range(3)]
    shelf.put(*decisions)
    erased = erase_user(shelf.database, "app", "ann", at_ms=5, author="op")
    lines = "".join(f"decisions:{d.id}\n" for d in sorted(decisions, key=lambda d: d.id))
    assert erased.proof == hashlib.sha256(lines.encode()).hexdigest()


def test_nothing_is_left_in_the_files_of_sqlite(tmp_path: Path, decide: Any) -> None:
    """After erasure the user's text is in no page of the file or its log, not even in a free one."""
    database = Database(f"sqlite:///{tmp_path}/modgate.db")
    database.migrate()
    policy = HistorySettings(text="full")
    users = (("ann", "secret"), ("bob", "public"))
    decisions = [decide(n, sender=users[n % 2][0], text=f"{users[n % 2][1]} {n}") for n in range(500)]
    entries = [entry_of(decision, policy, TextSealer()) for decision in decisions]
    Archive(database).write(entries)
    erase_user(database, "app", "ann", at_ms=5, author="op")
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret" not in content
    assert b"public" in content
    database.close()


def test_erasing_nobody_is_no_error(shelf: Any) -> None:
    """A user without traces gives an empty proof."""
    erased = erase_user(shelf.database, "app", "nobody", at_ms=5, author="op")
    assert erased.removed["decisions"] == 0
    assert erased.proof == hashlib.sha256().hexdigest()
    assert erase_user(shelf.database, "app", "nobody", at_ms=6, author="op").proof == erased.proof
