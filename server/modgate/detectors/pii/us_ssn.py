"""United States social security numbers: layout, ranges that were never issued, context words."""

import re
from collections.abc import Iterator

from stdnum.us import ssn

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near
from modgate.detectors.pii.numbers import counting

__all__ = ["UsSsn"]

_LAYOUT = re.compile(
    r"(?<![\w.-])(?P<area>\d{3})(?P<gap>[ .-]?)(?P<group>\d\d)(?P=gap)(?P<serial>\d{4})(?![\w-])", re.ASCII
)
_CONTEXT = frozenset({"ssn", "ssns", "social", "security", "ss", "ss#", "taxpayer", "itin"})


class UsSsn:
    """Social security numbers. There is no check digit: bare digits need a word that says what they are."""

    kind = "us_ssn"
    examples = (
        Example("123-45-6789", "us_ssn", (Span(0, 11),), "layout"),
        Example("my social security number is 536226789", "us_ssn", (Span(29, 38),), "bare digits and context"),
        Example("078-05-1120", "us_ssn", (), "published in a famous advertisement"),
        Example("666-45-6789", "us_ssn", (), "range that was never issued"),
        Example("536226789 points", "us_ssn", (), "bare digits without context"),
        Example("212-555-0123", "us_ssn", (), "a phone number's layout"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield numbers that could have been issued."""
        del settings
        for match in _LAYOUT.finditer(text):
            if not ssn.is_valid(f"{match['area']}-{match['group']}-{match['serial']}"):
                continue
            context = near(_CONTEXT, text, *match.span())
            if match["gap"]:
                score, why = 0.65, "layout"
            elif counting(match.group()):
                continue
            else:
                score, why = 0.1, "nine digits"
            if context:
                score, why = min(1.0, score + 0.5), f"{why}, context word"
            yield Hit(*match.span(), score, why)
