"""What must hold for any rules and any message."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from modgate.detectors.base import DetectorError, Finding, ModelInspector, Problem, Report, Subject, Tier
from modgate.detectors.cheap import cheap_detectors
from modgate.gate import Decision, Gate
from modgate.message import Conversation, ConversationType, Message, Sender
from modgate.rules import compile_ruleset, parse_document
from modgate.rules.ruleset import Verdict

LISTS = {
    "red": {"kind": "words", "entries": ["darn", "blast it"]},
    "blue": {"kind": "words", "entries": ["heck", "darn"]},
    "sites": {"kind": "domains", "entries": ["evil.example"]},
}
WORDS = [
    "darn",
    "heck",
    "blast it",
    "DARN!",
    "d.a.r.n",
    "evil.example",
    "a@b.org",
    "+1 415 555 2671",
    "hello",
    "😀",
    "ok.",
]
QUESTIONS: list[dict[str, Any]] = [
    {"words": {"list": "red"}},
    {"words": {"list": "blue"}},
    {"domain": {"list": "sites"}},
    {"pii": ["email", "phone"]},
    {"text": {"label": "toxic", "at_least": 0.5}},
]

conditions = st.recursive(
    st.sampled_from(QUESTIONS),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda c: {"all": c}),
        st.lists(inner, min_size=1, max_size=3).map(lambda c: {"any": c}),
        inner.map(lambda c: {"not": c}),
    ),
    max_leaves=4,
)
scopes = st.sampled_from([{}, {"conversation_types": ["group"]}, {"conversation_ids": ["c"]}, {"apps": ["other"]}])
bodies = st.fixed_dictionaries(
    {
        "when": conditions,
        "then": st.sampled_from(["allow", "mask", "replace", "block"]).map(lambda action: {"action": action}),
        "scope": scopes,
        "group": st.sampled_from(["", "g", "h"]),
        "mode": st.sampled_from(["live", "shadow"]),
        "on_timeout": st.sampled_from(["send", "block"]),
    }
)
rule_lists = st.lists(bodies, max_size=5).map(lambda rules: [{**rule, "id": f"r{i}"} for i, rule in enumerate(rules)])
texts = st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join)


class Model:
    """A classifier that finds, finds nothing, or is late."""

    name = "text"
    tier = Tier.MODEL
    cost_us = 5000.0
    labels = {"toxic": 0.5}  # noqa: RUF012  # never changed

    def __init__(self, score: float | None) -> None:
        self._score = score

    def configure(self, questions: Sequence[str]) -> ModelInspector:
        del questions
        return self

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        del subject, deadline
        if self._score is None:
            raise DetectorError(Problem.TIMEOUT)
        return {"toxic": (Finding("toxic", self._score),)}


CHEAP = cheap_detectors()


def judge(rules: list[dict[str, Any]], text: str, score: float | None = 0.0) -> Decision:
    document = parse_document("rules", json.dumps({"version": 1, "lists": LISTS, "rules": rules}))
    gate = Gate(compile_ruleset(document, {**CHEAP, "text": Model(score)}))
    message = Message("m", text, Sender("u"), Conversation("c", ConversationType.GROUP))
    return asyncio.run(gate.judge(message, arrived=0.0, deadline=1e12))


def told(decision: Decision) -> tuple[Verdict, str, bool]:
    return decision.verdict, decision.masked_text, decision.flagged


@settings(max_examples=40, deadline=None)
@given(rules=rule_lists, text=texts, seed=st.randoms(use_true_random=False), score=st.sampled_from([0.0, 0.9, None]))
def test_the_order_of_rules_does_not_change_the_verdict(
    rules: list[dict[str, Any]], text: str, seed: Any, score: float | None
) -> None:
    """A file may be sorted by any taste."""
    shuffled = list(rules)
    seed.shuffle(shuffled)
    first, second = judge(rules, text, score), judge(shuffled, text, score)
    assert (first.verdict, first.flagged) == (second.verdict, second.flagged)


@settings(max_examples=40, deadline=None)
@given(rules=rule_lists, extra=bodies, text=texts, score=st.sampled_from([0.0, 0.9, None]))
def test_adding_a_shadow_rule_changes_no_verdict(
    rules: list[dict[str, Any]], extra: dict[str, Any], text: str, score: float | None
) -> None:
    """Trying a rule is safe, whatever its scope, its group and its fallback."""
    shadow = {**extra, "id": "extra", "mode": "shadow"}
    assert told(judge(rules, text, score)) == told(judge([*rules, shadow], text, score))


@settings(max_examples=40, deadline=None)
@given(rules=rule_lists, text=texts)
def test_a_late_model_never_softens_a_finished_block(rules: list[dict[str, Any]], text: str) -> None:
    """What is blocked by the rules that need no model stays blocked when the model is late."""
    sure = [rule for rule in rules if "text" not in json.dumps(rule["when"])]
    groupless = [{**rule, "group": ""} for rule in rules]
    if judge([{**rule, "group": ""} for rule in sure], text).verdict is Verdict.BLOCK:
        assert judge(groupless, text, None).verdict is Verdict.BLOCK


def test_a_fallback_may_block_a_share_of_messages_and_repeats_agree() -> None:
    """A third of the late messages is blocked, always the same ones; the others are sent and marked as fallbacks."""
    rule = {"id": "r", "when": QUESTIONS[4], "then": {"action": "block"}, "on_timeout": "block", "block_fraction": 0.3}
    document = parse_document("rules", json.dumps({"version": 1, "rules": [rule]}))
    gate = Gate(compile_ruleset(document, {"text": Model(None)}))

    async def judge_many() -> list[Verdict]:
        decisions = [
            await gate.judge(
                Message(f"message-{n}", "hello", Sender("u"), Conversation("c")), arrived=0.0, deadline=1e12
            )
            for n in range(1000)
        ]
        assert all(decision.fallback is not None for decision in decisions)
        return [decision.verdict for decision in decisions]

    first = asyncio.run(judge_many())
    assert 250 < first.count(Verdict.BLOCK) < 350
    assert asyncio.run(judge_many()) == first


@settings(max_examples=60, deadline=None)
@given(text=texts, before=st.text(max_size=5), after=st.text(max_size=5))
def test_a_mask_never_reveals_a_matched_character(text: str, before: str, after: str) -> None:
    """Judged again, a masked text holds nothing of what was matched."""
    rules = [{"id": f"r{i}", "when": question, "then": {"action": "mask"}} for i, question in enumerate(QUESTIONS[:4])]
    decision = judge(rules, f"{before} {text} {after}")
    for match in decision.matches:
        for span in match.spans:
            covered = decision.masked_text[span.start : span.end]
            assert not any(character.isalnum() for character in covered)
