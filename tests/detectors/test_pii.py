"""Personal details: each recogniser's documented cases, and what all of them owe."""

import pytest

from modgate.detectors.base import Example, Report, Span, Subject
from modgate.detectors.pii import RECOGNISERS, PiiDetector, PiiQuestion
from modgate.message import Conversation, Message, Sender

CASES = [(recogniser.kind, example) for recogniser in RECOGNISERS for example in recogniser.examples]


def look(text: str, *kinds: str) -> Report:
    subject = Subject(Message("m", text, Sender("u"), Conversation("c")), {"text": text}, 0.0)
    return PiiDetector().configure([PiiQuestion(kind) for kind in kinds]).inspect(subject)


def sure(report: Report, kind: str) -> tuple[Span, ...]:
    return tuple(span for finding in report.get(kind, ()) if finding.score >= 0.5 for span in finding.spans)


@pytest.mark.parametrize(("kind", "example"), CASES, ids=[f"{kind}-{example.why}" for kind, example in CASES])
def test_documented_examples_hold(kind: str, example: Example) -> None:
    """What the docs show is what happens, at the default confidence."""
    assert sure(look(example.text, kind), kind) == example.spans


@pytest.mark.parametrize("recogniser", RECOGNISERS, ids=lambda r: r.kind)
def test_every_recogniser_documents_finds_and_leaves(recogniser: object) -> None:
    """A recogniser shows at least two texts that it finds and two that it must leave alone."""
    examples: tuple[Example, ...] = recogniser.examples  # type: ignore[attr-defined]  # a Recogniser
    assert sum(bool(example.spans) for example in examples) >= 2
    assert sum(not example.spans for example in examples) >= 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "hello there",
        "you killed it",
        "gg wp 10/10",
        "meet at 10:30 on 2026-11-21",
        "it costs 1 000 000",
        "v1.2.3.4",
        "1/2/2024 12:30:45",
        "score 12345678",
        "😀" * 50,
        "0" * 40,
        "π = 3.14159265358979",
    ],
)
def test_ordinary_texts_hold_nothing(text: str) -> None:
    """Greetings, dates, prices, versions and scores give nobody away."""
    report = look(text, *(recogniser.kind for recogniser in RECOGNISERS))
    assert not {kind for kind in report if sure(report, kind)}, text


def test_an_unknown_kind_is_refused() -> None:
    """Asking for a kind that there is not is told with those that there are."""
    with pytest.raises(ValueError, match="no recogniser for shoe; there are btc, credit_card"):
        look("", "shoe")
