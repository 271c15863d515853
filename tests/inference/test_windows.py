"""Long texts in windows."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from modgate.inference.windows import MAX_WINDOWS, windows


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
