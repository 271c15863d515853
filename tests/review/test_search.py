"""Searching the history."""

from typing import Any

import pytest

from modgate.message import ConversationType
from modgate.review.search import BadPageTokenError, HistoryFilter, from_token, search, to_token
from modgate.rules.ruleset import Verdict

START_MS = 1_800_000_000_000


@pytest.fixture
def full(shelf: Any, decide: Any) -> Any:
    shelf.put(
        decide(0, sender="ann"),
        decide(1, sender="bob", conversation="c2", kind=ConversationType.ROOM),
        decide(2, sender="ann", verdict=Verdict.BLOCK, rule="insults", label="insult"),
        decide(3, sender="bob", receiver="ann", kind=ConversationType.ONE_TO_ONE, conversation="d1"),
        decide(4, sender="ann", verdict=Verdict.MASK, rule="words", label="insult"),
        decide(5, sender="eve", app="other"),
    )
    return shelf


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (HistoryFilter(), [5, 4, 3, 2, 1, 0]),
        (HistoryFilter(sender_id="ann"), [4, 2, 0]),
        (HistoryFilter(receiver_id="ann"), [3]),
        (HistoryFilter(conversation_id="c2"), [1]),
        (HistoryFilter(conversation_type=3), [1]),
        (HistoryFilter(app_id="other"), [5]),
        (HistoryFilter(message_id="m3"), [3]),
        (HistoryFilter(verdict=3), [2]),
        (HistoryFilter(verdict=1), [5, 3, 1, 0]),
        (HistoryFilter(rule_id="insults"), [2]),
        (HistoryFilter(label="insult"), [4, 2]),
        (HistoryFilter(rule_id="words", label="insult"), [4]),
        (HistoryFilter(rule_id="insults", sender_id="bob"), []),
        (HistoryFilter(from_ms=START_MS + 2000, until_ms=START_MS + 4000), [3, 2]),
        (HistoryFilter(sender_id="ann", from_ms=START_MS + 1), [4, 2]),
    ],
)
def test_every_filter_narrows(full: Any, wanted: HistoryFilter, numbers: list[int]) -> None:
    """Each filter, alone or with others, finds exactly the decisions that fit, newest first."""
    with full.database.transaction(write=False) as connection:
        rows, place = search(connection, wanted, limit=50)
    assert [int(row["message_id"][1:]) for row in rows] == numbers
    assert place == ""


def test_pages_join_without_gap_or_overlap_while_new_decisions_arrive(shelf: Any, decide: Any) -> None:
    """A reader who pages back sees every decision of the beginning once, whatever comes in meanwhile."""
    shelf.put(*(decide(n) for n in range(25)))
    seen, place, fresh = [], "", 100
    while True:
        with shelf.database.transaction(write=False) as connection:
            rows, place = search(connection, HistoryFilter(sender_id="ann"), limit=10, before=place)
        seen += [row["message_id"] for row in rows]
        shelf.put(decide(fresh))
        fresh += 1
        if not place:
            break
    assert seen == [f"m{n}" for n in reversed(range(25))]


def test_page_tokens_are_opaque_and_checked() -> None:
    """A token comes back as it was given; anything else is refused."""
    assert from_token(to_token("0123abc")) == "0123abc"
    assert from_token("") == ""
    for token in ("%%%", "ä", "abc=d"):
        with pytest.raises(BadPageTokenError):
            from_token(token)
