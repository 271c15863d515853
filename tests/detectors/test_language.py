"""The language of a text."""

import pytest

from modgate.detectors.base import Example, Report, Subject
from modgate.detectors.language import LanguageDetector
from modgate.detectors.questions import LanguageQuestion
from modgate.message import Conversation, Message, Sender

EN = LanguageQuestion("in:en", ("en",))
NOT_EN = LanguageQuestion("not_in:en", ("en",), negated=True)
DE_ES = LanguageQuestion("in:de,es", ("de", "es"))
INSPECTOR = LanguageDetector().configure([EN, NOT_EN, DE_ES])


def look(text: str) -> Report:
    return INSPECTOR.inspect(Subject(Message("m", text, Sender("u"), Conversation("c")), {"text": text}, 0.0))


def sure(text: str) -> set[str]:
    return {label for label, (finding,) in look(text).items() if finding.score >= 0.8}


@pytest.mark.parametrize("example", LanguageDetector.examples, ids=lambda e: e.why)
def test_documented_examples_hold(example: Example) -> None:
    """What the docs show is what happens; what is too short has no language."""
    expected = {"de": {"not_in:en", "in:de,es"}, "en": {"in:en"}, "": set()}[example.label]
    assert sure(example.text) == expected


@pytest.mark.parametrize(
    "text", ["hello how are you", "that boss is sick, you killed it", "see you at the game tonight"]
)
def test_english_is_english(text: str) -> None:
    """Plain lines of chat are clear."""
    assert sure(text) == {"in:en"}


@pytest.mark.parametrize(
    "text", ["hola, ¿cómo estás amigo?", "привет, как дела?", "où est la gare", "こんにちは皆さん"]
)
def test_other_languages_are_not_english(text: str) -> None:
    """What is clearly another language is found by `not_in`."""
    assert "not_in:en" in sure(text)


@pytest.mark.parametrize("text", ["", "gg wp", "lol", "brb", "1234", "xD"])
def test_unclear_texts_are_in_no_language_and_in_no_other(text: str) -> None:
    """A rule for foreign languages does not hit a `gg`."""
    assert sure(text) == set()


def test_a_code_that_is_no_language_is_refused() -> None:
    """A country's code in place of a language's is told."""
    with pytest.raises(ValueError, match='"gb" is no language'):
        LanguageDetector().configure([LanguageQuestion("x", ("gb",))])
