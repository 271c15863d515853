"""The labels of pictures, in the words that moderators use, and what earns them.

A model's class speaks for a label with a weight, written in its bundle's manifest (`feeds`). The score of a label is
the greatest weighted probability over all models and frames: one model that is sure is enough, because the models were
trained on different data and miss different pictures. `unsafe` is the greatest score of all labels.

A label that no loaded bundle feeds is not offered, and a rule that asks for it is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modgate.inference.manifest import Manifest

__all__ = ["TAXONOMY", "UNSAFE", "PictureLabel", "Score", "default_thresholds", "fuse", "needed", "offered"]

UNSAFE = "unsafe"


@dataclass(frozen=True, slots=True)
class PictureLabel:
    """One label of the taxonomy.

    Attributes:
        name: As rules write it.
        meaning: What a moderator would call it.
        bundles: Bundles known to earn it; none means that no weights with a usable licence could be had.
    """

    name: str
    meaning: str
    bundles: tuple[str, ...]


TAXONOMY: Mapping[str, PictureLabel] = {
    label.name: label
    for label in (
        PictureLabel(
            "explicit_nudity",
            "Pornography, exposed genitals, sexual acts",
            ("open-nsfw", "swiftformer-s", "nsfwjs-mid"),
        ),
        PictureLabel("suggestive", "Sexually suggestive without exposure", ("nsfwjs-mid",)),
        PictureLabel("swimwear_underwear", "People in swimwear or underwear", ("efficientnet-lite0",)),
        PictureLabel("hentai_drawing", "Drawn pornography", ("nsfwjs-mid",)),
        PictureLabel("gore", "Blood, wounds, corpses, other shocking sights", ("swiftformer-s",)),
        PictureLabel("weapon", "Photographs of firearms", ("efficientnet-lite0",)),
        PictureLabel("alcohol", "Bottles and glasses of alcoholic drinks", ("efficientnet-lite0",)),
        PictureLabel("gambling", "Slot machines", ("efficientnet-lite0",)),
        PictureLabel("drugs_tobacco", "Pill bottles, syringes, lighters", ("efficientnet-lite0",)),
        PictureLabel("hate_symbol", "The hooked cross of the Nazis", ("head-hate-symbol",)),
        PictureLabel("rude_gesture", "Rude hand signs", ()),
        PictureLabel(UNSAFE, "Any of the above", ("open-nsfw", "swiftformer-s")),
    )
}


@dataclass(frozen=True, slots=True)
class Score:
    """The score of a label and the model that gave it."""

    value: float
    model: str


def offered(manifests: Iterable[Manifest]) -> frozenset[str]:
    """Return the labels that some bundles can give, an operator's own labels included."""
    fed = {label for manifest in manifests for output in manifest.labels for label in output.feeds}
    return frozenset(fed | {UNSAFE}) if fed else frozenset()


def default_thresholds(manifests: Iterable[Manifest]) -> dict[str, float]:
    """Return the threshold of each label if a rule names none: the strictest of the classes that feed it."""
    thresholds: dict[str, float] = {}
    for manifest in manifests:
        for output in manifest.labels:
            for label in output.feeds if output.threshold is not None else ():
                thresholds[label] = max(thresholds.get(label, 0.0), output.threshold or 0.0)
    if thresholds:
        thresholds[UNSAFE] = max(thresholds.values())
    return thresholds


def needed(label: str) -> str:
    """Return what to do to have a label that is not offered, as one sentence."""
    entry = TAXONOMY.get(label)
    if entry is None:
        return (
            f"{label!r} is no picture label; there are {', '.join(TAXONOMY)}, "
            "and those of your own bundles (`modgate models fit-head`)"
        )
    if not entry.bundles:
        return f"no bundle is known for {label!r}; train one on your own pictures with `modgate models fit-head`"
    return f"{label!r} needs the bundle {' or '.join(entry.bundles)}: add it to the server's bundles"


def fuse(outputs: Iterable[tuple[Manifest, Iterable[float]]]) -> dict[str, Score]:
    """Combine the class probabilities of models on one or more frames into labels.

    Args:
        outputs: For each model and frame, the manifest and its class probabilities in the order of `labels`.

    Returns:
        For each label that the models feed, its greatest weighted score, and `unsafe`.
    """
    best: dict[str, Score] = {}
    for manifest, classes in outputs:
        for output, probability in zip(manifest.labels, classes, strict=True):
            for label, weight in output.feeds.items():
                value = min(1.0, max(0.0, weight * float(probability)))
                if label not in best or value > best[label].value:
                    best[label] = Score(value, manifest.name)
    if best:
        best[UNSAFE] = max(best.values(), key=lambda score: score.value)
    return best
