"""Takes out what nobody sees, so that an invisible character inside an address or a number hides nothing."""

import re
from dataclasses import dataclass

from modgate.detectors.base import Span

__all__ = ["Visible", "visible"]

_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff\u20e3]"
)
"""Soft hyphen, zero-width and direction marks, variation selectors, the frame of keycap emoji."""


@dataclass(frozen=True, slots=True)
class Visible:
    """A text without its unseen characters, and the way back.

    Attributes:
        text: What one sees.
        places: Index in the original of each character; None if nothing was taken out.
        length: Length of the original, if anything was.
    """

    text: str
    places: tuple[int, ...] | None = None
    length: int = 0

    def original(self, start: int, end: int) -> Span:
        """Return where text[start:end] stands in the original, unseen characters in it and right after it included."""
        if self.places is None or start == end:
            return Span(start, end)
        return Span(self.places[start], self.places[end] if end < len(self.places) else self.length)


def visible(text: str) -> Visible:
    """Return what one sees of `text`; at no cost if that is all of it."""
    if text.isascii() or _UNSEEN.search(text) is None:
        return Visible(text)
    places = tuple(index for index, character in enumerate(text) if not _UNSEEN.match(character))
    return Visible("".join(text[index] for index in places), places, len(text))
