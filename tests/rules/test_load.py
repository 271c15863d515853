"""Rule files: what is accepted, and how everything that is wrong is told."""

from pathlib import Path

import pytest

from modgate.rules.load import load_document, parse_document
from modgate.rules.problems import RulesError

GOLDEN = Path(__file__).parent / "golden"
MINIMAL = """\
version: 1
lists:
  bad: {kind: words, entries: [badword]}
rules:
  - id: one
    when: {words: {list: bad}}
    then: {action: block}
"""


def problems(text: str, base: Path | None = None) -> list[str]:
    with pytest.raises(RulesError) as caught:
        parse_document("rules.yaml", text, base)
    return [str(problem) for problem in caught.value.problems]


def test_a_minimal_document_is_accepted_with_its_defaults() -> None:
    """Four lines of YAML are a rule file."""
    document = parse_document("rules.yaml", MINIMAL)
    assert [rule.id for rule in document.model.rules] == ["one"]
    assert document.entries == {"bad": ("badword",)}
    assert document.model.budget.total_ms == 200


def test_all_problems_are_told_at_once_with_line_path_cause_and_example() -> None:
    """Whoever mends a file learns everything in one go."""
    text = (GOLDEN / "many_problems.yaml").read_text()
    assert problems(text) == (GOLDEN / "many_problems.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "rules.yaml:1: the file is empty; begin with `version: 1`"),
        ("- a\n- b\n", "rules.yaml:1: the file must hold a mapping with keys; begin with `version: 1`"),
        ("version: 1\nversion: 1\n", 'rules.yaml:2: the key "version" is here twice; the first is in line 1'),
        ("version: [1\n", "rules.yaml:2: this is not YAML"),
        ("version: 2\n", 'rules.yaml:1: version: "2" is not a version; it is one of 1; write e.g. version: 1'),
        ("version: 1\nx: !!python/object:os.system {}\n", "rules.yaml:2: x: "),
        (
            "version: 1\nlists: {w: {kind: words, entries: [88]}}\n",
            "rules.yaml:2: lists.w.entries[0]: 88 is not text; write it",
        ),
        ("version: 1\nlists: {w: {kind: words, entries: [a], file: x}}\n", "files; upload the list instead"),
        ("version: 1\ninclude: [pack:nothing]\n", 'the package has no pack "nothing"'),
        ("version: 1\nlists: {w: {kind: words, file: 'builtin:nothing'}}\n", 'the package has no list "nothing"'),
    ],
)
def test_broken_files_are_refused_with_a_cause(text: str, expected: str) -> None:
    """Nothing that is no rule file gets past loading, and the message says why."""
    assert expected in problems(text)[0]


def test_the_word_no_is_a_language_and_not_a_boolean() -> None:
    """YAML 1.1's surprises do not reach lists: only true and false are booleans, dates stay text."""
    text = "version: 1\nlists: {w: {kind: words, entries: [no, on, off, 2026-01-01, y]}}\n"
    assert parse_document("rules.yaml", text).entries["w"] == ("no", "on", "off", "2026-01-01", "y")


def test_nested_aliases_cannot_fill_the_memory() -> None:
    """Nine lines that would expand to a billion values are refused."""
    lines = ["version: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "too large once aliases are expanded" in problems("\n".join(lines))[0]


@pytest.mark.parametrize("text", ["[" * 5000, "a: &a [*a]\n", "a: " * 2000])
def test_endless_nesting_is_refused(text: str) -> None:
    """No depth of brackets ends the process."""
    assert len(problems(text)) == 1


def test_anchors_and_merges_work() -> None:
    """Operators may share blocks in the usual YAML way."""
    text = """\
version: 1
lists: {bad: {kind: words, entries: [badword]}}
rules:
  - &base {id: one, when: {words: {list: bad}}, then: {action: block}}
  - {<<: *base, id: two, mode: shadow}
"""
    assert [rule.id for rule in parse_document("rules.yaml", text).model.rules] == ["one", "two"]


def test_two_rules_with_one_id_are_refused() -> None:
    """A match names its rule, so ids are unique."""
    text = MINIMAL + "  - id: one\n    when: {pii: [email]}\n    then: {action: mask}\n"
    assert problems(text) == [
        'rules.yaml:8: rules[1].id: there is another rule "one" in rules.yaml:5; write e.g. id: one-2',
    ]


def test_list_files_are_read_beside_the_rules(tmp_path: Path) -> None:
    """Entries come one a line; blank lines, comments and a byte order mark do not count; duplicates count once."""
    (tmp_path / "en.txt").write_bytes("\ufeffone\r\n\n# comment\n#hashtag\ntwo\none\n".encode())
    (tmp_path / "rules.yaml").write_text("version: 1\nlists: {w: {kind: words, file: en.txt, entries: [three]}}\n")
    document = load_document(tmp_path / "rules.yaml")
    assert document.entries["w"] == ("one", "#hashtag", "two", "three")
    assert document.files == (tmp_path / "rules.yaml", tmp_path / "en.txt")


def test_a_bad_list_file_is_told_at_the_list(tmp_path: Path) -> None:
    """The line of the `file` key, the file, and the line in it are named."""
    (tmp_path / "en.txt").write_bytes(b"one\n\xff\xfe\n")
    (tmp_path / "rules.yaml").write_text(
        "version: 1\nlists:\n  w:\n    kind: words\n    file: en.txt\n  v: {kind: words, file: gone.txt}\n"
    )
    with pytest.raises(RulesError) as caught:
        load_document(tmp_path / "rules.yaml")
    told = [str(p).removeprefix(f"{tmp_path}/") for p in caught.value.problems]
    assert told == [
        "rules.yaml:5: lists.w.file: en.txt: line 2 is not UTF-8 text",
        "rules.yaml:6: lists.v.file: cannot read gone.txt: No such file or directory",
    ]


def test_includes_bring_lists_and_rules_and_problems_name_their_file(tmp_path: Path) -> None:
    """A mistake in an included file is told with that file's name and line."""
    (tmp_path / "more.yaml").write_text(
        "version: 1\nrules:\n  - id: two\n    when: {pii: [email]}\n    then: {action: mask}\n"
    )
    (tmp_path / "rules.yaml").write_text(MINIMAL.replace("version: 1\n", "version: 1\ninclude: [more.yaml]\n"))
    document = load_document(tmp_path / "rules.yaml")
    assert [rule.id for rule in document.model.rules] == ["two", "one"]
    (tmp_path / "more.yaml").write_text(
        "version: 1\nrules:\n  - id: two\n    when: {pii: []}\n    then: {action: mask}\n"
    )
    with pytest.raises(RulesError) as caught:
        load_document(tmp_path / "rules.yaml")
    assert caught.value.problems[0].source == "more.yaml"
    assert caught.value.problems[0].line == 4


def test_perspective_names_stand_for_labels() -> None:
    """Thresholds of the Perspective API move over by name."""
    text = MINIMAL.replace("{words: {list: bad}}", "{text: {label: IDENTITY_ATTACK, at_least: 0.7}}")
    condition = parse_document("rules.yaml", text).model.rules[0].when
    assert condition.text is not None
    assert condition.text.label == "identity_hate"


def test_the_default_rules_load() -> None:
    """What the package ships is a valid document."""
    assert {"slurs", "profanity", "bad-domains"} <= {rule.id for rule in load_document("builtin:default").model.rules}
