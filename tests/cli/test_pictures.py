"""Pictures and bundles at the command line: what cannot be used is told in words."""

import json
from pathlib import Path

import pytest
from PIL import Image
from tests.cli.test_usage import run
from tests.media.pictures import encode

from modgate.cli.check import message_request
from modgate.cli.errors import Failure


def test_the_state_of_bundles_is_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A bundle whose files are not there says what gets them, and one without a manifest worth the name is broken."""
    bundles = Path(__file__).parents[2] / "models" / "bundles"
    for name in ("open-nsfw", "nsfwjs-mid"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_bytes((bundles / name / "manifest.json").read_bytes())
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.json").write_text("{}")
    monkeypatch.setenv("COLUMNS", "80")
    assert run(monkeypatch, "models", "list", "--bundles", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("not fetched", "modgate models fetch open-nsfw", "not built", "broken"))
    assert run(monkeypatch, "models", "list", "--json", "--bundles", str(tmp_path)) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "open-nsfw": "not fetched",
        "nsfwjs-mid": "not built",
        "other": "broken",
    }
    assert rows["nsfwjs-mid"]["labels"]


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    """A picture without bytes is told by its name before anything is asked."""
    (tmp_path / "good.png").write_bytes(encode(Image.new("RGB", (64, 64))))
    (tmp_path / "empty.png").touch()
    with pytest.raises(Failure, match=r"empty\.png is empty"):
        message_request("", [tmp_path / "good.png", tmp_path / "empty.png"], explain=False)


def test_a_picture_that_is_none_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The answer to text that calls itself a picture says what was wrong with it."""
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "rules.yaml").write_text(
        "version: 1\nlists: {l: {kind: pictures, entries: ['pdq:" + "0" * 64 + "']}}\n"
        "rules: [{id: r, when: {known_picture: {list: l}}, then: {action: block}}]\n"
    )
    monkeypatch.setenv("MODGATE_MODELS__IMAGES", "[]")
    monkeypatch.setenv("MODGATE_MODELS__TEXT", "")
    arguments = ("check", "", "--image", str(tmp_path / "text.png"), "--rules", str(tmp_path / "rules.yaml"))
    assert run(monkeypatch, *arguments) == 0
    assert "text.png cannot be looked at: the bytes are not JPEG" in capsys.readouterr().out
