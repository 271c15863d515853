"""What is old goes, except what waits for a moderator."""

from typing import Any

from modgate.review import HistoryFilter, ReviewDesk, ReviewState
from modgate.review.retention import Retention, stored_bytes

START = 1_800_000_000.0
DAY = 86_400.0


def test_decisions_go_at_their_age(shelf: Any, decide: Any) -> None:
    """Older decisions go with what matched, younger ones stay."""
    shelf.put(*(decide(n * int(DAY), rule="r") for n in range(10)))
    removed = Retention(shelf.database, max_age=5 * DAY, pause=0, now=lambda: START + 9.5 * DAY).sweep()
    assert removed == 5
    assert shelf.count("decisions") == 5
    assert shelf.count("decision_matches") == 10


async def test_what_waits_for_a_moderator_stays_until_it_is_decided(shelf: Any, decide: Any) -> None:
    """An old item in the queue is kept with its decision; once decided it goes at the next sweep."""
    shelf.put(decide(1, flagged=True), decide(2))
    desk = ReviewDesk(shelf.database, shelf.sealer, reasons=("spam",))
    retention = Retention(shelf.database, max_age=DAY, pause=0, now=lambda: START + 10 * DAY)
    assert retention.sweep() == 1
    (item,), _ = await desk.waiting(HistoryFilter(), limit=10)
    await desk.decide(item.row["id"], ReviewState.APPROVED, moderator="mo", note="")
    assert retention.sweep() == 1
    assert [shelf.count(table) for table in ("decisions", "review_items", "audit")] == [0, 0, 0]


def test_the_oldest_go_when_the_history_is_too_large(shelf: Any, decide: Any) -> None:
    """A bound in bytes is reached within a few sweeps by removing the oldest decisions."""
    shelf.put(*(decide(n, text="x" * 300) for n in range(3000)), text="full")
    with shelf.database.transaction(write=False) as connection:
        size = stored_bytes(connection)
    retention = Retention(shelf.database, max_age=None, max_bytes=size // 2, pause=0)
    for _ in range(6):
        retention.sweep()
    with shelf.database.transaction(write=False) as connection:
        assert stored_bytes(connection) <= size // 2
        newest = connection.exec_driver_sql("SELECT max(id) FROM decisions").scalar()
        left = connection.exec_driver_sql("SELECT count(*) FROM decisions").scalar()
    assert newest == decide(2999).id
    assert 500 < left < 2000


def test_a_stop_interrupts_the_sweep(shelf: Any, decide: Any) -> None:
    """Shutting down does not wait for a long sweep."""
    shelf.put(*(decide(n) for n in range(600)))
    Retention(shelf.database, max_age=DAY, pause=0, stopped=lambda: True, now=lambda: START + 10 * DAY).sweep()
    assert shelf.count("decisions") == 600
