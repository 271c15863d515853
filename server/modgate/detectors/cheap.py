"""The detectors that need no bundle: together they are the cheap tier."""

from collections.abc import Sequence
from typing import Any

from modgate.detectors.base import Detector, Tier
from modgate.detectors.domains import DomainDetector
from modgate.detectors.flood import FloodDetector
from modgate.detectors.language import LanguageDetector
from modgate.detectors.patterns import PatternDetector
from modgate.detectors.pii import PiiDetector
from modgate.detectors.words import WordList, WordsInspector

__all__ = ["WordsDetector", "cheap_detectors"]


class WordsDetector:
    """Word lists, as the gate asks for them."""

    name = "words"
    tier = Tier.CHEAP
    cost_us = 10.0

    def configure(self, questions: Sequence[WordList]) -> WordsInspector:
        """Return an inspector of all lists: about a second for 100,000 entries.

        Raises:
            ValueError: If an entry holds nothing to look for.
        """
        return WordsInspector.compile(questions)


def cheap_detectors() -> dict[str, Detector[Any]]:
    """Return one of each, by name. The flood detector holds state: keep it over reloads."""
    detectors: tuple[Detector[Any], ...] = (
        WordsDetector(),
        DomainDetector(),
        PatternDetector(),
        PiiDetector(),
        FloodDetector(),
        LanguageDetector(),
    )
    return {detector.name: detector for detector in detectors}
