"""Masks cover their spans and touch nothing else."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from modgate.detectors.base import Span
from modgate.text import mask, merge_spans, widen

TEXTS = st.text(st.characters(codec=None), max_size=60)
SPANS = st.lists(st.builds(lambda start, size: Span(start, start + size), st.integers(0, 70), st.integers(0, 20)))


def test_a_mask_has_one_sign_per_character() -> None:
    """Letters under combining marks count once."""
    assert mask("say fu\u0336ck!", [Span(4, 9)]) == "say ****!"


def test_a_fixed_length_hides_how_long_the_word_was() -> None:
    """With a length given every span becomes that many signs."""
    assert mask("ab cde", [Span(0, 2), Span(3, 6)], char="#", length=3) == "### ###"


def test_spans_may_overlap_and_be_unsorted() -> None:
    """Overlapping spans are one, each code point is masked once."""
    assert mask("abcdef", [Span(3, 5), Span(0, 2), Span(1, 3)]) == "*****f"


def test_no_spans_no_change() -> None:
    """Without spans the very text comes back."""
    assert mask("abc", []) == "abc"


@given(TEXTS, SPANS)
def test_what_is_outside_stays_byte_for_byte(text: str, spans: list[Span]) -> None:
    """The pieces between the spans are in the mask unchanged and in order, and between them only the sign."""
    merged = [span for span in merge_spans(spans) if span.start < len(text)]
    at = 0
    expected = []
    for start, end in merged:
        expected.append(text[at:start])
        at = min(end, len(text))
    expected.append(text[at:])
    assert mask(text, spans, char="\U0010fffd", length=1) == "\U0010fffd".join(expected)


@given(TEXTS, SPANS)
def test_merging_keeps_the_covered_places(text: str, spans: list[Span]) -> None:
    """Merged spans are sorted, apart from each other, and cover exactly what the given ones cover."""
    merged = merge_spans(spans)
    assert all(a.end < b.start for a, b in pairwise(merged))
    assert {at for a, b in merged for at in range(a, b)} == {at for a, b in spans for at in range(a, b)}
    assert text == mask(text, [])


@given(TEXTS, st.integers(0, 59), st.integers(1, 10))
def test_widened_ranges_cover_and_are_stable(text: str, start: int, size: int) -> None:
    """Widening never shrinks, stays within the text, and does nothing the second time."""
    end = min(len(text), start + size)
    if start < end:
        span = widen(text, start, end)
        assert 0 <= span.start <= start
        assert end <= span.end <= len(text)
        assert widen(text, *span) == span


def test_characters_that_belong_together_are_not_cut() -> None:
    """Skin tones, joined emoji, flags, marks and variation selectors go with their base."""
    for character in ["👍🏽", "👩\u200d💻", "🇫🇷", "e\u0301", "❤\ufe0f"]:
        text = f"a{character}b"
        assert widen(text, 1, 2) == Span(1, 1 + len(character))
        assert widen("🇩🇪" + character, 2, 3) == Span(2, 2 + len(character))
