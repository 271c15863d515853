"""Warnings about rules that are allowed and hardly meant."""

import pytest

from modgate.rules import load_document, parse_document
from modgate.rules.lint import lint_document

LISTS = """\
version: 1
lists:
  bad: {kind: words, entries: [badword]}
  sites: {kind: domains, entries: [evil.example]}
rules:
  - {id: words, when: {words: {list: bad}}, then: {action: mask}}
  - {id: sites, when: {domain: {list: sites}}, then: {action: block}}
"""


SHADOW_WITH_PENALTY = """\
{id: x, mode: shadow, when: {pii: [ip]}, then: {action: mask}, penalties: [{after: 2, within: 1m, impose: ban}]}"""


def warnings(text: str) -> list[str]:
    return [str(warning) for warning in lint_document(parse_document("r.yaml", text))]


def test_a_sensible_file_has_no_warnings() -> None:
    """Lint is silent where there is nothing to say, and the rules that ship are such a file."""
    assert warnings(LISTS) == []
    assert lint_document(load_document("builtin:default")) == []


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        (
            "{id: x, when: {text: {label: toxic}}, then: {action: mask}}",
            "then.action",
            "nothing here says which words matched, so the mask covers the whole text; write action: replace to say so",
        ),
        (
            "{id: x, when: {words: {list: bad}}, then: {action: block}}",
            "when",
            'asks the same as rule "words", of the same messages; join them, or narrow one',
        ),
        (
            "{id: x, when: {pii: [email]}, then: {action: allow}}",
            "then",
            "the rule only records its hits; add flag: true, or mode: shadow to say that it is a trial",
        ),
        (
            "{id: x, when: {pii: [email]}, then: {action: block}, on_timeout: block}",
            "on_timeout",
            "no model is asked, so this rule is never late; leave on_timeout out",
        ),
        (
            "{id: x, when: {text: {label: toxic, at_least: 0.1}}, then: {action: block}}",
            "when.text.at_least",
            "0.1 is so low that most messages reach it; write e.g. at_least: 0.8",
        ),
        (
            SHADOW_WITH_PENALTY,
            "penalties",
            "a shadow rule imposes nothing; its penalties are counted and recorded until it is live",
        ),
    ],
)
def test_doubtful_rules_are_told_with_a_way_out(rule: str, path: str, expected: str) -> None:
    """Each warning names its place, what is odd, and what to write instead."""
    (warning,) = warnings(f"{LISTS}  - {rule}\n")
    assert warning.startswith(f"r.yaml:8: rules[2].{path}: {expected}")


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("{kind: words, entries: [unused]}", 'no rule uses the list "more"'),
        ("{kind: domains, entries: [com]}", "com is a public suffix: it covers every domain below it"),
        ("{kind: words, match: substring, entries: [as]}", "entries such as as are inside of countless words"),
    ],
)
def test_doubtful_lists_are_told(item: str, expected: str) -> None:
    """A list that nobody uses, or that covers half the world, is worth a word."""
    assert expected in "\n".join(warnings(LISTS.replace("lists:\n", f"lists:\n  more: {item}\n")))


def test_a_file_without_running_rules_is_told() -> None:
    """An empty rule file allows everything: said aloud."""
    assert warnings("version: 1\n") == ["r.yaml:1: rules: no rule is live or in shadow: every message is allowed"]
