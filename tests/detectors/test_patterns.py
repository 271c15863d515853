"""Patterns in linear time."""

import pytest

from modgate.detectors.base import Report, Span, Subject
from modgate.detectors.patterns import PatternDetector, PatternQuestion, refusal
from modgate.message import Conversation, Message, Sender


def look(text: str, *questions: PatternQuestion) -> Report:
    subject = Subject(Message("m", text, Sender("u"), Conversation("c")), {"text": text}, 0.0)
    return PatternDetector().configure(questions).inspect(subject)


@pytest.mark.parametrize("example", PatternDetector.examples, ids=lambda e: e.text)
def test_documented_examples_hold(example: object) -> None:
    """What the docs show is what happens."""
    report = look(example.text, PatternQuestion("free-skins", (r"(?i)\bfree\s+skins\b",)))  # type: ignore[attr-defined]  # an Example
    assert tuple(s for f in report.get("free-skins", ()) for s in f.spans) == example.spans  # type: ignore[attr-defined]


def test_spans_are_code_points_of_the_original() -> None:
    """Emoji and accents before a match do not move it."""
    (finding,) = look("é😀 foo1 foo22", PatternQuestion("l", (r"foo\d+",)))["l"]
    assert finding.spans == (Span(3, 7), Span(8, 13))


def test_all_lists_are_searched_at_once_and_told_apart() -> None:
    """Each finding carries the list that its pattern is of."""
    report = look("ab", PatternQuestion("x", ("a", "zz")), PatternQuestion("y", ("b",)), PatternQuestion("z", ("c",)))
    assert set(report) == {"x", "y"}


@pytest.mark.parametrize("expression", ["(?=a)b", r"(a)\1", "(?<!x)y", "(", "a**", "(a{1000}){1000}"])
def test_what_re2_cannot_do_is_refused(expression: str) -> None:
    """Look-around, back-references, broken and exploding expressions never get into force."""
    assert refusal(expression)
    with pytest.raises(ValueError, match="cannot be used"):
        look("", PatternQuestion("x", (expression,)))


@pytest.mark.parametrize("expression", ["a*", "", "x?|b", r"\b"])
def test_a_pattern_that_matches_nothing_at_all_is_refused(expression: str) -> None:
    """An expression that matches the empty text would hit every message."""
    assert "empty text" in refusal(expression) or expression == r"\b"


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|aa)+$", "(a|a?)+$", "(.*a){12}", "(x+x+)+y"])
def test_patterns_that_blow_up_backtracking_engines_finish(expression: str) -> None:
    """64 KiB of the worst text end; the figure itself is the benchmark's."""
    if not refusal(expression):
        look("a" * 65_536 + "!", PatternQuestion("x", (expression,)))
