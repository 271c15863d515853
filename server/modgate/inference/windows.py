"""Cutting what is longer than a model takes into pieces that overlap."""

from collections.abc import Iterator

__all__ = ["MAX_WINDOWS", "segments", "windows"]

MAX_WINDOWS = 32
"""Most windows of one text; a longer text is judged by windows spread evenly over it."""


def windows(length: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Yield half-open ranges that cover `length` tokens in windows of at most `size`.

    Consecutive windows share `overlap` tokens, so that what straddles a border is whole in one of them. With more
    than `MAX_WINDOWS` needed, the step grows and the windows are spread from the first to the last token.
    """
    if length <= size:
        yield 0, length
        return
    step = max(1, size - overlap)
    count = -(-(length - size) // step) + 1
    if count <= MAX_WINDOWS:
        starts = [min(i * step, length - size) for i in range(count)]
    else:
        starts = [round(i * (length - size) / (MAX_WINDOWS - 1)) for i in range(MAX_WINDOWS)]
    for start in starts:
        yield start, start + size


def segments(text: str, size: int = 256, overlap: int = 64) -> list[tuple[int, int]]:
    """Return half-open ranges of code points that cover a text in pieces of about `size`, cut at white space.

    A short text is one piece. Pieces are scored side by side, so a long message uses all workers, and those that are
    done when its time is up still count. There are at most `MAX_WINDOWS`, spread over the text if it is longer.
    """
    if len(text) <= size + overlap:
        return [(0, len(text))]
    ranges = []
    for start, end in windows(len(text), size, overlap):
        # Not in the middle of a word, if there is a gap near by; a text without gaps is cut where it must be.
        begin = text.rfind(" ", max(0, start - overlap // 2), start) + 1 if start else 0
        stop = text.find(" ", end, end + overlap // 2)
        ranges.append((begin or start, end if stop < 0 else stop))
    return ranges
