"""Answers to repeated calls."""

import asyncio
from dataclasses import replace

import pytest
from tests.gate.clock import run

from modgate.gate import RecentAnswers
from modgate.message import Conversation, Media, Message, Sender

MESSAGE = Message("m1", "hello", Sender("ann"), Conversation("c"))
KEY = RecentAnswers.key(MESSAGE)


class Judge:
    """Counts how often it is asked, and takes its time."""

    def __init__(self, *, keep: bool = True, seconds: float = 0.01) -> None:
        self.calls = 0
        self.keep = keep
        self.seconds = seconds

    async def __call__(self) -> tuple[str, bool]:
        self.calls += 1
        number = self.calls
        await asyncio.sleep(self.seconds)
        return f"d{number}", self.keep


def test_a_repeated_message_gets_the_same_answer() -> None:
    """The second call within the time is not judged again."""
    judge = Judge()

    async def twice() -> list[str]:
        recent = RecentAnswers[str](keep_seconds=60)
        return [await recent.once(KEY, now, judge) for now in (0.0, 59.0)]

    assert run(twice()) == ["d1", "d1"]
    assert judge.calls == 1


def test_an_answer_that_needed_no_waiting_is_remembered_too() -> None:
    """What was put is what a repeated call gets."""
    recent = RecentAnswers[str](keep_seconds=60)
    recent.put(KEY, 0.0, "d0")
    assert (recent.get(KEY, 59.0), recent.get(KEY, 60.0)) == ("d0", None)


def test_calls_at_the_same_time_are_judged_once() -> None:
    """A retry that overtakes its first call waits for that call's answer."""
    judge = Judge(keep=False)

    async def together() -> tuple[list[str], bool, bool]:
        recent = RecentAnswers[str]()
        calls = asyncio.gather(*(recent.once(KEY, 0.0, judge) for _ in range(5)))
        await asyncio.sleep(0)
        flying = recent.is_flying(KEY)
        return await calls, flying, recent.is_flying(KEY)

    assert run(together()) == (["d1"] * 5, True, False)


def test_an_answer_is_forgotten_after_its_time() -> None:
    """Behind the window the message is judged anew."""
    judge = Judge()

    async def later() -> list[str]:
        recent = RecentAnswers[str](keep_seconds=60)
        return [await recent.once(KEY, now, judge) for now in (0.0, 60.0)]

    assert run(later()) == ["d1", "d2"]


@pytest.mark.parametrize(
    "other",
    [
        replace(MESSAGE, text="edited"),
        replace(MESSAGE, sender=Sender("bob")),
        replace(MESSAGE, app_id="other"),
        replace(MESSAGE, conversation=Conversation("d")),
        replace(MESSAGE, media=(Media("p", "image/png", b"1"),)),
        replace(MESSAGE, custom={"title": "edited"}),
    ],
)
def test_an_edited_message_is_another_one(other: Message) -> None:
    """Another text, attachment, payload, place or sender has another key, always the same."""
    assert RecentAnswers.key(other) != KEY
    assert RecentAnswers.key(other) == RecentAnswers.key(other)
    assert RecentAnswers.key(MESSAGE, True) != KEY  # noqa: FBT003 - a variant may be anything


def test_messages_without_an_id_are_always_judged() -> None:
    """Nothing says that two equal texts are one message."""
    judge = Judge()
    nameless = RecentAnswers.key(replace(MESSAGE, id=""))

    async def twice() -> list[str]:
        recent = RecentAnswers[str]()
        return [await recent.once(nameless, 0.0, judge) for _ in range(2)]

    assert run(twice()) == ["d1", "d2"]


def test_an_answer_that_is_not_worth_keeping_is_not_kept() -> None:
    """After a fallback, a repeated call may get the full answer."""
    judge = Judge(keep=False)

    async def twice() -> list[str]:
        recent = RecentAnswers[str]()
        return [await recent.once(KEY, 0.0, judge) for _ in range(2)]

    assert run(twice()) == ["d1", "d2"]


def test_a_cancelled_first_call_is_no_answer_to_the_second() -> None:
    """When the first caller goes away, the retry that waited for it is judged itself."""
    judge = Judge(seconds=1.0)

    async def retry() -> str:
        recent = RecentAnswers[str]()
        first = asyncio.ensure_future(recent.once(KEY, 0.0, judge))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(recent.once(KEY, 0.1, judge))
        await asyncio.sleep(0.1)
        first.cancel()
        return await second

    assert run(retry()) == "d2"


def test_a_cancelled_retry_leaves_the_first_call_alone() -> None:
    """Waiting for an answer does not own it."""
    judge = Judge(seconds=1.0)

    async def retry() -> str:
        recent = RecentAnswers[str]()
        first = asyncio.ensure_future(recent.once(KEY, 0.0, judge))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(recent.once(KEY, 0.1, judge))
        await asyncio.sleep(0.1)
        second.cancel()
        return await first

    assert run(retry()) == "d1"


def test_only_so_many_are_kept() -> None:
    """The oldest answer makes room."""
    judge = Judge()

    async def many() -> int:
        recent = RecentAnswers[str](capacity=2)
        for number in (1, 2, 3, 1):
            await recent.once(RecentAnswers.key(replace(MESSAGE, id=f"m{number}")), 0.0, judge)
        return judge.calls

    assert run(many()) == 4
