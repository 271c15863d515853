"""The journal before the reply, the queue after it, and the drain behind both."""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from modgate.gate import Decision, Outcome, RuleTrace, Trace
from modgate.message import Media
from modgate.review.archive import Archive
from modgate.review.drain import Drain
from modgate.review.history import History
from modgate.rules.ruleset import Verdict
from modgate.storage import Journal, JournalReader, StoreAwayError, TextSealer
from modgate.storage.settings import HistorySettings


class FlakyArchive(Archive):
    """The real one, which can be told to be away or to dislike an entry."""

    away = False
    dislikes = ""
    batches: list[list[str]]

    def write(self, entries: Any, journal: Any = None, *, deadline: float = 30.0) -> list[str]:
        if self.away:
            raise StoreAwayError("away")
        ids = [entry["row"].message_id for entry in entries if entry["row"]]
        if self.dislikes in ids:
            raise IntegrityError("insert", {}, ValueError("no"))
        self.batches.append(ids)
        return super().write(entries, journal, deadline=deadline)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


@pytest.fixture
def archive(shelf: Any) -> FlakyArchive:
    archive = FlakyArchive(shelf.database)
    archive.batches = []
    return archive


Start = Callable[..., tuple[History, Drain]]


@pytest.fixture
def start(journal: Journal, archive: FlakyArchive) -> Iterator[Start]:
    drains: list[Drain] = []

    def make(**options: Any) -> tuple[History, Drain]:
        queue = options.pop("queue", 100)
        history = History(journal, HistorySettings(**options), TextSealer(), queue=queue)
        drain = Drain(journal, history, archive, commit_every=0.01)
        drain.start()
        drains.append(drain)
        return history, drain

    yield make
    for drain in drains:
        drain.stop()


def read_journal(journal: Journal) -> int:
    reader = JournalReader(journal.folder)
    count = len(reader.read(1000))
    reader.close()
    return count


def test_only_what_must_not_be_lost_goes_into_the_journal(journal: Journal, decide: Any) -> None:
    """Blocked and flagged decisions are in the journal before the reply; a plain ALLOW waits in memory."""
    history = History(journal, HistorySettings(), TextSealer(), queue=10)
    for decision in (decide(1), decide(2, verdict=Verdict.BLOCK), decide(3, flagged=True), decide(4)):
        history.before_reply(decision)
        history.after_reply(decision)
    assert read_journal(journal) == 2
    assert len(history.take(10)) == 2


def test_everything_reaches_the_store(start: Start, shelf: Any, decide: Any) -> None:
    """Both ways end in the history."""
    history, drain = start()
    for n in range(50):
        decision = decide(n, verdict=Verdict.BLOCK if n % 5 == 0 else Verdict.ALLOW)
        history.before_reply(decision)
        history.after_reply(decision)
    assert drain.flush()
    assert shelf.count("decisions") == 50
    assert history.counts.stored == 50


@pytest.mark.parametrize(("keep", "rows"), [("all", 2), ("flagged", 1), ("none", 0)])
def test_what_is_kept_can_be_chosen(start: Start, shelf: Any, decide: Any, keep: str, rows: int) -> None:
    """All keeps every decision, flagged only the notable ones, none nothing."""
    history, drain = start(decisions=keep)
    for decision in (decide(1), decide(2, flagged=True)):
        history.before_reply(decision)
        history.after_reply(decision)
    assert drain.flush()
    assert shelf.count("decisions") == rows


def test_a_full_queue_drops_and_counts(journal: Journal, decide: Any) -> None:
    """Memory is bounded; what is dropped shows."""
    history = History(journal, HistorySettings(), TextSealer(), queue=3)
    for n in range(5):
        history.after_reply(decide(n))
    assert history.counts.dropped == 2


def test_a_failing_journal_never_costs_the_answer(tmp_path: Path, decide: Any) -> None:
    """If the disk is full, the decision goes the way of best effort and the failure is counted."""
    journal = Journal(tmp_path / "small", segment_bytes=4096, max_bytes=1)
    history = History(journal, HistorySettings(), TextSealer(), queue=10)
    for n in range(3):
        history.before_reply(decide(n, flagged=True))
    assert history.counts.journal_failures == 2
    assert len(history.take(10)) == 2
    journal.close()


def test_while_the_store_is_away_the_journal_is_the_spool(
    start: Start, shelf: Any, archive: FlakyArchive, decide: Any
) -> None:
    """Nothing flagged is lost while the store is away, and it arrives in order when the store is back."""
    history, drain = start()
    archive.away = True
    for n in range(1200):
        history.before_reply(decide(n, flagged=True))
    assert not drain.flush(timeout=0.3)
    assert drain.away
    archive.away = False
    assert drain.flush(timeout=10)
    assert shelf.count("decisions") == 1200
    assert list(itertools.chain(*archive.batches)) == [f"m{n}" for n in range(1200)]


def test_a_restart_goes_on_where_the_last_process_stopped(
    start: Start, shelf: Any, archive: FlakyArchive, decide: Any
) -> None:
    """What the old process left in the journal is drained by the new one, and nothing twice."""
    history, drain = start()
    history.before_reply(decide(1, flagged=True))
    assert drain.flush()
    drain.stop()
    history.before_reply(decide(2, flagged=True))
    _, again = start()
    assert again.flush()
    assert archive.batches == [["m1"], ["m2"]]
    assert shelf.count("decisions") == 2


def test_one_bad_entry_does_not_hold_up_the_others(
    start: Start, journal: Journal, shelf: Any, archive: FlakyArchive, decide: Any
) -> None:
    """What the store refuses for what it is goes aside into a file, and the rest gets through."""
    history, drain = start()
    archive.dislikes = "m3"
    for n in range(6):
        history.before_reply(decide(n, flagged=True))
    assert drain.flush()
    assert shelf.count("decisions") == 5
    assert history.counts.rejected == 1
    assert b'"m3"' in (journal.folder / "rejected.jsonl").read_bytes()


def test_a_line_of_another_version_does_not_hold_up_the_others(
    start: Start, journal: Journal, shelf: Any, decide: Any
) -> None:
    """After an upgrade, what the old gate left in another form goes aside, and the rest gets through."""
    history, drain = start()
    journal.append(b'{"row": {"id": "old"}, "names": [], "sanctions": []}')
    journal.append(b"no json")
    history.before_reply(decide(1, flagged=True))
    assert drain.flush()
    assert shelf.count("decisions") == 1
    assert history.counts.rejected == 2
    assert len((journal.folder / "rejected.jsonl").read_bytes().splitlines()) == 2


def explained(decision: Decision, *, conditions: int = 1) -> Decision:
    """Return the decision with something to tell of it."""
    leaves = tuple(Trace("words", Outcome.TRUE) for _ in range(conditions))
    told = RuleTrace("r", 1, shadow=False, outcome=Outcome.TRUE, when=Trace("any", Outcome.TRUE, children=leaves))
    return replace(decision, explain=lambda: (told,))


def stored_traces(shelf: Any, identity: str) -> Any:
    """Return the explanation in the store."""
    with shelf.database.transaction(write=False) as connection:
        details = connection.exec_driver_sql(f"SELECT details FROM decisions WHERE id = '{identity}'").scalar_one()  # noqa: S608 - ours
    return json.loads(details).get("traces")


def test_explanations_are_stored_with_what_was_flagged_also_after_the_store_was_away(
    start: Start, shelf: Any, archive: FlakyArchive, decide: Any
) -> None:
    """The message path only keeps how to explain; the draining thread explains, and a failed batch loses nothing."""
    history, drain = start()
    archive.away = True
    history.before_reply(explained(decide(1, flagged=True, rule="r")))
    history.before_reply(explained(decide(2, verdict=Verdict.BLOCK)))
    assert not drain.flush(timeout=0.2)
    archive.away = False
    assert drain.flush(timeout=10)
    for number in (1, 2):
        (rule,) = stored_traces(shelf, decide(number).id)
        assert (rule["rule_id"], rule["when"]["children"][0]["text"]) == ("r", "words")


def test_an_explanation_is_bounded_and_one_that_fails_costs_nothing_else(start: Start, shelf: Any, decide: Any) -> None:
    """A rule of ten thousand conditions does not fill the store; a bug in explaining leaves the decision as it is."""

    def broken() -> tuple[RuleTrace, ...]:
        raise LookupError

    history, drain = start()
    history.before_reply(explained(decide(1, flagged=True), conditions=10_000))
    history.before_reply(replace(decide(2, flagged=True), explain=broken))
    assert drain.flush()
    (rule,) = stored_traces(shelf, decide(1).id)
    assert 100 < len(rule["when"]["children"]) < 1_000
    assert stored_traces(shelf, decide(2).id) is None
    assert shelf.count("review_items") == 2


def test_pictures_of_waiting_decisions_are_not_kept(journal: Journal, decide: Any) -> None:
    """A store that is away must not keep megabytes of every message in memory."""
    history = History(journal, HistorySettings(), TextSealer(), queue=10)
    decision = decide(1)
    history.after_reply(replace(decision, message=replace(decision.message, media=(Media("p", "image/png", b"x"),))))
    (waiting,) = history._fresh
    assert isinstance(waiting, Decision)
    assert waiting.message.media == ()


def test_text_in_the_journal_is_sealed(tmp_path: Path, decide: Any) -> None:
    """With a key, what was typed is readable nowhere on disk."""
    journal = Journal(tmp_path / "sealed")
    history = History(journal, HistorySettings(text="full"), TextSealer((bytes(32),)))
    history.before_reply(decide(1, flagged=True, text="my secret words"))
    journal.close()
    assert all(b"secret" not in path.read_bytes() for path in (tmp_path / "sealed").iterdir())


def test_stopping_drains_what_is_there(start: Start, shelf: Any, decide: Any) -> None:
    """A graceful stop leaves nothing behind."""
    history, drain = start()
    for n in range(700):
        history.before_reply(decide(n, flagged=True))
    drain.stop()
    assert shelf.count("decisions") == 700


def test_time_is_only_waited_for_in_the_thread(start: Start, decide: Any, archive: FlakyArchive) -> None:
    """A store that is away does not slow down the side of the message."""
    history, _ = start()
    archive.away = True
    started = time.process_time()
    for n in range(1000):
        history.before_reply(decide(n, flagged=True))
    assert history.counts.journaled == 1000
    assert time.process_time() - started < 5
