"""United States driver licence numbers: the states' layouts, beside a word that says so."""

import re
from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near

__all__ = ["UsDriverLicence"]

_LETTERED = re.compile(
    r"(?<![\w-])(?:"
    r"[A-Z]\d{3}[- ]?\d{3}[- ]?\d{2,3}[- ]?\d{3}(?:[- ]?\d)?"  # FL, IL, MD, MI, MN, NJ begin: a letter, 11 to 13 digits
    r"|[A-Z]\d{4}[- ]?\d{5}[- ]?\d{5}"  # NJ
    r"|[A-Z]\d{6,9}"  # AZ, CA, MA, NV, OH, VA and others
    r"|[A-Z]{2}\d{5,7}[A-Z]?"  # ID, OH, WV
    r"|\d{2}[A-Z]{3}\d{5}"  # NH
    r"|[A-Z]{3}[A-Z*]{2}[A-Z]{2}\d{3}[A-Z0-9]{2}"  # WA
    r"|\d{3}[- ]\d{3}[- ]\d{3}"  # NY
    r")(?![\w-])",
)
_DIGITS = re.compile(r"(?<![\w-])\d{7,12}(?![\w-])", re.ASCII)
_CONTEXT = frozenset({"driver", "drivers", "driver's", "driving", "licence", "license", "dl", "dln", "permit"})
_STRONG = frozenset({"driver", "drivers", "driving", "dl", "dln"})


class UsDriverLicence:
    """Driver licences. Fifty layouts and no checksum in most: the context decides, the layout only confirms."""

    kind = "us_driver_licence"
    examples = (
        Example("my driver license is D1234562", "us_driver_licence", (Span(21, 29),), "California, context"),
        Example("DL: S530-460-82-345-0", "us_driver_licence", (Span(4, 21),), "Florida, context"),
        Example("drivers licence 98765432", "us_driver_licence", (Span(16, 24),), "digits only, context"),
        Example("order D1234562", "us_driver_licence", (), "no context"),
        Example("a license to kill 007", "us_driver_licence", (), "no number"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield numbers beside context words."""
        del settings
        for match in _LETTERED.finditer(text):
            if near(_CONTEXT, text, *match.span()):
                yield Hit(*match.span(), 0.7, "a state's layout, context word")
        for match in _DIGITS.finditer(text):
            if near(_STRONG, text, *match.span(), 32):
                yield Hit(*match.span(), 0.55, "digits, context word")
