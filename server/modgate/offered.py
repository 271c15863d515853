"""What a server could be asked, read from the manifests of its bundles: rules are checked without loading a model."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from modgate.detectors.base import Detector, DetectorError, Problem, Report, Subject, Tier
from modgate.detectors.cheap import cheap_detectors
from modgate.detectors.image import ImageDetector, picture_labels
from modgate.detectors.known_pictures import KnownPictureDetector
from modgate.detectors.text import (
    SentimentDetector,
    SimilarDetector,
    TextDetector,
    sentiment_labels,
    strict_thresholds,
    text_labels,
)
from modgate.inference.bundle import find_bundles, read_manifest
from modgate.inference.manifest import Manifest
from modgate.media.pool import DecodePool
from modgate.media.taxonomy import needed
from modgate.media.viewer import Viewer
from modgate.settings import Settings

__all__ = ["offered_detectors", "only_needed"]

_OF_TEXT = frozenset({TextDetector.name, SentimentDetector.name, SimilarDetector.name})


class _Offer:
    """Stands for a detector whose models are not loaded: rules compile against it, messages cannot be judged by it."""

    tier = Tier.MODEL

    def __init__(self, name: str, cost_us: float, labels: Mapping[str, float | None] | None) -> None:
        self.name = name
        self.cost_us = cost_us
        self.labels = labels

    def configure(self, questions: Sequence[object]) -> "_Offer":
        """Take any question: labels are checked by the compiler."""
        del questions
        return self

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Fail: nothing is loaded.

        Raises:
            DetectorError: Always.
        """
        del subject, deadline
        raise DetectorError(Problem.ERROR, "the model is not loaded")


class _TextOffer(_Offer):
    """The same for labels of a text model, which have strict thresholds too."""

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(TextDetector.name, TextDetector.cost_us, text_labels(manifest))
        self.strict = strict_thresholds(manifest)


class _PictureOffer(_Offer):
    """The same for pictures, whose labels have bundles that earn them."""

    media_only = True

    def needed(self, label: str) -> str:
        """Return why a label cannot be asked for and what would change that."""
        return needed(label)


def offered_detectors(settings: Settings) -> dict[str, Detector[Any]]:
    """Return what rules can ask of a server with these settings. Bundles that are not there offer nothing.

    Raises:
        BundleError: If a manifest cannot be read.
    """
    models = settings.models
    found = find_bundles(models.bundles)
    detectors = cheap_detectors()
    # Lists of pictures are checked by the detector itself; it starts no thread before it sees a picture.
    detectors[KnownPictureDetector.name] = KnownPictureDetector(Viewer(DecodePool(1)))
    offers: list[_Offer] = []
    if models.text in found:
        manifest = read_manifest(found[models.text])
        offers.append(_TextOffer(manifest))
        offers.append(_Offer(SentimentDetector.name, SentimentDetector.cost_us, sentiment_labels(manifest)))
        if manifest.text is not None and manifest.text.embedding is not None:
            offers.append(_Offer(SimilarDetector.name, SimilarDetector.cost_us, None))
    images = [read_manifest(found[name]) for name in models.images if name in found]
    if images:
        offers.append(_PictureOffer(ImageDetector.name, ImageDetector.cost_us, picture_labels(images)))
    return detectors | {offer.name: offer for offer in offers}


def only_needed(settings: Settings, detectors: Collection[str], *, pictures: bool = True) -> Settings:
    """Return settings that load no model which none of `detectors` asks.

    Args:
        settings: As configured.
        detectors: Names of detectors that rules ask.
        pictures: Whether there will be messages with pictures.
    """
    models = settings.models
    asked = set(detectors)
    found = find_bundles(models.bundles)
    return settings.model_copy(
        update={
            "models": models.model_copy(
                update={
                    "text": models.text if asked & _OF_TEXT else None,
                    "first": models.first if asked & _OF_TEXT else None,
                    "images": tuple(n for n in models.images if n in found) if ImageDetector.name in asked else (),
                    "ocr": models.ocr if pictures else None,
                }
            )
        }
    )
