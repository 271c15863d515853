"""Ranges that do not cut what a reader sees as one character."""

from modgate.detectors.base import Span
from modgate.text.alphabet import EXTENDER

__all__ = ["widen"]

_JOINER = "\u200d"
_REGIONAL = range(0x1F1E6, 0x1F200)
_LOOK_BACK = 64
"""How many flag halves in a row are counted, so that a text of flags only costs no more than any other."""


def _joined(text: str, at: int) -> bool:
    """Tell whether the code point at `at` belongs to the same user-perceived character as the one before it."""
    char = text[at]
    if EXTENDER.match(char):
        return True
    before = text[at - 1]
    if before == _JOINER and ord(char) > 0x2000:  # noqa: PLR2004 - emoji sequences; letters keep their joiners apart
        return True
    if ord(char) in _REGIONAL and ord(before) in _REGIONAL:
        first = at
        while first > at - _LOOK_BACK and first and ord(text[first - 1]) in _REGIONAL:
            first -= 1
        return (at - first) % 2 == 1
    return False


def widen(text: str, start: int, end: int) -> Span:
    """Return the smallest range of whole user-perceived characters that covers `start` to `end` of `text`.

    Marks, variation selectors, joiners, skin tones, tags and emoji joined by a joiner stay with their base; flags
    stay whole. An empty range stays as it is.
    """
    if start >= end or text.isascii():
        return Span(start, end)
    while start > 0 and _joined(text, start):
        start -= 1
    while end < len(text) and _joined(text, end):
        end += 1
    return Span(start, end)
