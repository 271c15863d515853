"""`modgate lint`, `test` and `diff`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from modgate.cli.app import app
from modgate.cli.errors import Failure

RULES = """\
version: 1
lists: {bad: {kind: words, entries: [badword]}}
rules:
  - {id: words, when: {words: {list: bad}}, then: {action: mask}}
"""
LABELS = """\
version: 1
rules:
  - {id: rude, when: {text: {label: rude}}, then: {action: block}}
  - {id: odd, when: {text: {label: odd}}, then: {action: block}}
  - {id: angry, when: {sentiment: {negative: 0.9}}, then: {action: block}}
"""
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command with settings that know one text bundle, of which there is only the manifest."""
    bundle = tmp_path / "bundles" / "small"
    bundle.mkdir(parents=True)
    file = {"sha256": "0" * 64, "bytes": 1}
    manifest: dict[str, Any] = {
        "name": "small",
        "version": "1.0.0",
        "task": "text-classification",
        "model": "model.onnx",
        "files": {"model.onnx": file, "tokenizer.json": file},
        "labels": [{"name": "rude", "threshold": 0.7}],
        "text": {"tokenizer": "tokenizer.json", "max_tokens": 64},
        "licence": {"spdx": "Apache-2.0"},
        "provenance": "made for this test",
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    settings = {"models": {"bundles": [str(tmp_path / "bundles")], "text": "small", "images": []}}
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "labels.yaml").write_text(LABELS)

    def invoke(*arguments: str) -> Result:
        command = [argument.replace("DIR", str(tmp_path)) for argument in arguments]
        return CliRunner().invoke(app, [*command, "--config", str(tmp_path / "settings.yaml")])

    return invoke


def test_a_good_file_is_linted_without_models(run: Run) -> None:
    """The label catalogue comes from the manifest alone; the weights need not be there."""
    result = run("lint", "DIR/rules.yaml")
    assert (result.exit_code, "1 rules, revision" in result.stdout) == (0, True)


def test_labels_are_checked_without_models(run: Run) -> None:
    """What no bundle offers is an error with its place, what one offers is none; the exit code says so."""
    result = run("lint", "DIR/labels.yaml", "--json")
    assert result.exit_code == 3
    problems = json.loads(result.stdout)
    assert [(p["severity"], p["line"], p["path"]) for p in problems] == [
        ("error", 4, "rules[1].when.text.label"),
        ("error", 5, "rules[2].when.sentiment.label"),
    ]


def test_warnings_are_told_and_fail_if_asked_to(run: Run, tmp_path: Path) -> None:
    """A list that no rule uses is allowed and hardly meant."""
    (tmp_path / "odd.yaml").write_text(RULES.replace("{bad:", "{spare: {kind: words, entries: [x]}, bad:"))
    result = run("lint", "DIR/odd.yaml")
    assert (result.exit_code, 'odd.yaml:2: warning: lists.spare: no rule uses the list "spare"' in result.stdout) == (
        0,
        True,
    )
    assert run("lint", "DIR/odd.yaml", "--strict").exit_code == 1
    assert json.loads(run("lint", "DIR/odd.yaml", "--json").stdout)[0]["severity"] == "warning"


def test_cases_that_hold_pass_and_load_no_model(run: Run, tmp_path: Path) -> None:
    """The text bundle has no weights, and words rules need none."""
    cases = "version: 1\ncases: [{text: badword, expect: {verdict: mask, rules: [words]}}]\n"
    (tmp_path / "cases.yaml").write_text(cases)
    result = run("test", "DIR/rules.yaml", "DIR/cases.yaml")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 cases, 0 failed; ")
    assert result.stdout.endswith(" everyday lines, 0 touched\n")


def test_a_case_that_does_not_hold_fails_the_command(run: Run, tmp_path: Path) -> None:
    """The line, the case and what differs are told."""
    (tmp_path / "cases.yaml").write_text("version: 1\ncases:\n  - {text: hello, expect: {verdict: block}}\n")
    result = run("test", "DIR/rules.yaml", "DIR/cases.yaml")
    assert result.exit_code == 1
    assert "cases.yaml:3: 'hello': verdict: expected 'block', got 'allow'" in result.stdout
    (outcome, *_) = json.loads(run("test", "DIR/rules.yaml", "DIR/cases.yaml", "--json").stdout)
    assert (outcome["line"], outcome["passed"]) == (3, False)


def test_a_rule_that_touches_everyday_lines_fails_whatever_its_cases_say(run: Run, tmp_path: Path) -> None:
    """The gate of false positives is built in, and can be left out on purpose."""
    (tmp_path / "strict.yaml").write_text(RULES.replace("[badword]", "[morning]"))
    (tmp_path / "cases.yaml").write_text("version: 1\ncases: [{text: morning, expect: {verdict: mask}}]\n")
    result = run("test", "DIR/strict.yaml", "DIR/cases.yaml")
    assert result.exit_code == 1
    assert "everyday: " in result.stdout
    assert run("test", "DIR/strict.yaml", "DIR/cases.yaml", "--no-everyday").exit_code == 0


def test_floods_build_up_in_one_case_file_and_not_over_into_the_next(run: Run, tmp_path: Path) -> None:
    """Each file has detectors of its own."""
    flood = "version: 1\nrules: [{id: f, when: {flood: {messages: 2, within: 1m}}, then: {action: block}}]\n"
    (tmp_path / "flood.yaml").write_text(flood)
    cases = "version: 1\ncases:\n" + "".join(
        f"  - {{text: hi, sender: {{id: s}}, expect: {{verdict: {verdict}}}}}\n" for verdict in ("allow", "block")
    )
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(cases)
    result = run("test", "DIR/flood.yaml", "DIR/a.yaml", "DIR/b.yaml", "--no-everyday")
    assert result.exit_code == 0, result.stdout


def test_a_model_that_is_needed_and_not_there_is_told(run: Run, tmp_path: Path) -> None:
    """Rules that ask the text model cannot be tested without its weights."""
    (tmp_path / "rude.yaml").write_text("".join(LABELS.splitlines(keepends=True)[:3]))
    (tmp_path / "cases.yaml").write_text("version: 1\ncases: [{text: hello, expect: {verdict: allow}}]\n")
    result = run("test", "DIR/rude.yaml", "DIR/cases.yaml")
    assert isinstance(result.exception, Failure)
    assert (result.exception.code, "small" in str(result.exception)) == (4, True)


def test_diff_shows_which_lines_change(run: Run, tmp_path: Path) -> None:
    """By line number, with the rules before and after; no text is printed."""
    (tmp_path / "new.yaml").write_text(RULES.replace("mask", "block"))
    (tmp_path / "corpus.jsonl").write_text('{"text": "hello"}\n{"text": "badword"}\n"badword too"\n')
    result = run("diff", "DIR/rules.yaml", "DIR/new.yaml", "--on", "DIR/corpus.jsonl", "--limit", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1:] == [
        "2\tmask\tblock\twords\twords",
        "and 1 more",
        "mask -> block: 2",
        "3 messages, 2 judged differently",
    ]
    told = json.loads(run("diff", "DIR/rules.yaml", "DIR/new.yaml", "--on", "DIR/corpus.jsonl", "--json").stdout)
    assert [change["line"] for change in told["changes"]] == [2, 3]
    assert "badword" not in result.stdout


def test_a_corpus_that_cannot_be_read_is_told(run: Run) -> None:
    """One line, and the exit code of wrong usage."""
    result = run("diff", "DIR/rules.yaml", "DIR/rules.yaml", "--on", "DIR/none.jsonl")
    assert isinstance(result.exception, Failure)
    assert "cannot read" in str(result.exception)
