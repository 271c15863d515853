"""Sanctions in force: whom they bar, what is told, and how copies from elsewhere merge."""

from dataclasses import replace
from typing import Any

import pytest

from modgate.message import ConversationType
from modgate.penalties import Sanction, SanctionBook, SanctionTarget
from modgate.penalties.sanction import in_words
from modgate.rules.ruleset import PenaltyType, SanctionScope

MUTE = Sanction(
    id="s1",
    app_id="app",
    target=SanctionTarget.USER,
    type=PenaltyType.MUTE,
    scope=SanctionScope.CONVERSATION,
    user_id="ann",
    conversation_id="c1",
    reason="rude",
    imposed_at=100.0,
    expires_at=200.0,
)


def test_the_most_severe_sanction_is_told(make: Any) -> None:
    """Of a mute and a ban, the sender hears of the ban."""
    book = SanctionBook()
    book.put(MUTE)
    book.put(replace(MUTE, id="s2", type=PenaltyType.BAN, scope=SanctionScope.APP, conversation_id=""))
    standing = book.standing(make.message(), 150.0)
    assert standing is not None
    assert (standing.sanction_id, standing.remaining) == ("s2", 50.0)
    assert standing.notice.reason == "banned, 50s left: rude"


def test_a_muted_conversation_lets_exempt_roles_speak(make: Any) -> None:
    """Mute all: everybody in the conversation is barred but those of an exempt role."""
    book = SanctionBook()
    book.put(
        replace(MUTE, target=SanctionTarget.CONVERSATION, user_id="", exempt_roles=("moderator",), expires_at=None)
    )
    standing = book.standing(make.message(sender="zoe"), 150.0)
    assert standing is not None
    assert standing.notice.reason == "conversation muted: rude"
    assert book.standing(make.message(sender="zoe", roles=("moderator",)), 150.0) is None
    assert book.standing(make.message(sender="zoe", conversation="c2"), 150.0) is None


def test_muting_for_oneself_delivers_without_a_push(make: Any) -> None:
    """A user who muted another still gets the message, and the answer tells the gateway not to push it."""
    book = SanctionBook()
    book.put(
        replace(
            MUTE,
            target=SanctionTarget.USER_FOR_USER,
            scope=SanctionScope.APP,
            conversation_id="",
            for_user_id="eve",
        )
    )
    direct = make.message(kind=ConversationType.ONE_TO_ONE, receiver="eve")
    assert book.standing(direct, 150.0) is None
    delivery = book.delivery(direct)
    assert delivery is not None
    assert delivery.push_suppressed
    assert book.delivery(make.message(kind=ConversationType.ONE_TO_ONE, receiver="dan")) is None
    group = book.delivery(make.message())
    assert group is not None
    assert group.muted_by == ("eve",)


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 1, 0), (1, 0, 0)])
def test_a_lifted_sanction_stays_lifted_in_whatever_order_copies_arrive(make: Any, order: tuple[int, ...]) -> None:
    """A late copy from another gate does not bring a lifted sanction back into force."""
    copies = (MUTE, replace(MUTE, lifted_at=120.0))
    book = SanctionBook()
    for index in order:
        book.put(copies[index])
    assert book.standing(make.message(), 150.0) is None


def test_expired_sanctions_are_forgotten_and_reported_once(make: Any) -> None:
    """At its end a sanction stops to bar, leaves memory, and is named once for the audit trail."""
    book = SanctionBook()
    book.put(MUTE)
    assert book.standing(make.message(), 199.9) is not None
    assert book.standing(make.message(), 200.0) is None
    assert book.expire(199.0) == []
    assert [s.id for s in book.expire(200.0)] == ["s1"]
    assert book.expire(201.0) == []
    assert len(book) == 0


def test_a_lifted_sanction_does_not_count_as_expired() -> None:
    """What was lifted is forgotten in time, without an event of its own."""
    book = SanctionBook()
    book.put(MUTE)
    book.put(replace(MUTE, lifted_at=120.0))
    assert book.expire(120.0 + 86_400.0) == []
    assert len(book) == 0


def test_capacity_lets_the_one_that_ends_soonest_give_way(make: Any) -> None:
    """A full book keeps the lasting sanctions and counts what it dropped."""
    book = SanctionBook(capacity=2)
    for index, end in enumerate((300.0, 150.0, 400.0)):
        book.put(replace(MUTE, id=f"s{index}", user_id=f"u{index}", expires_at=end))
    assert len(book) == 2
    assert book.evicted == 1
    assert book.standing(make.message(sender="u1"), 120.0) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "1s"), (59.1, "1m"), (3599, "59m 59s"), (3600, "1h"), (90061, "1d 1h"), (86400, "1d")]
)
def test_durations_read_like_speech(seconds: float, words: str) -> None:
    """Time left is rounded up to the second and told in at most two units."""
    assert in_words(seconds) == words
