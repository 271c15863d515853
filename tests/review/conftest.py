"""A store of each kind with its tables, and decisions as the gate makes them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.stores import database_url, postgres_server, postgres_url, valkey_url

from modgate.gate import Decision, Match
from modgate.message import Conversation, ConversationType, Message, Receiver, Sender
from modgate.review.archive import Archive
from modgate.review.entry import Entry, entry_of
from modgate.rules.ruleset import Verdict
from modgate.storage import Database, TextSealer
from modgate.storage.settings import HistorySettings

__all__ = ["database_url", "postgres_server", "postgres_url", "valkey_url"]

START = 1_800_000_000.0


def decision_id(at: float, number: int) -> str:
    return f"{int(at * 1000):012x}7{number:019x}"


def make_decision(
    number: int,
    *,
    verdict: Verdict = Verdict.ALLOW,
    flagged: bool = False,
    text: str = "some words",
    sender: str = "ann",
    conversation: str = "c1",
    kind: ConversationType = ConversationType.GROUP,
    receiver: str = "",
    rule: str = "",
    label: str = "profanity",
    app: str = "app",
    **changes: Any,
) -> Decision:
    at = START + number
    message = Message(
        id=f"m{number}",
        text=text,
        sender=Sender(sender, name=sender.title()),
        conversation=Conversation(conversation, kind, receiver=Receiver(receiver) if receiver else None),
        app_id=app,
    )
    matches = (Match(rule, 3, "words", label, 1.0, 0.5, (), "text", "entry", shadow=False),) if rule else ()
    decision = Decision(
        id=decision_id(at, number),
        message=message,
        verdict=verdict,
        flagged=flagged,
        matches=matches,
        decided_at=at,
        elapsed=0.001,
        ruleset_revision="r1",
    )
    return replace(decision, **changes)


@dataclass(frozen=True)
class Shelf:
    """A store, and shortcuts to put decisions there."""

    database: Database
    archive: Archive
    sealer: TextSealer

    def put(self, *decisions: Decision, text: str = "none") -> None:
        self.archive.write([self.entry(d, text=text) for d in decisions])

    def entry(self, decision: Decision, *, text: str = "none") -> Entry:
        return entry_of(decision, HistorySettings(text=text), self.sealer)

    def count(self, table: str) -> int:
        with self.database.transaction(write=False) as connection:
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())  # noqa: S608 - ours


@pytest.fixture
def decide() -> Callable[..., Decision]:
    return make_decision


@pytest.fixture
def shelf(database_url: str) -> Iterator[Shelf]:
    database = Database(database_url)
    database.migrate()
    yield Shelf(database, Archive(database), TextSealer((bytes(range(32)),)))
    database.close()
