"""Scopes, groups and precedence."""

import pytest

from modgate.detectors.pii import PiiDetector
from modgate.message import Conversation, ConversationType
from modgate.rules import Selector, compile_ruleset, parse_document

HEAD = "version: 1\nrules:\n"


def rule(name: str, *, group: str = "", scope: str = "{}", mode: str = "live") -> str:
    return (
        f"  - {{id: {name}, group: '{group}', scope: {scope}, mode: {mode},"
        " when: {pii: [email]}, then: {action: block}}\n"
    )


def selected(
    rules: str, kind: ConversationType = ConversationType.GROUP, place: str = "lobby", app: str = "app"
) -> list[str]:
    ruleset = compile_ruleset(parse_document("rules.yaml", HEAD + rules), {"pii": PiiDetector()})
    return [r.id for r in Selector(ruleset).select(app, Conversation(place, kind)).rules]


def test_a_rule_for_one_conversation_replaces_the_global_one_of_its_group() -> None:
    """The most specific scope of a group decides alone."""
    rules = rule("everywhere", group="g") + rule("lobby", group="g", scope="{conversation_ids: [lobby]}")
    assert selected(rules) == ["lobby"]
    assert selected(rules, place="elsewhere") == ["everywhere"]


def test_rules_of_other_groups_and_of_none_stay() -> None:
    """Precedence works within a group only."""
    rules = (
        rule("a")
        + rule("b", group="h")
        + rule("c", group="g", scope="{conversation_types: [group]}")
        + rule("d", group="g")
    )
    assert selected(rules) == ["a", "b", "c"]


def test_equally_specific_rules_stay_together() -> None:
    """Of two rules for the same place none is dropped."""
    scope = "{conversation_types: [group]}"
    assert selected(rule("a", group="g", scope=scope) + rule("b", group="g", scope=scope)) == ["a", "b"]


def test_a_conversation_beats_a_type_beats_an_app() -> None:
    """The order of specificity is fixed."""
    app, kind, place = "{apps: [app]}", "{conversation_types: [group]}", "{conversation_ids: [lobby]}"
    everything = rule("e", group="g") + rule("a", group="g", scope=app)
    assert selected(everything) == ["a"]
    assert selected(everything + rule("k", group="g", scope=kind)) == ["k"]
    assert selected(everything + rule("k", group="g", scope=kind) + rule("p", group="g", scope=place)) == ["p"]


def test_a_shadow_rule_replaces_no_live_rule_but_runs_beside_it() -> None:
    """Trying a rule in shadow cannot switch another one off."""
    rules = rule("live", group="g") + rule("shadow", group="g", scope="{conversation_ids: [lobby]}", mode="shadow")
    assert selected(rules) == ["live", "shadow"]


def test_a_draft_is_never_selected() -> None:
    """Drafts are kept, not run."""
    assert selected(rule("a") + rule("b", mode="draft")) == ["a"]


@pytest.mark.parametrize("kind", list(ConversationType))
def test_places_that_no_rule_names_share_one_answer(kind: ConversationType) -> None:
    """A million conversations do not fill the memory."""
    ruleset = compile_ruleset(parse_document("rules.yaml", HEAD + rule("a")), {"pii": PiiDetector()})
    selector = Selector(ruleset)
    first = selector.select("app", Conversation("one", kind))
    assert selector.select("other", Conversation("two", kind)) is first


def test_the_memory_of_places_is_bounded() -> None:
    """Named places, too, are forgotten, the longest unused first."""
    rules = HEAD + rule("a", scope="{conversation_ids: [c1, c2, c3]}")
    selector = Selector(compile_ruleset(parse_document("rules.yaml", rules), {"pii": PiiDetector()}), capacity=2)
    first = selector.select("", Conversation("c1"))
    selector.select("", Conversation("c2"))
    selector.select("", Conversation("c3"))
    assert selector.select("", Conversation("c1")) is not first
