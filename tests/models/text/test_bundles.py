"""The text bundles that ship: whole, small enough, and fit for each other."""

from pathlib import Path

import pytest

from modgate.evaluation import TextScorer
from modgate.inference.bundle import Bundle

BUNDLES = Path(__file__).parents[3] / "models" / "bundles"
MEGABYTES = {"text-en": 25, "text-first": 4, "text-multi": 60}
NAMES = sorted(path.name for path in BUNDLES.glob("text-*"))


@pytest.mark.parametrize("name", NAMES)
def test_files_are_what_the_manifest_says(name: str) -> None:
    """Every file has the digest that the manifest names, and the whole is as small as promised."""
    bundle = Bundle.load(BUNDLES / name)
    assert bundle.manifest.name == name
    assert sum(file.bytes for file in bundle.manifest.files.values()) < MEGABYTES[name] * 1_000_000


@pytest.mark.parametrize("name", NAMES)
def test_card_answers_for_the_bundle(name: str) -> None:
    """The card names the version that the manifest names, or the model that it stands before, and gives figures."""
    card = (BUNDLES / name / "CARD.md").read_text()
    manifest = Bundle.load(BUNDLES / name).manifest
    assert (manifest.first_stage_of or f"{name} {manifest.version}") in card
    assert "%" in card


@pytest.mark.skipif("text-first" not in NAMES, reason="no first stage ships")
def test_first_stage_passes_on_what_the_full_model_would_stop() -> None:
    """Most ordinary chat is plain to the first stage; no abuse is."""
    first = TextScorer(BUNDLES / "text-first")
    full = TextScorer(BUNDLES / "text-en").manifest
    assert first.manifest.first_stage_of == f"{full.name} {full.version}"
    certain = {label.name: label.certain_below for label in first.manifest.labels if label.certain_below is not None}
    assert set(certain) == {label.name for label in full.labels if label.threshold is not None and label.group is None}

    def plain(text: str) -> bool:
        scores = first.score([text])
        return all(scores.of(name)[0] < at for name, at in certain.items())

    chat = ["see you at the station at nine", "thanks for the help", "where is my order", "the soup was too salty"]
    abuse = ["I will find you and kill you", "kill yourself", "you are a worthless piece of garbage", "send me nudes"]
    assert sum(map(plain, chat)) >= len(chat) - 1
    assert not any(map(plain, abuse))
