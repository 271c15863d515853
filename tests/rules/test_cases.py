"""Unit tests of rules, and the comparison of two rule sets, through the real gate."""

import json
from pathlib import Path

import pytest
from tests.rules.judging import judge_by

from modgate.rules import RulesError, load_document, parse_document
from modgate.rules.cases import everyday_lines, load_cases, run_cases, run_everyday
from modgate.rules.diff import compare

RULES = """\
version: 1
lists: {bad: {kind: words, entries: [badword]}}
rules:
  - {id: words, when: {words: {list: bad}}, then: {action: mask}}
  - {id: flood, when: {flood: {messages: 3, within: 10s}}, then: {action: block, flag: true}}
  - id: newcomers
    mode: shadow
    filters: {sender: {account_age: {less_than: 7d}}}
    when: {pii: [email]}
    then: {action: block}
"""
CASES = """\
version: 1
cases:
  - {text: hello, expect: {verdict: allow, flagged: false, rules: []}}
  - {name: masked, text: a badword here, expect: {verdict: mask, masked: "a ******* here", rules: [words]}}
  - {text: one, sender: {id: f}, expect: {verdict: allow}}
  - {text: two, sender: {id: f}, at: 1s, expect: {verdict: allow}}
  - {text: three, sender: {id: f}, at: 2s, expect: {verdict: block, flagged: true, rules: [flood]}}
  - {text: joe@example.com, sender: {account_age: 1d}, expect: {verdict: allow, shadow_rules: [newcomers]}}
  - {text: joe@example.com, sender: {account_age: 8d}, expect: {verdict: allow, shadow_rules: []}}
"""


async def test_cases_that_hold_pass(tmp_path: Path) -> None:
    """Verdict, flag, mask, rules and shadow rules are compared; time moves with `at`."""
    (tmp_path / "cases.yaml").write_text(CASES)
    outcomes = await run_cases(tmp_path / "cases.yaml", judge_by(parse_document("rules.yaml", RULES)))
    assert [outcome.differences for outcome in outcomes] == [()] * 7
    assert [outcome.name for outcome in outcomes][:2] == ["hello", "masked"]
    assert [outcome.line for outcome in outcomes] == list(range(3, 10))


async def test_a_case_that_does_not_hold_says_what_differs(tmp_path: Path) -> None:
    """Expected and actual stand side by side."""
    (tmp_path / "c.yaml").write_text("version: 1\ncases: [{text: badword, expect: {verdict: block, rules: [x]}}]\n")
    (outcome,) = await run_cases(tmp_path / "c.yaml", judge_by(parse_document("rules.yaml", RULES)))
    assert outcome.differences == ("verdict: expected 'block', got 'mask'", "rules: expected ['x'], got ['words']")
    assert not outcome.passed


def test_a_bad_case_file_tells_all_its_problems(tmp_path: Path) -> None:
    """Case files are checked like rule files."""
    (tmp_path / "c.yaml").write_text("version: 1\ncases:\n  - {txet: a, expect: {verdict: blok}}\n  - {text: b}\n")
    with pytest.raises(RulesError) as caught:
        load_cases(tmp_path / "c.yaml")
    told = [str(problem).partition("c.yaml:")[2] for problem in caught.value.problems]
    verdict = '"blok" is not a verdict; it is one of allow, mask or block'
    assert told == [
        '3: cases[0].txet: "txet" is not a key here; did you mean text?',
        f"3: cases[0].expect.verdict: {verdict}; write e.g. verdict: block",
        '4: cases[1].expect: "expect" is missing; write e.g. expect: {verdict: block, rules: [insults]}',
    ]


async def test_the_default_rules_touch_no_everyday_line() -> None:
    """The rules that ship pass the gate of false positives that every test run has."""
    assert len(everyday_lines()) > 200
    outcomes = await run_everyday(judge_by(load_document("builtin:default")))
    assert [outcome for outcome in outcomes if not outcome.passed] == []


async def test_a_rule_that_touches_everyday_lines_is_found() -> None:
    """A substring where a word was meant shows at once."""
    text = "version: 1\nlists: {l: {kind: words, match: substring, entries: [cock]}}\nrules:\n"
    text += "  - {id: r, when: {words: {list: l}}, then: {action: block}}\n"
    outcomes = await run_everyday(judge_by(parse_document("rules.yaml", text)))
    failed = {outcome.name: outcome.differences for outcome in outcomes if not outcome.passed}
    assert failed["the cockpit was locked"] == ("verdict: block by r",)


async def test_a_difference_tells_which_messages_change(tmp_path: Path) -> None:
    """Old and new verdict, and the rules behind them, by line; the text itself is not repeated."""
    lines = ["hello", {"text": "badword"}, {"text": "joe@example.com", "sender": "s", "conversation_type": "room"}]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    new = RULES.replace("action: mask", "action: block").replace(
        "mode: shadow\n    filters: {sender: {account_age: {less_than: 7d}}}", ""
    )
    difference = await compare(
        tmp_path / "corpus.jsonl", judge_by(parse_document("old", RULES)), judge_by(parse_document("new", new))
    )
    assert difference.messages == 3
    assert [(c.line, c.before, c.after, c.rules_after) for c in difference.changes] == [
        (2, "mask", "block", ("words",)),
        (3, "allow", "block", ("newcomers",)),
    ]
    assert difference.counts() == {("mask", "block"): 1, ("allow", "block"): 1}


@pytest.mark.parametrize("line", ["{", "5", "{}", '{"text": 5}', '{"text": "a", "conversation_type": "x"}'])
async def test_a_corpus_line_that_is_no_message_is_told(tmp_path: Path, line: str) -> None:
    """The line is named, with an example of a right one."""
    (tmp_path / "corpus.jsonl").write_text(f'"fine"\n{line}\n')
    judge = judge_by(parse_document("rules.yaml", RULES))
    with pytest.raises(RulesError, match=r"corpus.jsonl:2: this is no message"):
        await compare(tmp_path / "corpus.jsonl", judge, judge)
