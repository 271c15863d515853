"""United Kingdom NHS numbers: ten digits with a check digit modulo 11."""

import re
from collections.abc import Iterator

from stdnum.gb import nhs

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near
from modgate.detectors.pii.numbers import counting

__all__ = ["UkNhs"]

_LAYOUT = re.compile(r"(?<![\w+.-])\d{3}(?P<gap>[ -]?)\d{3}(?P=gap)\d{4}(?![\w-])", re.ASCII)
_CONTEXT = frozenset({"nhs", "patient", "gp", "surgery", "hospital", "medical", "health"})


class UkNhs:
    """NHS numbers. One phone number in eleven passes the check as well, so context is needed."""

    kind = "uk_nhs"
    examples = (
        Example("NHS number 943 476 5919", "uk_nhs", (Span(11, 23),), "check digit and context"),
        Example("my nhs no is 9434765919", "uk_nhs", (Span(13, 23),), "without spaces"),
        Example("NHS number 943 476 5918", "uk_nhs", (), "wrong check digit"),
        Example("943 476 5919", "uk_nhs", (), "no context"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield numbers with a right check digit."""
        del settings
        for match in _LAYOUT.finditer(text):
            digits = re.sub(r"\D", "", match.group())
            if counting(digits) or not nhs.is_valid(digits):
                continue
            context = near(_CONTEXT, text, *match.span())
            yield Hit(*match.span(), 0.9 if context else 0.3, "check digit" + (", context word" if context else ""))
