"""Answers to repeated calls."""

import asyncio
from dataclasses import replace

import pytest
from tests.gate.clock import run

from modgate.gate import Decision, Fallback, FallbackReason, RecentDecisions
from modgate.message import Conversation, Media, Message, Sender
from modgate.rules.ruleset import FallbackPolicy, Verdict

MESSAGE = Message("m1", "hello", Sender("ann"), Conversation("c"))


class Judge:
    """Counts how often it is asked, and takes its time."""

    def __init__(self, fallback: Fallback | None = None, seconds: float = 0.01) -> None:
        self.calls = 0
        self.fallback = fallback
        self.seconds = seconds

    async def __call__(self) -> Decision:
        self.calls += 1
        number = self.calls
        await asyncio.sleep(self.seconds)
        return Decision(f"d{number}", MESSAGE, Verdict.ALLOW, fallback=self.fallback)


def test_a_repeated_message_gets_the_same_answer() -> None:
    """The second call within the time is not judged again."""
    judge = Judge()

    async def twice() -> list[str]:
        recent = RecentDecisions(keep_seconds=60)
        return [(await recent.once(MESSAGE, now, judge)).id for now in (0.0, 59.0)]

    assert run(twice()) == ["d1", "d1"]
    assert judge.calls == 1


def test_calls_at_the_same_time_are_judged_once() -> None:
    """A retry that overtakes its first call waits for that call's answer."""
    judge = Judge()

    async def together() -> set[str]:
        recent = RecentDecisions()
        return {d.id for d in await asyncio.gather(*(recent.once(MESSAGE, 0.0, judge) for _ in range(5)))}

    assert run(together()) == {"d1"}


def test_an_answer_is_forgotten_after_its_time() -> None:
    """Behind the window the message is judged anew."""
    judge = Judge()

    async def later() -> list[str]:
        recent = RecentDecisions(keep_seconds=60)
        return [(await recent.once(MESSAGE, now, judge)).id for now in (0.0, 60.0)]

    assert run(later()) == ["d1", "d2"]


@pytest.mark.parametrize(
    "other",
    [
        replace(MESSAGE, id=""),
        replace(MESSAGE, text="edited"),
        replace(MESSAGE, sender=Sender("bob")),
        replace(MESSAGE, app_id="other"),
        replace(MESSAGE, conversation=Conversation("d")),
        replace(MESSAGE, media=(Media("p", "image/png", b"1"),)),
        replace(MESSAGE, custom={"title": "edited"}),
    ],
)
def test_another_message_is_judged(other: Message) -> None:
    """An edit, another place, another sender or no id at all is another message."""
    judge = Judge()

    async def both() -> list[str]:
        recent = RecentDecisions()
        return [(await recent.once(message, 0.0, judge)).id for message in (MESSAGE, other, other)]

    assert run(both())[:2] == ["d1", "d2"]


def test_messages_without_an_id_are_always_judged() -> None:
    """Nothing says that two equal texts are one message."""
    judge = Judge()
    nameless = replace(MESSAGE, id="")

    async def twice() -> list[str]:
        recent = RecentDecisions()
        return [(await recent.once(nameless, 0.0, judge)).id for _ in range(2)]

    assert run(twice()) == ["d1", "d2"]


def test_an_answer_with_a_fallback_is_not_kept() -> None:
    """A repeated call may get the full answer."""
    judge = Judge(Fallback(FallbackReason.TIMEOUT, FallbackPolicy.SEND, ("text",)))

    async def twice() -> list[str]:
        recent = RecentDecisions()
        return [(await recent.once(MESSAGE, 0.0, judge)).id for _ in range(2)]

    assert run(twice()) == ["d1", "d2"]


def test_a_cancelled_first_call_is_no_answer_to_the_second() -> None:
    """When the first caller goes away, the retry that waited for it is judged itself."""
    judge = Judge(seconds=1.0)

    async def retry() -> Decision:
        recent = RecentDecisions()
        first = asyncio.ensure_future(recent.once(MESSAGE, 0.0, judge))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(recent.once(MESSAGE, 0.1, judge))
        await asyncio.sleep(0.1)
        first.cancel()
        return await second

    assert run(retry()).id == "d2"


def test_a_cancelled_retry_leaves_the_first_call_alone() -> None:
    """Waiting for an answer does not own it."""
    judge = Judge(seconds=1.0)

    async def retry() -> Decision:
        recent = RecentDecisions()
        first = asyncio.ensure_future(recent.once(MESSAGE, 0.0, judge))
        await asyncio.sleep(0.1)
        second = asyncio.ensure_future(recent.once(MESSAGE, 0.1, judge))
        await asyncio.sleep(0.1)
        second.cancel()
        return await first

    assert run(retry()).id == "d1"


def test_only_so_many_are_kept() -> None:
    """The oldest answer makes room."""
    judge = Judge()

    async def many() -> int:
        recent = RecentDecisions(capacity=2)
        for number in (1, 2, 3, 1):
            await recent.once(replace(MESSAGE, id=f"m{number}"), 0.0, judge)
        return judge.calls

    assert run(many()) == 4
