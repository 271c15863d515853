"""The rules that ship, as far as they need no model, on what a newcomer tries first."""

import pytest

from modgate.detectors.base import CheapInspector, Subject
from modgate.detectors.cheap import cheap_detectors
from modgate.message import Conversation, Message, Sender
from modgate.rules import Ruleset, compile_ruleset, load_document
from modgate.rules.ruleset import Leaf


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    return compile_ruleset(load_document("builtin:default"), cheap_detectors())


def hits(ruleset: Ruleset, text: str) -> list[str]:
    """Ids of the rules whose single leaf is true."""
    subject = Subject(Message("m", text, Sender("u"), Conversation("c")), {"text": text}, 0.0)
    found = []
    for rule in ruleset.rules:
        assert isinstance(rule.when, Leaf)
        inspector: CheapInspector = ruleset.inspections[rule.when.detector].inspector  # type: ignore[assignment]  # all are cheap here
        report = inspector.inspect(subject)
        if any(f.score >= rule.when.at_least for label in rule.when.labels for f in report.get(label, ())):
            found.append(rule.id)
    return found


@pytest.mark.parametrize(
    "text",
    [
        "hello!",
        "hi, how are you?",
        "good morning everyone",
        "you killed it",
        "that boss is sick",
        "I'm gay and proud",
        "Scunthorpe United won at Penistone",
        "classic assassin cocktail in Essex",
        "Dick Van Dyke was great",
        "I have 1000000 points at 10:30",
        "😀😀😀",
        "",
        "the pussycat has a blue tit's nest",
        "שלום לכולם",
        "a niggardly snicker, a spicy gookin",
    ],
)
def test_what_is_fine_stays_untouched(ruleset: Ruleset, text: str) -> None:
    """Greetings, gaming slang, identities, Scunthorpe words and emoji hit no rule of the cheap tier."""
    assert hits(ruleset, text) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("what the fuck", "profanity"),
        ("what the f.u.c.k", "profanity"),
        ("f*ck this", "profanity"),
        ("shiiiiit", "profanity"),
        ("you are a faggot", "slurs"),
        ("call me at 555-123-4567", "contact-details"),
        ("my number is +49 30 901820", "contact-details"),
        ("jane.doe@example.com", "contact-details"),
        ("look: https://evil.example/login", "bad-domains"),
        ("win at www.scam.example", "bad-domains"),
    ],
)
def test_what_is_not_fine_hits_its_rule(ruleset: Ruleset, text: str, rule: str) -> None:
    """Profanity, slurs, contact details and bad domains are found with no model at all."""
    assert hits(ruleset, text) == [rule]
