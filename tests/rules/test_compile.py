"""From documents to rulesets."""

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from modgate.detectors.base import CheapInspector, Detector, Report, Subject, Tier
from modgate.detectors.cheap import cheap_detectors
from modgate.rules import Inspectors, RulesError, Ruleset, compile_ruleset, load_document, parse_document
from modgate.rules.ruleset import AllOf, AnyOf, FallbackPolicy, Leaf, Not, Verdict

HEAD = """\
version: 1
lists:
  bad: {kind: words, entries: [badword]}
  sites: {kind: domains, entries: [evil.example]}
  bypass: {kind: sentences, entries: [pay me outside]}
  codes: {kind: patterns, entries: ['\\bfoo\\d+']}
  broken: {kind: patterns, entries: [ok, '(', '(?<=a)b']}
  no-sites: {kind: domains, entries: [evil.example, evil.example/path]}
rules:
"""


RULE_ON_WORDS = "  - {id: r, when: {words: {list: bad}}, then: {action: block}}\n"


class Silent:
    """An inspector that finds nothing."""

    def inspect(self, subject: Subject) -> Report:
        del subject
        return {}


@dataclass
class Recording:
    """A detector that keeps what it was asked."""

    name: str
    labels: Mapping[str, float | None] = field(default_factory=dict)
    tier: Tier = Tier.MODEL
    cost_us: float = 5000.0
    asked: list[Any] = field(default_factory=list)
    strict: Mapping[str, float | None] = field(default_factory=dict)

    def configure(self, questions: Sequence[Any]) -> CheapInspector:
        self.asked = list(questions)
        return Silent()


def detectors() -> dict[str, Detector[Any]]:
    labels: dict[str, float | None] = {"insult": 0.8, "threat": None, "toxic": 0.7}
    models = (Recording("text", labels, strict={"insult": 0.97, "threat": None}), Recording("similar"))
    return {**cheap_detectors(), **{model.name: model for model in models}}


def ruleset(*rules: str) -> Ruleset:
    return compile_ruleset(parse_document("rules.yaml", HEAD + "".join(f"  - {rule}\n" for rule in rules)), detectors())


def one(when: str, then: str = "{action: block}") -> Ruleset:
    return ruleset(f"{{id: r, when: {when}, then: {then}}}")


def refused(when: str) -> list[str]:
    with pytest.raises(RulesError) as caught:
        one(when)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("when", "detector", "labels", "at_least", "text"),
    [
        ("{words: {list: bad}}", "words", ("bad",), 0.0, "words bad"),
        ("{pattern: {list: codes}}", "pattern", ("codes",), 0.0, "pattern codes"),
        ("{text: {label: insult}}", "text", ("insult",), 0.8, "text insult >= 0.8"),
        ("{text: {label: insult, at_least: strict}}", "text", ("insult",), 0.97, "text insult >= 0.97"),
        ("{text: {label: toxic, at_least: strict}}", "text", ("toxic",), 0.7, "text toxic >= 0.7"),
        ("{text: {label: threat, at_least: 0.6}}", "text", ("threat",), 0.6, "text threat >= 0.6"),
        ("{similar: {to: bypass, at_least: 0.75}}", "similar", ("bypass",), 0.75, "similar to bypass >= 0.75"),
        ("{pii: [phone, email]}", "pii", ("phone", "email"), 0.5, "pii phone, email"),
        ("{domain: {list: sites}}", "domain", ("sites",), 0.0, "domain on sites"),
        ("{domain: {list: sites, mode: not_listed}}", "domain", ("not_listed:sites",), 0.0, "domain not on sites"),
    ],
)
def test_each_condition_becomes_a_leaf(
    when: str, detector: str, labels: tuple[str, ...], at_least: float, text: str
) -> None:
    """Every key asks its detector, and its leaf is true on the label that the detector reports."""
    assert one(when).leaves == (Leaf(0, detector, labels, at_least, text),)


@pytest.mark.parametrize("written", ["sometimes", "true", "2", "-1", "[0.5]"])
def test_a_least_score_is_a_fraction_or_strict(written: str) -> None:
    """Anything else is refused at its place."""
    (problem,) = refused(f"{{text: {{label: insult, at_least: {written}}}}}")
    assert "text.at_least:" in problem


def test_inline_patterns_and_floods_are_labelled_by_what_they_ask() -> None:
    """Two different expressions get two labels, equal ones share a leaf."""
    compiled = ruleset(
        "{id: a, when: {pattern: {regex: 'x+'}}, then: {action: block}}",
        "{id: b, when: {pattern: {regex: 'x+'}}, then: {action: block}}",
        "{id: c, when: {pattern: {regex: 'y+'}}, then: {action: block}}",
        "{id: d, when: {flood: {messages: 5, within: 10s}}, then: {action: block}}",
    )
    assert [leaf.labels[0].partition(":")[0] for leaf in compiled.leaves] == ["regex", "regex", "flood"]
    assert len({leaf.labels for leaf in compiled.leaves}) == 3


def test_children_stand_in_order_of_cost() -> None:
    """Words before models, however the rule was written; nothing is lost."""
    when = (
        one("{any: [{similar: {to: bypass}}, {not: {text: {label: toxic}}}, {words: {list: bad}}, {pii: [email]}]}")
        .rules[0]
        .when
    )
    assert isinstance(when, AnyOf)
    names = [child.detector if isinstance(child, Leaf) else type(child).__name__ for child in when.children]
    assert names[:2] == ["words", "pii"]
    assert sorted(names[2:]) == ["Not", "similar"]


def test_trees_keep_their_shape() -> None:
    """All, any and not nest as written."""
    when = one("{all: [{words: {list: bad}}, {not: {any: [{pii: [email]}, {pii: [phone]}]}}]}").rules[0].when
    assert isinstance(when, AllOf)
    second = when.children[1]
    assert isinstance(second, Not)
    assert isinstance(second.child, AnyOf)


def test_effects_fall_back_to_the_defaults_of_the_document() -> None:
    """A rule that says nothing of notices, masks and fallbacks takes the deployment's."""
    text = (
        "version: 1\ndefaults: {on_timeout: block, mask: {char: '#', length: 3}, notice: {code: 7, text: no}}\n"
        "rules:\n"
        "  - {id: a, when: {pii: [email]}, then: {action: mask}}\n"
        "  - {id: b, when: {pii: [email]}, then: {action: replace}, on_timeout: send, on_error: block}\n"
    )
    first, second = compile_ruleset(parse_document("rules.yaml", text), detectors()).rules
    assert (first.on_timeout, first.on_error) == (FallbackPolicy.BLOCK, FallbackPolicy.SEND)
    assert (second.on_timeout, second.on_error) == (FallbackPolicy.SEND, FallbackPolicy.BLOCK)
    assert (first.effect.mask_char, first.effect.mask_length, first.effect.replacement) == ("#", 3, None)
    assert (first.effect.notice.code, first.effect.notice.reason, first.effect.notice.notify) == (7, "no", False)
    assert (second.effect.verdict, second.effect.replacement) == (Verdict.MASK, "***")


def test_blocked_senders_are_told_unless_the_rule_says_otherwise() -> None:
    """Agora's code 508 goes out with every block by default."""
    assert one("{pii: [email]}").rules[0].effect.notice.notify
    assert not one("{pii: [email]}", "{action: block, notify_sender: false}").rules[0].effect.notice.notify


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("{words: {list: bda}}", 'rules.yaml:10: rules[0].when.words.list: there is no list "bda"; did you mean bad?'),
        ("{words: {list: sites}}", '"sites" is a list of domains; words needs one of words; there are: bad'),
        ("{text: {label: insolt}}", 'no text model of this server has the label "insolt"; did you mean insult?'),
        (
            "{text: {label: threat}}",
            'the label "threat" has no default threshold; write e.g. text: {label: threat, at_least: 0.8}',
        ),
        ("{pii: [emial]}", 'rules[0].when.pii[0]: "emial" is not a kind of personal detail; did you mean email?'),
        ("{image: {label: gore, at_least: 0.5}}", "this server has no image models; fetch them"),
        ("{pattern: {regex: '(?=a)b'}}", "invalid perl operator: (?=; RE2 has no look-around and no back-references"),
        ("{pattern: {list: broken}}", '"(" of the list "broken" cannot be used (and 1 more entries): missing ): ('),
        ("{domain: {list: no-sites}}", '"evil.example/path" of the list "no-sites" cannot be used: it is not a domain'),
        ("{pattern: {regex: 'a*'}}", "it matches the empty text, and so every message"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(when: str, expected: str) -> None:
    """Unknown lists, labels, kinds and models are told with a way out."""
    assert expected in refused(when)[0]


def test_problems_of_all_rules_are_told_together() -> None:
    """Compiling, too, stops at the end and not at the first mistake."""
    rules = [f"{{id: r{i}, when: {{words: {{list: nix{i}}}}}, then: {{action: block}}}}" for i in range(3)]
    with pytest.raises(RulesError) as caught:
        ruleset(*rules)
    assert [problem.line for problem in caught.value.problems] == [10, 11, 12]


def test_a_draft_is_checked_and_asks_nothing() -> None:
    """Drafts cost nothing at run time, and still cannot name what does not exist."""
    assert ruleset("{id: r, mode: draft, when: {words: {list: bad}}, then: {action: block}}").inspections == {}
    with pytest.raises(RulesError):
        ruleset("{id: r, mode: draft, when: {words: {list: nix}}, then: {action: block}}")


def test_an_optional_rule_is_left_out_with_a_warning_where_its_model_is_missing() -> None:
    """The default rules run on a server without pictures."""
    compiled = ruleset(
        "{id: r, optional: true, when: {image: {label: gore}}, then: {action: block}}",
        "{id: s, when: {pii: [email]}, then: {action: block}}",
    )
    assert [rule.id for rule in compiled.rules] == ["s"]
    assert compiled.warnings == (
        'rule r is left out: this server has no image models; fetch them with "modgate models fetch"',
    )


def test_an_optional_rule_with_a_mistake_is_still_refused() -> None:
    """Optional forgives a missing model, never a misspelt list."""
    with pytest.raises(RulesError):
        ruleset("{id: r, optional: true, when: {words: {list: nix}}, then: {action: block}}")


def test_the_revision_changes_with_rules_lists_and_settings_only() -> None:
    """Comments and order of keys leave the revision alone; anything that matters changes it."""
    first = one("{pii: [email]}").revision
    assert first == one("{pii: [email]}  # why\n").revision
    assert first != one("{pii: [phone]}").revision
    longer = (
        HEAD.replace("[badword]", "[badword, other]") + "  - {id: r, when: {pii: [email]}, then: {action: block}}\n"
    )
    assert first != compile_ruleset(parse_document("rules.yaml", longer), detectors()).revision


def test_what_is_asked_again_is_not_built_again() -> None:
    """A change of one rule leaves the automaton of all words alone; a change of a list builds it anew."""
    reuse, ours = Inspectors(), detectors()

    def inspectors(text: str) -> dict[str, object]:
        compiled = compile_ruleset(parse_document("rules.yaml", text), ours, reuse=reuse)
        kept.append(compiled)
        return {name: inspection.inspector for name, inspection in compiled.inspections.items()}

    kept: list[Ruleset] = []
    rule = "  - {id: r, when: {any: [{words: {list: bad}}, {pii: [email]}]}, then: {action: block}}\n"
    first = inspectors(HEAD + rule)
    second = inspectors(HEAD + rule.replace("block", "mask").replace("email", "phone"))
    third = inspectors(HEAD.replace("[badword]", "[badword, other]") + rule)
    assert second["words"] is first["words"]
    assert second["pii"] is not first["pii"]
    assert third["words"] is not first["words"]
    assert third["pii"] is first["pii"]
    ours["pii"] = cheap_detectors()["pii"]
    assert inspectors(HEAD + rule)["pii"] is not first["pii"]


def test_an_inspector_that_no_ruleset_holds_is_let_go() -> None:
    """Keeping for reuse does not keep old lists in memory."""
    reuse = Inspectors()
    compiled = compile_ruleset(parse_document("rules.yaml", HEAD + RULE_ON_WORDS), detectors(), reuse=reuse)
    kept = weakref.ref(compiled.inspections["words"].inspector)
    del compiled
    assert kept() is None


def test_the_default_rules_compile_without_models() -> None:
    """A server with no bundle at all still runs words, domains and contact details."""
    compiled = compile_ruleset(load_document("builtin:default"), cheap_detectors())
    ids = [rule.id for rule in compiled.rules]
    assert ids == ["slurs", "incitement", "profanity", "bad-domains", "contact-details"]
    assert len(compiled.warnings) == 13
