"""Cutting token sequences that are longer than a model takes into windows that overlap."""

from collections.abc import Iterator

__all__ = ["MAX_WINDOWS", "windows"]

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
