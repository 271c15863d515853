"""Ready-made packs: each loads, says what it is for, holds its cases, and touches no everyday line."""

from pathlib import Path

import pytest
from tests.rules.judging import judge_by

from modgate.detectors.cheap import cheap_detectors
from modgate.rules import compile_ruleset, load_document, parse_document
from modgate.rules.cases import run_cases, run_everyday
from modgate.rules.lint import lint_document
from modgate.rules.load import AUTOMOD
from modgate.rules.ruleset import Mode

CASES = Path(__file__).parents[1] / "packs"
PACKS = sorted((Path(__file__).parents[2] / "server" / "modgate" / "data" / "packs").glob("*.yaml"))
NAMES = [pack.stem for pack in PACKS]


@pytest.mark.parametrize("name", NAMES)
async def test_the_cases_of_a_pack_hold(name: str) -> None:
    """Every pack has cases, and without models those that need none hold."""
    outcomes = await run_cases(
        CASES / f"{name}.yaml",
        judge_by(parse_document("r", f"version: 1\ninclude: ['pack:{name}']")),
        cheap_detectors(),
    )
    assert [outcome for outcome in outcomes if not outcome.passed] == []


@pytest.mark.parametrize("pack", PACKS, ids=NAMES)
async def test_a_pack_touches_no_everyday_line(pack: Path) -> None:
    """Greetings, games, identities and Scunthorpe words pass every pack."""
    outcomes = await run_everyday(judge_by(load_document(pack)))
    assert [outcome for outcome in outcomes if not outcome.passed] == []


@pytest.mark.parametrize("pack", PACKS, ids=NAMES)
def test_a_pack_describes_itself_and_leaves_nothing_to_lint(pack: Path) -> None:
    """A pack says what it is for, and its rules and lists carry its name or are shared as they are."""
    document = load_document(pack)
    assert len(document.model.description) > 20
    assert all(rule.id.startswith(f"pack.{pack.stem}") for rule in document.model.rules)
    assert lint_document(document) == []


@pytest.mark.parametrize("pack", PACKS, ids=NAMES)
def test_rules_that_compare_with_sentences_stay_in_shadow(pack: Path) -> None:
    """What was not measured does not act, and the pack's text says so."""
    document = load_document(pack)
    similar = [rule for rule in document.model.rules if any(key == "similar" for key, _, _ in rule.when.questions())]
    assert all(rule.mode is Mode.SHADOW for rule in similar)
    assert not similar or "shadow" in document.model.description


def test_all_packs_together_are_one_rule_file() -> None:
    """Names of rules and lists do not collide."""
    text = "version: 1\ninclude:\n" + "".join(f"  - pack:{name}\n" for name in NAMES)
    ruleset = compile_ruleset(parse_document("all", text), cheap_detectors())
    assert len(ruleset.rules) > 20


@pytest.mark.parametrize(("level", "count"), [("disabled", 0), ("simple", 3), ("ai", 12)])
def test_one_switch_chooses_the_packs(level: str, count: int) -> None:
    """`automod` has three levels; without models, `ai` is what needs none of its packs."""
    document = parse_document("r", f"version: 1\nautomod: {level}")
    assert len(compile_ruleset(document, cheap_detectors()).rules) == count
    assert set(AUTOMOD[level]) <= set(NAMES)


def test_an_included_pack_can_be_put_in_shadow_or_in_a_scope() -> None:
    """A pack is tried out before it acts, or acts in one place only."""
    text = "version: 1\ninclude: [{from: 'pack:email', mode: shadow, scope: {apps: [a]}}]"
    (rule,) = compile_ruleset(parse_document("r", text), cheap_detectors()).rules
    assert rule.mode is Mode.SHADOW
    assert rule.scope.apps == {"a"}
