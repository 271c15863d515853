"""United States passport numbers: a letter and eight digits, or nine digits, beside the word."""

import re
from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near

__all__ = ["UsPassport"]

_NUMBER = re.compile(r"(?<![\w-])(?P<letter>[A-Za-z])?(?(letter)\d{8}|\d{9})(?![\w-])", re.ASCII)
_CONTEXT = frozenset({"passport", "passports", "passeport", "pasaporte", "reisepass"})


class UsPassport:
    """Passport numbers carry no check digit, so without the word nearby they are only digits."""

    kind = "us_passport"
    examples = (
        Example("passport A12345678", "us_passport", (Span(9, 18),), "next-generation passport"),
        Example("my passport number is 912803456", "us_passport", (Span(22, 31),), "older passport"),
        Example("seat A12345678", "us_passport", (), "no context"),
        Example("passport photo 35x45", "us_passport", (), "no number"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield numbers."""
        del settings
        for match in _NUMBER.finditer(text):
            if near(_CONTEXT, text, *match.span()):
                yield Hit(*match.span(), 0.75 if match["letter"] else 0.6, "layout, context word")
            elif match["letter"]:
                yield Hit(*match.span(), 0.1, "layout")
