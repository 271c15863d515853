"""Keeps configured inspectors, so that a change of one rule does not build a hundred thousand words again."""

import threading
import weakref
from collections.abc import Sequence
from typing import Any

from modgate.detectors.base import CheapInspector, Detector, ModelInspector

__all__ = ["Inspectors"]

_KEPT = 4
"""Inspectors of one detector: those of the rules in force, of older ones still in use, of trials."""


class Inspectors:
    """Inspectors by what they were asked, as long as some ruleset holds them. Thread-safe.

    An inspector never changes once it is configured, so two rulesets that ask the same may share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, list[tuple[Detector[Any], list[Any], weakref.ref[Any]]]] = {}

    def configure(self, detector: Detector[Any], questions: Sequence[Any]) -> CheapInspector | ModelInspector:
        """Return an inspector for these questions, a new one only if there is none.

        Raises:
            ValueError: As the detector does.
        """
        asked = list(questions)
        with self._lock:
            kept = [entry for entry in self._kept.get(detector.name, []) if entry[2]() is not None]
            for owner, known, reference in kept:
                inspector: CheapInspector | ModelInspector | None = reference()
                # Another detector of that name may have other models, or count other floods.
                if inspector is not None and owner is detector and known == asked:
                    return inspector
        fresh = detector.configure(asked)
        try:
            entry = (detector, asked, weakref.ref(fresh))
        except TypeError:
            return fresh  # its class forbids weak references: it is built every time
        with self._lock:
            self._kept[detector.name] = [entry, *kept][:_KEPT]
        return fresh
