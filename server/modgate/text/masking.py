"""Replace spans of a text, and nothing else."""

from collections.abc import Iterable

from modgate.detectors.base import Span
from modgate.text.alphabet import EXTENDER

__all__ = ["mask", "merge_spans"]


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the same ranges sorted, with those that overlap or touch made one and empty ones left out."""
    merged: list[Span] = []
    for span in sorted(spans):
        if span.start >= span.end:
            continue
        if merged and span.start <= merged[-1].end:
            if span.end > merged[-1].end:
                merged[-1] = Span(merged[-1].start, span.end)
        else:
            merged.append(Span(*span))
    return tuple(merged)


def mask(text: str, spans: Iterable[Span], *, char: str = "*", length: int | None = None) -> str:
    """Return `text` with every span replaced; what is outside of the spans stays as it is, code point by code point.

    Args:
        text: The original text.
        spans: Half-open ranges of code points; they may overlap and come in any order.
        char: What stands for one masked character. Marks, joiners and other extenders get none of their own, so that
            a letter under ten marks shows as one.
        length: How many times `char` replaces a span whatever its length, so that the mask does not betray it;
            None for one per character.
    """
    pieces: list[str] = []
    at = 0
    for start, end in merge_spans(Span(max(0, start), min(len(text), end)) for start, end in spans):
        pieces.append(text[at:start])
        hidden = text[start:end]
        size = length
        if size is None:
            size = len(hidden) if hidden.isascii() else max(1, len(EXTENDER.sub("", hidden)))
        pieces.append(char * size)
        at = end
    pieces.append(text[at:])
    return "".join(pieces)
