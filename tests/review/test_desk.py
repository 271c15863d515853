"""The moderators' desk."""

import asyncio
from typing import Any

import pytest

from modgate.review import AlreadyDecidedError, HistoryFilter, NoSuchItemError, Report, ReviewDesk, ReviewState
from modgate.review.desk import UnknownReasonError
from modgate.rules.ruleset import Verdict

REPORT = Report(app_id="app", reporter_id="eve", reason="spam", note="look", message_id="m7", text="buy now")


@pytest.fixture
def desk(shelf: Any) -> ReviewDesk:
    return ReviewDesk(shelf.database, shelf.sealer, reasons=("spam", "hate"))


async def test_flagged_decisions_wait_oldest_first_with_their_text(shelf: Any, decide: Any, desk: ReviewDesk) -> None:
    """A moderator sees sender, conversation, matches and the text, which is opened for that."""
    shelf.put(decide(2, flagged=True, text="second", rule="r"), decide(1, flagged=True, text="first"), decide(3))
    items, place = await desk.waiting(HistoryFilter(), limit=10)
    assert [item.decision.text for item in items if item.decision] == ["first", "second"]
    assert items[1].decision is not None
    assert items[1].decision.details["matches"][0]["rule_id"] == "r"
    assert items[1].decision.row.sender_name == "Ann"
    assert place == ""


async def test_pages_of_the_queue_stay_stable_while_items_are_decided(
    shelf: Any, decide: Any, desk: ReviewDesk
) -> None:
    """Deciding what was read does not make the next page skip anything."""
    shelf.put(*(decide(n, flagged=True) for n in range(10)))
    seen, place = [], ""
    while True:
        items, place = await desk.waiting(HistoryFilter(), limit=3, after=place)
        for item in items:
            seen.append(item.row["message_id"])
            await desk.decide(item.row["id"], ReviewState.APPROVED, moderator="mo", note="")
        if not place:
            break
    assert seen == [f"m{n}" for n in range(10)]


async def test_of_two_moderators_one_wins_and_the_other_is_told(shelf: Any, decide: Any, desk: ReviewDesk) -> None:
    """However the race goes, exactly one decision stands, and the loser hears whose."""
    shelf.put(*(decide(n, flagged=True) for n in range(20)))
    items, _ = await desk.waiting(HistoryFilter(), limit=50)
    for item in items:
        results = await asyncio.gather(
            desk.decide(item.row["id"], ReviewState.APPROVED, moderator="mo", note="fine"),
            desk.decide(item.row["id"], ReviewState.BLOCKED, moderator="jo", note="no"),
            return_exceptions=True,
        )
        lost = [r for r in results if isinstance(r, AlreadyDecidedError)]
        assert len(lost) == 1
        winner = "jo" if isinstance(results[0], AlreadyDecidedError) else "mo"
        assert winner in str(lost[0])
    decided, _ = await desk.reviewed(HistoryFilter(), limit=50)
    assert len(decided) == 20
    assert shelf.count("audit") == 20


async def test_asking_keeps_an_item_open_and_is_done_once(shelf: Any, decide: Any, desk: ReviewDesk) -> None:
    """After a question the item still waits, can be decided, and cannot be asked about again."""
    shelf.put(decide(1, flagged=True))
    (item,), _ = await desk.waiting(HistoryFilter(), limit=10)
    asked = await desk.decide(item.row["id"], ReviewState.ASKED, moderator="mo", note="what did you mean?")
    assert asked.row["state"] == ReviewState.ASKED
    assert len((await desk.waiting(HistoryFilter(), limit=10))[0]) == 1
    with pytest.raises(AlreadyDecidedError):
        await desk.decide(item.row["id"], ReviewState.ASKED, moderator="jo", note="")
    blocked = await desk.decide(item.row["id"], ReviewState.BLOCKED, moderator="jo", note="")
    assert blocked.row["moderator"] == "jo"
    assert (await desk.waiting(HistoryFilter(), limit=10))[0] == []


async def test_an_unknown_item_is_told_apart_from_a_decided_one(desk: ReviewDesk) -> None:
    """Nobody was faster with what does not exist."""
    with pytest.raises(NoSuchItemError):
        await desk.decide("nothing", ReviewState.APPROVED, moderator="mo", note="")


async def test_reviewed_items_page_newest_first_by_state_and_moderator(
    shelf: Any, decide: Any, desk: ReviewDesk
) -> None:
    """What was decided can be read back by who and how."""
    shelf.put(*(decide(n, flagged=True) for n in range(6)))
    items, _ = await desk.waiting(HistoryFilter(), limit=10)
    for n, item in enumerate(items):
        state = ReviewState.BLOCKED if n % 2 else ReviewState.APPROVED
        await desk.decide(item.row["id"], state, moderator="mo" if n < 3 else "jo", note="")
    seen, place = [], ""
    while True:
        page, place = await desk.reviewed(HistoryFilter(), limit=4, before=place)
        seen += [item.row["id"] for item in page]
        if not place:
            break
    assert len(seen) == len(set(seen)) == 6
    only, _ = await desk.reviewed(HistoryFilter(), limit=10, state=ReviewState.BLOCKED, moderator="mo")
    assert [item.row["message_id"] for item in only] == ["m1"]


async def test_a_report_joins_the_decision_about_its_message(shelf: Any, decide: Any, desk: ReviewDesk) -> None:
    """A moderator sees what the gate had thought of a reported message, and the reporter's reason."""
    shelf.put(decide(7, verdict=Verdict.MASK, rule="r"))
    item = await desk.report(REPORT)
    assert item.decision is not None
    assert item.decision.row.sender_id == "ann"
    assert (item.row["origin"], item.row["reason"], item.row["note"], item.text) == (
        "report",
        "spam",
        "look",
        "buy now",
    )
    (waiting,), _ = await desk.waiting(HistoryFilter(reason="spam", sender_id="ann", rule_id="r"), limit=10)
    assert waiting.row["id"] == item.row["id"]


async def test_the_same_report_twice_is_one_item(desk: ReviewDesk) -> None:
    """A client that repeats a call does not flood the queue; another reporter is another item."""
    first = await desk.report(REPORT)
    again = await desk.report(REPORT)
    other = await desk.report(Report(**{**_fields(REPORT), "reporter_id": "dan"}))
    assert first.row["id"] == again.row["id"] != other.row["id"]


async def test_a_user_can_be_reported(desk: ReviewDesk) -> None:
    """A report of a user waits like any other, without a message."""
    item = await desk.report(Report(app_id="app", reporter_id="eve", reason="hate", user_id="bob"))
    assert item.row["reported_user_id"] == "bob"
    (found,), _ = await desk.waiting(HistoryFilter(sender_id="bob"), limit=10)
    assert found.decision is None


async def test_only_configured_reasons_are_taken(desk: ReviewDesk) -> None:
    """An unknown reason is refused with those that there are."""
    with pytest.raises(UnknownReasonError, match="spam, hate"):
        await desk.report(Report(app_id="app", reporter_id="eve", reason="dislike", user_id="bob"))


def _fields(report: Report) -> dict[str, str]:
    return {name: getattr(report, name) for name in Report.__dataclass_fields__}
