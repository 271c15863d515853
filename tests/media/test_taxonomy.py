"""Labels: who earns them, how scores are combined, and what a rule's author is told."""

import pytest
from tests.media.pictures import BUNDLES

from modgate.inference.bundle import read_manifest
from modgate.media.taxonomy import TAXONOMY, default_thresholds, fuse, needed, offered

OPEN_NSFW = read_manifest(BUNDLES / "open-nsfw")
SWIFTFORMER = read_manifest(BUNDLES / "swiftformer-s")


def test_defaults_offer_what_they_earn() -> None:
    """The default bundles offer nudity, gore and `unsafe`, and no label that nothing earns."""
    assert offered([OPEN_NSFW, SWIFTFORMER]) == {"explicit_nudity", "gore", "unsafe"}
    assert offered([OPEN_NSFW]) == {"explicit_nudity", "unsafe"}
    assert offered([]) == frozenset()


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("weapon", "needs the bundle efficientnet-lite0"),
        ("rude_gesture", "no bundle is known"),
        ("nudity", "there are explicit_nudity, suggestive"),
    ],
)
def test_what_is_needed(label: str, words: str) -> None:
    """Who asks for a label that is not offered is told what to do."""
    assert words in needed(label)


def test_committed_bundles_feed_known_labels() -> None:
    """Every bundle feeds only labels of the taxonomy, and every bundle that the taxonomy names feeds its label."""
    for path in BUNDLES.glob("*/manifest.json"):
        if path.parent.name.startswith("head-"):
            continue  # fitted here, for whatever label
        manifest = read_manifest(path.parent)
        fed = {label for output in manifest.labels for label in output.feeds}
        assert fed <= TAXONOMY.keys() - {"unsafe"}
        assert all(manifest.name in TAXONOMY[label].bundles for label in fed)


def test_the_surest_model_decides() -> None:
    """A label has the greatest score of all models and frames and names the model; `unsafe` is the greatest of all."""
    scores = fuse(
        [
            (OPEN_NSFW, (0.9, 0.1)),
            (OPEN_NSFW, (0.3, 0.7)),
            (SWIFTFORMER, (0.2, 0.6, 0.2)),
            (SWIFTFORMER, (0.8, 0.1, 0.1)),
        ]
    )
    assert {label: (score.value, score.model) for label, score in scores.items()} == {
        "explicit_nudity": (0.7, "open-nsfw"),
        "gore": (0.8, "swiftformer-s"),
        "unsafe": (0.8, "swiftformer-s"),
    }


def test_weights_scale_scores() -> None:
    """A class speaks for a label with the weight that its manifest gives."""
    label = OPEN_NSFW.labels[1].model_copy(update={"feeds": {"suggestive": 0.5}})
    manifest = OPEN_NSFW.model_copy(update={"labels": (OPEN_NSFW.labels[0], label)})
    assert fuse([(manifest, (0.2, 0.8))])["suggestive"].value == pytest.approx(0.4)


def test_default_thresholds() -> None:
    """Where a rule names no threshold, the strictest of the models that feed the label counts."""
    assert default_thresholds([OPEN_NSFW, SWIFTFORMER]) == {"explicit_nudity": 0.8, "gore": 0.7, "unsafe": 0.8}
