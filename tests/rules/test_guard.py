"""Which thresholds of rules a first stage can be trusted with."""

import pytest

from modgate.rules.guard import asked_below_default
from modgate.rules.ruleset import (
    AllOf,
    AnyOf,
    Condition,
    Effect,
    FallbackPolicy,
    Leaf,
    Mode,
    Not,
    Rule,
    Scope,
    Verdict,
)

DEFAULTS = {"toxic": 0.9, "insult": 0.8}


def leaf(label: str, at_least: float, detector: str = "text") -> Leaf:
    return Leaf(0, detector, (label,), at_least, label)


def rule_when(condition: Condition) -> Rule:
    return Rule(
        id="r",
        name="",
        revision=1,
        mode=Mode.LIVE,
        group="",
        scope=Scope(),
        admits=None,
        filters=None,
        when=condition,
        effect=Effect(Verdict.BLOCK),
        on_timeout=FallbackPolicy.SEND,
        on_error=FallbackPolicy.SEND,
    )


HIGH, LOW, WORDS = leaf("toxic", 0.9), leaf("insult", 0.5), leaf("list", 0.0, "words")


@pytest.mark.parametrize(
    ("condition", "below"),
    [
        (HIGH, set()),
        (LOW, {"insult"}),
        (AllOf((HIGH, LOW)), set()),
        (AllOf((WORDS, LOW)), {"insult"}),
        (AnyOf((HIGH, LOW)), {"insult"}),
        (AllOf((HIGH, Not(AnyOf((LOW, WORDS))))), set()),
        (Not(LOW), {"insult"}),
        (leaf("unknown", 0.99), {"unknown"}),
    ],
)
def test_a_low_threshold_matters_unless_a_default_one_stands_beside_it(condition: Condition, below: set[str]) -> None:
    """Only `all` with a label at its default threshold makes lower thresholds harmless."""
    rules: list[Rule] = [rule_when(condition)]
    assert asked_below_default(rules, "text", DEFAULTS) == below
