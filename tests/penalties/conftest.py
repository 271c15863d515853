"""A gate whose only detector finds the word `bad`, and a clock that stands still until told otherwise."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from modgate.detectors.base import Finding, Report, Span, Subject, Tier
from modgate.message import Conversation, ConversationType, Message, Receiver, Sender
from modgate.rules.ruleset import (
    Effect,
    FallbackPolicy,
    Inspection,
    Leaf,
    Mode,
    PenaltyClause,
    PenaltyType,
    Rule,
    Ruleset,
    Scope,
    Verdict,
)

MINUTE = timedelta(minutes=1)


class StillClock:
    """Both kinds of time, moved by hand."""

    def __init__(self, at: float = 1_000_000.0) -> None:
        self.at = at

    def monotonic(self) -> float:
        return self.at

    def now(self) -> float:
        return self.at


class WordInspector:
    """Finds `bad`."""

    def inspect(self, subject: Subject) -> Report:
        at = subject.message.text.find("bad")
        return {} if at < 0 else {"bad": (Finding("bad", spans=(Span(at, at + 3),)),)}


@dataclass(frozen=True)
class Make:
    """Makes rules, rulesets and messages with sensible defaults."""

    rule: Callable[..., Rule]
    ruleset: Callable[..., Ruleset]
    message: Callable[..., Message]


def make_rule(*clauses: PenaltyClause, mode: Mode = Mode.LIVE, identity: str = "insults") -> Rule:
    leaf = Leaf(0, "word", ("bad",), 0.5, "words bad")
    return Rule(
        id=identity,
        name="",
        revision=1,
        mode=mode,
        group="",
        scope=Scope(),
        admits=None,
        filters=None,
        when=leaf,
        effect=Effect(Verdict.MASK),
        on_timeout=FallbackPolicy.SEND,
        on_error=FallbackPolicy.SEND,
        penalties=clauses,
        detectors=frozenset({"word"}),
    )


def make_ruleset(*rules: Rule) -> Ruleset:
    inspection = Inspection("word", Tier.CHEAP, 1.0, WordInspector())
    return Ruleset("r1", rules, {"word": inspection}, (Leaf(0, "word", ("bad",), 0.5, "words bad"),))


def make_message(
    identity: str = "m1",
    *,
    text: str = "bad",
    sender: str = "ann",
    conversation: str = "c1",
    kind: ConversationType = ConversationType.GROUP,
    receiver: str = "",
    roles: tuple[str, ...] = (),
) -> Message:
    return Message(
        id=identity,
        text=text,
        sender=Sender(sender, roles=roles),
        conversation=Conversation(conversation, kind, receiver=Receiver(receiver) if receiver else None),
        app_id="app",
    )


@pytest.fixture
def make() -> Make:
    return Make(make_rule, make_ruleset, make_message)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def five_a_minute() -> PenaltyClause:
    return PenaltyClause(5, MINUTE, PenaltyType.MUTE, duration=timedelta(hours=1), reason="repeated insults")
