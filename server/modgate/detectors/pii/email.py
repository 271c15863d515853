"""E-mail addresses, plain."""

import re
from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings
from modgate.detectors.suffixes import public_suffixes

__all__ = ["Email"]

# Quantifiers are bounded by RFC 5321 (64 characters before the @, 63 in a label), so no text makes this slow.
_ADDRESS = re.compile(
    r"(?<![\w.%+-])[\w.%+'-]{1,64}+\s?[@＠]\s?(?P<host>(?:\w[\w-]{0,62}+[.。．])+[^\W\d_]{2,24})(?!\w)"
)


class Email:
    """E-mail addresses. The ending decides how sure: a public suffix is near certain, anything else is a name."""

    kind = "email"
    examples = (
        Example("write to jane.doe@example.com please", "email", (Span(9, 29),), "public suffix"),
        Example("x+tag@mail.example.co.uk", "email", (Span(0, 24),), "public suffix of two labels"),
        Example("a＠example.org", "email", (Span(0, 13),), "full-width at sign"),
        Example("I'm @ the cafe. Come", "email", (), "no host after the sign"),
        Example("ping @everyone now", "email", (), "a mention"),
        Example("user@localhost", "email", (), "no dot in the host"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield addresses; without an at sign this costs one look."""
        del settings
        if "@" not in text and "＠" not in text:
            return
        suffixes = public_suffixes()
        for match in _ADDRESS.finditer(text):
            ending = re.split("[.。．]", match["host"])[-1].lower()
            spaced = any(c.isspace() for c in match.group())
            known = ending in suffixes
            if spaced and not known:
                continue
            score = 0.95 if known and not spaced else 0.7 if known else 0.6
            yield Hit(match.start(), match.end(), score, "address with a public suffix" if known else "address")
