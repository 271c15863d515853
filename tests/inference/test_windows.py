"""Long texts in windows."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from modgate.inference.windows import MAX_WINDOWS, segments, windows


def test_a_short_text_is_one_window() -> None:
    """What fits is not cut."""
    assert list(windows(5, 10, 2)) == [(0, 5)]
    assert list(windows(10, 10, 2)) == [(0, 10)]


def test_consecutive_windows_overlap() -> None:
    """What straddles a border is whole in one of the two windows."""
    assert list(windows(25, 10, 2)) == [(0, 10), (8, 18), (15, 25)]


@given(st.integers(1, 3_000), st.integers(2, 512), st.integers(0, 100))
def test_windows_are_few_full_and_reach_both_ends(length: int, size: int, overlap: int) -> None:
    """At most 32 windows, each as long as allowed, from the first to the last token, without a gap if they fit."""
    cut = list(windows(length, size, overlap))
    assert len(cut) <= MAX_WINDOWS
    assert (cut[0][0], cut[-1][1]) == (0, length)
    assert all(end - start == min(size, length) for start, end in cut)
    starts = [start for start, _ in cut]
    assert starts == sorted(set(starts))
    if length <= size + (MAX_WINDOWS - 1) * max(1, size - overlap):
        assert all(after <= before + size for before, after in pairwise(starts))


@given(st.text(alphabet="ab \u4f60", max_size=6_000))
def test_segments_cover_a_text_in_order_and_overlap(text: str) -> None:
    """Every code point of a text up to the window limit is in a segment, and neighbours share some."""
    ranges = segments(text)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == len(text)
    for (_, end), (start, _) in pairwise(ranges):
        assert start < end


def test_a_segment_begins_and_ends_between_words() -> None:
    """A long text of words is not cut inside of one."""
    text = "word " * 400
    for start, end in segments(text):
        assert start == 0 or text[start - 1] == " "
        assert end == len(text) or text[end] == " "
