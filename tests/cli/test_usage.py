"""What a user meets who types something odd: one line that helps, never a traceback."""

import json
import sys
from pathlib import Path

import pytest

from modgate.cli.app import main
from modgate.cli.errors import EXIT_CODES


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command and return its exit status."""
    monkeypatch.setattr(sys, "argv", ["modgate", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    code = ended.value.code
    assert isinstance(code, int)
    return code


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("history", "search", "--limit", "0"), "greater than or equal to 1"),
        (("history", "search", "--server"), "requires an argument"),
        (("history", "search", "--colour", "red"), "--colour"),
        (("history", "search", "--since", "yesterday"), '"yesterday" is no time; write 2h, 7d or 2026-11-21T18:00'),
        (("history", "search", "--since", "2026-13-01"), "is no time"),
        (("history", "search", "--kind", "dm"), "use one_to_one, group or room"),
        (("history", "search", "--verdict", "maybe"), "allow"),
        (("history", "forget"), "forget"),
        (("review", "approve"), "Missing argument"),
        (("sanctions", "impose", "tickle", "--user", "u1"), "tickle"),
        (("sanctions", "impose", "mute", "--user", "u1", "--for", "a while"), '"a while" is not a duration'),
    ],
)
def test_a_misuse_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    """The exit status says usage, and the message what is wrong."""
    assert run(monkeypatch, *arguments) == EXIT_CODES["usage"]
    errors = capsys.readouterr().err
    assert told in " ".join(errors.split())
    assert "Traceback" not in errors


def test_an_export_that_cannot_be_written_says_so_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The folder is missing."""
    target = tmp_path / "missing" / "decisions.jsonl"
    assert run(monkeypatch, "history", "export", "--out", str(target)) == EXIT_CODES["usage"]
    assert f"cannot write {target}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_score_takes_any_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lone surrogates, line separators inside a text, nothing at all: every line comes back, scored in its language."""
    texts = ["a lone \ud800", "two\u2028lines\u0085in one", "", "🙂", "x" * 8000, "eres un idiota inútil, cállate ya"]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii="\ud800" in text) for text in texts]
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert run(monkeypatch, "score", "--in", str(source), "--out", str(target)) == 0
    assert "in other languages or in doubt, by text-multi" in capsys.readouterr().out
    rows = [json.loads(line) for line in target.read_text("utf-8").split("\n") if line]
    assert [row["text"] for row in rows] == texts
    assert all(0 <= score <= 1 for row in rows for score in row["scores"].values())
    assert rows[-1]["scores"]["toxic"] > 0.5
