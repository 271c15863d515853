"""Personal details: one recogniser a file."""

from modgate.detectors.pii.base import Hit, Recogniser, Settings
from modgate.detectors.pii.detector import RECOGNISERS, PiiDetector, PiiInspector, PiiQuestion

__all__ = ["RECOGNISERS", "Hit", "PiiDetector", "PiiInspector", "PiiQuestion", "Recogniser", "Settings"]
