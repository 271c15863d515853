"""Golden decisions: rules and a message in, everything that goes out, in files that read like documentation."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from tests.gate.clock import JumpingClock, run
from tests.gate.recording import Recorder
from tests.gate.reference import Known, opinion
from tests.gate.scripted import Script, scripted_models

from modgate.detectors.base import Span
from modgate.detectors.cheap import cheap_detectors
from modgate.gate import Decision, Gate, Match, Trace
from modgate.message import Conversation, ConversationType, Media, Message, Sender
from modgate.rules import Ruleset, compile_ruleset, parse_document
from modgate.rules.ruleset import Verdict
from modgate.telemetry import GateObserver, Metrics
from modgate.text import mask

FOLDER = Path(__file__).parents[1] / "golden"
RESERVE_MS = 20
MESSAGE_KEYS = {"text", "app", "sender", "conversation", "media", "custom"}
VOLATILE = {"decision_id", "ruleset", "log_level", "conversation", "sender"}


@dataclass(frozen=True, slots=True)
class Case:
    """One case of one golden file."""

    file: str
    rules: Mapping[str, Any]
    name: str
    said: Mapping[str, Any]


def cases() -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.yaml")):
        document = yaml.safe_load(path.read_text("utf-8"))
        for said in document["cases"]:
            case = Case(path.stem, document["rules"], said["name"], said)
            yield pytest.param(case, id=f"{path.stem}: {said['name']}")


def message_of(said: str | Mapping[str, Any]) -> Message:
    fields: Mapping[str, Any] = {"text": said} if isinstance(said, str) else said
    assert set(fields) <= MESSAGE_KEYS
    sender = fields.get("sender", {})
    conversation = fields.get("conversation", {})
    return Message(
        id="",
        text=fields.get("text", ""),
        app_id=fields.get("app", ""),
        media=tuple(Media(name, "image/png", b"...") for name in fields.get("media", ())),
        custom=fields.get("custom", {}),
        sender=Sender(
            id=sender.get("id", "ann"),
            name=sender.get("name", ""),
            roles=tuple(sender.get("roles", ())),
            created_at=sender.get("created"),
        ),
        conversation=Conversation(
            id=conversation.get("id", "lobby"), type=ConversationType(conversation.get("type", "group"))
        ),
    )


def matches_of(matches: tuple[Match, ...]) -> list[str]:
    lines = []
    for match in matches:
        places = "".join(f" {span.start}-{span.end}" for span in match.spans)
        shadow = " (shadow)" if match.shadow else ""
        lines.append(
            f"{match.rule_id}: {match.detector} {match.label} {match.score:.2f} in {match.part}{places}{shadow}"
        )
    return lines


def tree_of(node: Trace, depth: int = 1) -> Iterator[str]:
    score = f" ({node.score:.2f})" if node.score is not None else ""
    yield f"{'  ' * depth}{node.text}: {node.outcome.value}{score}"
    for child in node.children:
        yield from tree_of(child, depth + 1)


def explanation_of(decision: Decision) -> str:
    lines: list[str] = []
    for rule in decision.traces:
        lines.append(f"{rule.rule_id}{' (shadow)' if rule.shadow else ''}: {rule.outcome.value}")
        lines.extend(tree_of(rule.when))
    return "\n".join(lines) + "\n"


def seen(decision: Decision, logged: Mapping[str, Any] | None, recorder: Recorder) -> dict[str, Any]:
    """Return a decision in the words of the golden files."""
    out: dict[str, Any] = {"verdict": decision.verdict.name.lower(), "matches": matches_of(decision.matches)}
    if decision.verdict is Verdict.MASK:
        out["deliver"] = decision.masked_text
    if decision.flagged:
        out["flagged"] = True
    if decision.fallback is not None:
        fallback = decision.fallback
        out["fallback"] = f"{fallback.reason.name} {fallback.applied.name}: {', '.join(fallback.unfinished)}"
    if decision.notice is not None and decision.notice.notify:
        out["notice"] = f"{decision.notice.code} {decision.notice.reason}"
    out["asked"] = recorder.asked
    out["took"] = f"{decision.elapsed * 1000:.0f}ms"
    out["explain"] = explanation_of(decision)
    out["log"] = {key: value for key, value in (logged or {}).items() if key not in VOLATILE} or None
    return out


async def decide(ruleset: Ruleset, message: Message) -> Decision:
    clock = JumpingClock()
    gate = Gate(ruleset, clock=clock, observer=GateObserver(Metrics()))
    arrived = clock.monotonic()
    deadline = arrived + (ruleset.total_ms - RESERVE_MS) / 1000
    return await gate.judge(message, arrived=arrived, deadline=deadline, explain=True)


@pytest.mark.parametrize("case", list(cases()))
def test_decisions_are_as_the_golden_file_says(case: Case) -> None:
    """Verdict, text to deliver, matches, fallback, explanation and log line of every case are what its file says."""
    models = scripted_models()
    for name, said in case.said.get("models", {}).items():
        models[name].script = Script.read(said)
    document = parse_document(f"{case.file}.yaml", yaml.safe_dump({"version": 1, **case.rules}))
    recorder = Recorder()
    ruleset = recorder.listen(compile_ruleset(document, {**cheap_detectors(), **models}))
    message = message_of(case.said["message"])
    with structlog.testing.capture_logs() as lines:
        decision = run(decide(ruleset, message))
    logged = next((line for line in lines if line["event"] == "decision"), None)
    actual = seen(decision, logged, recorder)
    expected = dict(case.said["expect"])
    # What a file does not mention must not happen; how it came about is checked where the file tells it.
    told = set(expected) | {"verdict", "matches", "deliver", "flagged", "fallback"}
    shown = {key: value for key, value in actual.items() if key in told}
    assert shown == {"matches": [], **expected}, yaml.safe_dump(actual, sort_keys=False, allow_unicode=True)
    _agrees(ruleset, message, decision, recorder)


def _agrees(ruleset: Ruleset, message: Message, decision: Decision, recorder: Recorder) -> None:
    """The plain evaluator, given the same facts, comes to the same decision."""
    recorder.nothing_in(message, ruleset)
    second = opinion(ruleset, message, Known(recorder.reports, recorder.problems), decision.decided_at)
    assert (decision.verdict, decision.flagged) == (second.verdict, second.flagged)
    assert {match.rule_id for match in decision.matches} <= second.true_rules
    if decision.fallback is None:
        assert second.fallback is None
    else:
        assert second.fallback == (decision.fallback.reason.name, decision.fallback.applied.name)
        assert set(decision.fallback.unfinished) == second.unfinished
    if second.covered is not None:
        rules = [rule for rule in ruleset.rules if rule.id in second.true_rules]
        policies = {(rule.effect.mask_char, rule.effect.mask_length) for rule in rules}
        if policies == {("*", None)}:
            assert decision.masked_text == mask(message.text, [Span(i, i + 1) for i in second.covered])
