"""Logs: one form for all, and never the text of a message."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from modgate.detectors.base import DetectorError, Problem
from modgate.gate import Decision, Fallback, FallbackReason, Match
from modgate.message import Conversation, Message, Sender
from modgate.rules.ruleset import FallbackPolicy, Verdict
from modgate.telemetry import GateObserver, Metrics, configure_logs

MESSAGE = Message("m", "my secret words", Sender("ann"), Conversation("lobby"), app_id="app")
MATCH = Match("r", 1, "words", "profanity", 1.0, 0.0, (), "text", "", shadow=False)
BLOCKED = Decision("d", MESSAGE, Verdict.BLOCK, matches=(MATCH,), elapsed=0.0123)
ALLOWED = Decision("d", MESSAGE, Verdict.ALLOW)
GUESSED = Decision(
    "d", MESSAGE, Verdict.ALLOW, fallback=Fallback(FallbackReason.TIMEOUT, FallbackPolicy.SEND, ("text",))
)


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    before = logging.getLogger().handlers[:]
    level = logging.getLogger().level
    yield io.StringIO()
    structlog.reset_defaults()
    logging.basicConfig(level=level, handlers=before, force=True)


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_decision_is_one_line_without_text(stream: io.StringIO) -> None:
    """The line has rules, labels and pseudonyms; neither the text nor a plain id of a user."""
    configure_logs(stream=stream)
    GateObserver(Metrics()).decided(BLOCKED)
    (line,) = lines(stream)
    assert {
        key: line[key] for key in ("event", "level", "decision_id", "verdict", "rules", "labels", "elapsed_ms")
    } == {
        "event": "decision",
        "level": "info",
        "decision_id": "d",
        "verdict": "BLOCK",
        "rules": ["r"],
        "labels": ["profanity"],
        "elapsed_ms": 12.3,
    }
    assert not any(secret in stream.getvalue() for secret in ("secret", "ann", "lobby"))


def test_lines_of_one_sender_can_be_put_together(stream: io.StringIO) -> None:
    """The same id has the same pseudonym, another id another."""
    configure_logs(stream=stream)
    observer = GateObserver(Metrics(), log_decisions="all")
    for sender in ("ann", "ann", "bob"):
        observer.decided(Decision("d", Message("m", "", Sender(sender), Conversation("c")), Verdict.ALLOW))
    first, second, third = (line["sender"] for line in lines(stream))
    assert first == second != third


def test_text_is_logged_only_when_switched_on(stream: io.StringIO) -> None:
    """An operator who says so gets the text in decision lines."""
    configure_logs(stream=stream)
    GateObserver(Metrics(), log_text=True).decided(BLOCKED)
    assert lines(stream)[0]["text"] == MESSAGE.text


@pytest.mark.parametrize(("which", "logged"), [("all", 3), ("notable", 2), ("none", 0)])
def test_which_decisions_are_logged_is_a_setting(stream: io.StringIO, which: str, logged: int) -> None:
    """`notable` is everything but a plain ALLOW: a fallback is notable."""
    configure_logs(stream=stream)
    observer = GateObserver(Metrics(), log_decisions=which)
    for decision in (BLOCKED, ALLOWED, GUESSED):
        observer.decided(decision)
    assert len(lines(stream)) == logged


def test_a_failure_is_logged_without_quoting_the_message(stream: io.StringIO) -> None:
    """A detector's own words are logged; those of an unforeseen exception may quote the message and are not."""
    configure_logs(stream=stream)
    observer = GateObserver(Metrics())
    observer.detector_failed("image", DetectorError(Problem.ERROR, "truncated JPEG"))
    observer.detector_failed("words", KeyError("my secret words"))
    told, untold = lines(stream)
    assert (told["error"], told["detail"]) == ("DetectorError", "truncated JPEG")
    assert untold["error"] == "KeyError"
    assert "secret" not in stream.getvalue()


def test_an_unforeseen_failure_is_logged_with_its_place(stream: io.StringIO) -> None:
    """Without the words of the exception, the file and line where it was raised say where to look."""
    configure_logs(stream=stream)
    try:
        int("my secret words")
    except ValueError as error:
        GateObserver(Metrics()).detector_failed("words", error)
    assert "test_logs.py:" in str(lines(stream)[0]["at"])


def test_what_libraries_log_is_json_too(stream: io.StringIO) -> None:
    """A traceback of a library is one JSON line like all others."""
    configure_logs(stream=stream)
    try:
        int("broken")
    except ValueError:
        logging.getLogger("grpc").exception("raised by servicer")
    (line,) = lines(stream)
    assert (line["event"], line["logger"], line["level"]) == ("raised by servicer", "grpc", "error")
    assert "ValueError: invalid literal" in str(line["exception"])


def test_people_may_have_lines(stream: io.StringIO) -> None:
    """`console` writes lines for people."""
    configure_logs(form="console", stream=stream)
    GateObserver(Metrics()).decided(BLOCKED)
    assert stream.getvalue().count("\n") == 1
    assert "verdict=BLOCK" in stream.getvalue()


def test_the_level_is_a_setting(stream: io.StringIO) -> None:
    """Below the level nothing is written."""
    configure_logs("warning", stream=stream)
    GateObserver(Metrics()).decided(BLOCKED)
    assert not stream.getvalue()
