"""Floods, with a clock that the test moves."""

import pytest

from modgate.detectors.base import Subject
from modgate.detectors.flood import FloodDetector, FloodInspector, FloodQuestion, Measure
from modgate.message import Conversation, Message, Sender


def post(
    inspector: FloodInspector, text: str, at: float, number: str = "", *, sender: str = "u", place: str = "c"
) -> list[str]:
    message = Message(number or f"{at}", text, Sender(sender), Conversation(place))
    return sorted(inspector.inspect(Subject(message, {"text": text}, at)))


def counting(measure: Measure, threshold: float, window_s: float, *, per_conversation: bool = True) -> FloodQuestion:
    return FloodQuestion("f", measure, threshold, window_s, per_conversation=per_conversation)


def test_the_nth_message_within_the_window_is_a_flood() -> None:
    """Three in ten seconds; the third is the one that is found, and time forgives."""
    inspector = FloodDetector().configure([counting(Measure.MESSAGES, 3, 10)])
    assert [post(inspector, "hi", at) for at in (0, 1, 2, 3)] == [[], [], ["f"], ["f"]]
    assert post(inspector, "hi", 13.5) == []


def test_senders_and_conversations_are_told_apart() -> None:
    """Nobody pays for another one's messages, or for their own elsewhere."""
    inspector = FloodDetector().configure([counting(Measure.MESSAGES, 2, 10)])
    assert post(inspector, "hi", 0) == []
    assert post(inspector, "hi", 1, sender="v") == []
    assert post(inspector, "hi", 2, place="d") == []
    assert post(inspector, "hi", 3) == ["f"]


def test_the_whole_app_can_be_counted_together() -> None:
    """Posting once in each of many rooms is a flood, too, if the rule says so."""
    inspector = FloodDetector().configure([counting(Measure.MESSAGES, 3, 10, per_conversation=False)])
    assert [post(inspector, "hi", at, place=f"room{at}") for at in (0, 1, 2)] == [[], [], ["f"]]


def test_a_repeated_call_is_not_counted_twice() -> None:
    """A gateway that retries one message id does not make its sender a flooder."""
    inspector = FloodDetector().configure([counting(Measure.MESSAGES, 2, 10)])
    assert [post(inspector, "hi", at, "same") for at in (0, 1, 2)] == [[], [], []]


def test_near_duplicates_are_counted_and_other_messages_are_not() -> None:
    """Case, punctuation and a changed letter do not hide a repeated message."""
    inspector = FloodDetector().configure([counting(Measure.DUPLICATES, 3, 60)])
    spam = "Buy cheap gold at my shop, best prices in the whole game today"
    assert post(inspector, spam, 0) == []
    assert post(inspector, "what a nice evening for a raid", 1) == []
    assert post(inspector, spam.upper() + "!!!", 2) == []
    assert post(inspector, spam + " x7", 3) == ["f"]
    assert post(inspector, "thanks, see you tomorrow then", 4) == []


def test_counters_survive_a_reload() -> None:
    """A new ruleset goes on counting where the old one was."""
    detector = FloodDetector()
    old = detector.configure([counting(Measure.MESSAGES, 2, 10)])
    assert post(old, "hi", 0) == []
    assert post(detector.configure([counting(Measure.MESSAGES, 2, 10)]), "hi", 1) == ["f"]


def test_memory_is_bounded_and_forgets_the_longest_silent() -> None:
    """A million senders do not fill the memory."""
    detector = FloodDetector(senders=2)
    inspector = detector.configure([counting(Measure.MESSAGES, 2, 100)])
    for at, sender in enumerate(("a", "b", "c")):
        post(inspector, "hi", at, sender=sender)
    assert post(inspector, "hi", 4, sender="a") == []
    assert post(inspector, "hi", 5, sender="c") == ["f"]
    assert len(detector._memory._seen) == 2


@pytest.mark.parametrize(
    ("measure", "threshold", "text", "found"),
    [
        (Measure.LINKS, 2, "http://a.b and www.c.de", True),
        (Measure.LINKS, 2, "http://a.b only", False),
        (Measure.MENTIONS, 3, "@a @b @c", True),
        (Measure.MENTIONS, 1, "me@example.com", False),
        (Measure.CAPITALS, 0.7, "WHY IS NOBODY ANSWERING", True),
        (Measure.CAPITALS, 0.7, "OMG LOL", False),
        (Measure.CAPITALS, 0.7, "a normal sentence of Some Length", False),
        (Measure.MENTION_RATIO, 0.5, "@a @b hey", True),
        (Measure.LINK_RATIO, 0.5, "see the page at http://a.b now", False),
        (Measure.LINK_RATIO, 0.5, "", False),
    ],
)
def test_single_messages_are_measured(measure: Measure, threshold: float, text: str, found: bool) -> None:  # noqa: FBT001
    """Links, mentions and capitals are counted in the message at hand."""
    inspector = FloodDetector().configure([FloodQuestion("f", measure, threshold)])
    assert post(inspector, text, 0) == (["f"] if found else [])
