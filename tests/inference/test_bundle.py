"""Bundles: what loads, what is refused, and what the refusal says."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from modgate.inference.bundle import Bundle, BundleError, find_bundles

ROOT = Path(__file__).parents[2] / "models" / "bundles"
MODEL = b"not a real model, but these are its bytes"

MakeBundle = Callable[..., Path]


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    def make(name: str = "toy", root: str = "bundles", **changes: object) -> Path:
        folder = tmp_path / root / name
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(MODEL)
        manifest: dict[str, object] = {
            "name": name,
            "version": "1",
            "task": "image-classification",
            "model": "model.onnx",
            "files": {"model.onnx": {"sha256": hashlib.sha256(MODEL).hexdigest(), "bytes": len(MODEL)}},
            "labels": [{"name": "yes", "feeds": {"gore": 1.0}}, {"name": "no"}],
            "image": {"input": "x", "output": "y", "layout": "NCHW", "size": 32, "resize": 32},
            "licence": {"spdx": "Apache-2.0"},
            "provenance": "made by a test",
        }
        (folder / "manifest.json").write_text(json.dumps(manifest | changes))
        return folder

    return make


def test_loads_a_bundle_whose_files_are_right(make_bundle: MakeBundle) -> None:
    """A bundle with the right files loads, and files beside them are ignored."""
    folder = make_bundle()
    (folder / "notes.txt").write_text("unlisted")
    bundle = Bundle.load(folder)
    assert bundle.manifest.name == "toy"
    assert bundle.model == folder / "model.onnx"
    assert bundle.digest == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda folder: (folder / "model.onnx").unlink(), "model.onnx is missing"),
        (lambda folder: (folder / "model.onnx").write_bytes(MODEL[:-1]), "has 40 bytes, the manifest says 41"),
        (lambda folder: (folder / "model.onnx").write_bytes(MODEL[::-1]), "has SHA-256"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json is not valid"),
        (lambda folder: (folder / "manifest.json").unlink(), "is this a bundle's folder?"),
    ],
)
def test_refuses_what_differs_from_the_manifest(
    make_bundle: MakeBundle, harm: Callable[[Path], object], words: str
) -> None:
    """A missing, shortened or altered file is refused by a line that names the bundle, the file and the remedy."""
    folder = make_bundle()
    harm(folder)
    with pytest.raises(BundleError, match="bundle toy: ") as refusal:
        Bundle.load(folder)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_names_the_command_for_a_fetched_file(make_bundle: MakeBundle) -> None:
    """A missing file that can be fetched is refused with the command that fetches it."""
    source = {"package": "toy", "version": "1", "sha256": "0" * 64, "member": "toy/model.onnx"}
    folder = make_bundle(files={"model.onnx": {"sha256": "0" * 64, "bytes": 1, "source": source}})
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleError, match="run `modgate models fetch toy`"):
        Bundle.load(folder)


def test_refuses_a_file_name_that_leaves_the_folder(make_bundle: MakeBundle) -> None:
    """A manifest cannot point outside its own folder."""
    entry = {"sha256": "0" * 64, "bytes": 1}
    folder = make_bundle(model="../model.onnx", files={"../model.onnx": entry})
    with pytest.raises(BundleError, match="plain name"):
        Bundle.load(folder)


def test_finds_bundles_and_lets_later_folders_win(make_bundle: MakeBundle, tmp_path: Path) -> None:
    """Bundles are found by the name in the manifest; of two with one name the later folder's is taken."""
    make_bundle()
    mine = make_bundle(root="mine")
    broken = make_bundle("broken")
    (broken / "manifest.json").write_text("{")
    found = find_bundles([tmp_path / "bundles", tmp_path / "mine", tmp_path / "absent"])
    assert found == {"toy": mine, "broken": broken}


@pytest.mark.parametrize("manifest", sorted(ROOT.glob("*/manifest.json")), ids=lambda path: path.parent.name)
def test_committed_bundles_are_whole(manifest: Path) -> None:
    """Every file that is committed with a bundle has the digest that its manifest gives, and there is a card."""
    document = json.loads(manifest.read_text())
    assert document["name"] == manifest.parent.name
    assert (manifest.parent / "CARD.md").is_file() or manifest.parent.name.startswith("head-")
    for name, entry in document["files"].items():
        file = manifest.parent / name
        if not {"source", "recipe"} & entry.keys() or file.exists():
            assert hashlib.sha256(file.read_bytes()).hexdigest() == entry["sha256"], name
