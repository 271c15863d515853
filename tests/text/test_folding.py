"""What folding undoes, what it leaves alone, and the way back."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modgate.detectors.base import Span
from modgate.text import fold, words_of

# Surrogates and rare planes too: `st.text()` leaves lone surrogates out.
ANY_TEXT = st.text(
    st.characters(codec=None) | st.sampled_from("fuck F.-*1!@ ㅅㅏﾡ\u200b\u0336\u0301éßﬁǆ한ᄉ\u1175कि🏽👩\u200d🇫🇷")
)


def form(text: str, step: str) -> str:
    """Return the text of the first form that a step makes, or of `plain` if the step changes nothing."""
    folded = fold(text)
    return dict(reversed(folded.steps())).get(step, folded.plain.text)


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("Hello World", "hello world"),
        ("ＨＥＬＬＯ", "hello"),
        ("𝓱𝓮𝓵𝓵𝓸 𝕙𝕖𝕝𝕝𝕠", "hello hello"),
        ("ⓗⓔⓛⓛⓞ", "hello"),
        ("⒣⒠⒧⒧⒪", "hello"),
        ("h\u200be\u200dl\u2060l\ufeffo", "hello"),
        ("h\u00ade\u034fl\u202el\u061co", "hello"),
        ("h\u0336e\u0336l\u0336l\u0336o\u0336", "hello"),
        ("h\x00e\x08llo", "hello"),
        ("ﬁne", "fine"),
        ("cafe\u0301", "café"),
        ("\u1112\u1161\u11ab", "한"),
        ("ΣΊΣΥΦΟΣ", "σίσυφοσ"),
        ("Ich aß", "ich aß"),
        ("كـــلب", "كلب"),
        ("हिन्दी", "हिन्दी"),
        ("", ""),
    ],
)
def test_plain_undoes_what_is_certain(typed: str, plain: str) -> None:
    """Case, width, mathematical letters, invisible characters and stray marks are undone; letters of languages stay."""
    assert fold(typed).plain.text == plain


@pytest.mark.parametrize(
    ("typed", "step", "text"),
    [
        ("hеllо there", "look-alikes", "hello there"),
        ("🅷🅴🅻🅻🅾", "look-alikes", "hello"),
        ("привeт всем", "look-alikes", "привет всем"),
        ("hèllø", "accents", "hello"),
        ("h.e.l.l.o you", "separators", "hello you"),
        ("h e l l o", "separators", "hello"),
        ("h - e - l - l - o", "separators", "hello"),
        ("he-llo w_orld", "separators", "hello world"),
        ("h3ll0", "leet", "hello"),
        ("he||o", "leet", "heiio"),
        ("$ec+ion", "leet", "section"),
        ("5.e.c.7.i.o.n", "leet", "section"),
        ("heeeyyyy youu", "stretching", "hey you"),
    ],
)
def test_each_step_undoes_its_trick(typed: str, step: str, text: str) -> None:
    """Each named step makes the form that a reader sees."""
    assert form(typed, step) == text


@pytest.mark.parametrize(
    ("typed", "step"),
    [
        ("соск и барсук", "look-alikes"),
        ("the pen.is here", "separators"),
        ("meet at 7 or 10 pm, 5 of us", "leet"),
        ("the A55 and 10,000 people!", "leet"),
        ("wow! great!", "leet"),
        ("hoot, cool, too good", "stretching"),
    ],
)
def test_steps_leave_ordinary_text_alone(typed: str, step: str) -> None:
    """Words of other scripts, numbers, punctuation and doubled letters are no tricks."""
    assert step not in dict(fold(typed).steps())


@pytest.mark.parametrize(
    ("typed", "word", "span"),
    [
        ("say f.u.c.k now", "fuck", Span(4, 11)),
        ("f\u200buck\u200b!", "fuck", Span(0, 5)),
        ("fuck\u0336\u0335 x", "fuck", Span(0, 6)),
        ("👩\u200d💻 fuuuck", "fuck", Span(4, 10)),
        ("ﬁ ﬂuff", "fluff", Span(2, 6)),
        ("  ...fuck", "fuck", Span(5, 9)),
    ],
)
def test_spans_lead_back_to_what_was_typed(typed: str, word: str, span: Span) -> None:
    """The span of a canonical word covers the typed code points, what hides between them and marks behind them."""
    found = set()
    for step in fold(typed).forms():
        words = words_of(step.canonical)
        at = words.text.find(f" {word} ")
        if at >= 0:
            found.add(words.span(at + 1, at + 1 + len(word)))
    assert found == {span}


@given(ANY_TEXT)
def test_the_way_back_is_monotone_and_in_range(text: str) -> None:
    """In every form later places lead to later places, and the whole leads to nothing outside the text."""
    for step in fold(text).forms():
        for canonical in (step.canonical, words_of(step.canonical)):
            spans = [canonical.span(at, at + 1) for at in range(len(canonical.text))]
            assert all(0 <= span.start <= span.end <= len(text) for span in spans)
            assert all(a.start <= b.start and a.end <= b.end for a, b in pairwise(spans))


@given(ANY_TEXT)
def test_each_place_of_plain_leads_to_a_character_that_folds_to_it(text: str) -> None:
    """What stands at a place of the plain form is part of what its span folds to by itself."""
    plain = fold(text).plain
    for at, char in enumerate(plain.text):
        span = plain.span(at, at + 1)
        assert char in fold(text[span.start : span.end]).plain.text


@given(ANY_TEXT)
def test_folding_is_idempotent(text: str) -> None:
    """The plain form of a plain form is itself, so that list entries and messages meet."""
    plain = fold(text).plain.text
    assert fold(plain).plain.text == plain


@pytest.mark.parametrize("length", [8_000, 65_536])
@pytest.mark.parametrize(
    "unit", ["a", "a ", "a.", "1a", "é", "\u0336", "🇫", "👩\u200d", "ᄉ", "a*", "!", "\ud800", "a1!", "-"]
)
def test_long_texts_fold(unit: str, length: int) -> None:
    """Texts at the size limit made of any one trick fold in linear time (the suite's time limit says so)."""
    text = (unit * length)[:length]
    for step in fold(text).forms():
        words = words_of(step.canonical)
        words.span(0, len(words.text))
