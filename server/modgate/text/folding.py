"""The canonical forms of a text, each a step further from what was typed.

    plain        NFKC, case, zero-width characters, combining marks      always
    look-alikes  letters of other scripts that pass for Latin ones       сосk, fυck
    accents      accented Latin letters                                  shït
    censored     signs that hide letters, to be guessed by the reader    f*ck, b**ch
    separators   single letters kept apart, signs inside words           f.u.c.k, f u c k, sh-it
    leet         digits and signs that stand for letters                 sh1t, @ss, b00bs
    stretching   letters repeated three times and more                   fuuuuck

A step that changes nothing is not a form. All but `plain` are guesses: what is found in them needs more evidence than
what is found in `plain` (see `Form.least`).
"""

import re
import unicodedata
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from re import Match
from typing import NamedTuple

from modgate.text import steps
from modgate.text.alphabet import COMPOSABLE, COMPOSING, FOLD, RESIZED, SEPARATORS, SPACES, UNEVEN_ASCII_SEPARATORS
from modgate.text.canonical import Canonical, Change

__all__ = ["Folded", "Form", "fold", "words_of"]

# Only the control characters that are no white space: they can hide inside of words.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_WORD_BYTES = bytes(code if chr(code).isalnum() else ord(" ") for code in range(128)) + bytes(128)


_SPACE = re.compile(r"\s")
_SIGN = re.compile(r"\W")
_WINDOW = 512
_OVERLAP = 64
GUESSED_AT_MOST = 8
"""Windows of a text that are guessed at: bounds what a text made of tricks only can cost."""


class Form(NamedTuple):
    """A canonical form with the name of the step that made it.

    Attributes:
        step: The step's name.
        canonical: The text and the way back.
        least: How many letters a word found here must have: short words turn up by chance in guessed forms.
    """

    step: str
    canonical: Canonical
    least: int


@dataclass(frozen=True, slots=True)
class Folded:
    """The canonical forms of one text.

    Attributes:
        plain: NFKC, lower case, without what cannot be seen. Certain: nothing in it is a guess.
    """

    plain: Canonical

    def certain(self) -> Form:
        """Return `plain` as a form."""
        return Form("plain", self.plain, 1)

    def forms(self) -> Iterator[Form]:
        """Yield `plain`, then every guess that changes something, each built on the ones before.

        Long texts are guessed at in windows of some hundred code points, and no more of them than `GUESSED_AT_MOST`.
        The form `censored` is given as it is, for the reader to guess the letters that signs hide.
        """
        yield self.certain()
        guessed = 0
        for window in _windows(self.plain):
            something = False
            for form in _guesses(window):
                something = True
                yield form
            guessed += something
            if guessed == GUESSED_AT_MOST:
                return

    def steps(self) -> list[tuple[str, str]]:
        """Return the name and the text of every form, for explanations."""
        return [(form.step, form.canonical.text) for form in self.forms()]


def _windows(form: Canonical) -> Iterator[Canonical]:
    """Yield the form in windows that overlap by a few words and are cut at white space, or else at another sign.

    A run of more than 2,000 letters without either ends them: nobody reads a hidden word there.
    """
    text = form.text
    size = len(text)
    start = 0
    while size - start > _WINDOW + _OVERLAP:
        limits = start + _WINDOW, start + 4 * _WINDOW
        cut = _SPACE.search(text, *limits) or _SIGN.search(text, *limits)
        if cut is None:
            return
        end = cut.start()
        yield form.window(start, end)
        back = _SPACE.search(text, end - _OVERLAP, end)
        start = back.end() if back else cut.end()
    yield form.window(start, size) if start else form


def _guesses(form: Canonical) -> Iterator[Form]:
    if not form.text.isascii():
        for step, undo, least in (("look-alikes", steps.look_alikes, 3), ("accents", steps.accents, 4)):
            changed = undo(form)
            if changed is not form:
                yield Form(step, changed, least)
            form = changed
    found = steps.traces(form.text)
    bases = [form]
    if any(found):
        bases = yield from _signs_undone(form, found)
    for base in bases:
        stretched = steps.stretching(base)
        if stretched is not base:
            yield Form("stretching", stretched, 3)


def _signs_undone(form: Canonical, found: steps.Traces) -> Generator[Form, None, list[Canonical]]:
    """Yield the forms that undo signs and digits, and return those to go on from."""
    if steps.is_censored(form, found):
        yield Form("censored", form, 4)
    joined, *others = steps.separators(form, found)
    for reading in (joined, *others):
        if reading is not form:
            yield Form("separators", reading, 4)
    bases = [joined]
    if steps.traces(joined.text).leet:
        for least, reading in zip((3, 4, 4), steps.leet(joined), strict=False):
            if reading is not joined:
                yield Form("leet", reading, least)
                bases.append(reading)
    return bases


def _compose(match: Match[str]) -> str:
    return unicodedata.normalize("NFC", match[0])


def fold(text: str) -> Folded:
    """Return the canonical forms of `text`. Any string is fine: empty, huge, with lone surrogates."""
    original = Canonical(text)
    if text.isascii() and not _CONTROL.search(text):
        lower = text.lower()
        return Folded(original if lower == text else Canonical(lower, parent=original))
    composed = original.replace(COMPOSABLE, _compose) if COMPOSING.search(text) else original
    return Folded(composed.translate(FOLD, RESIZED))


def words_of(form: Canonical) -> Canonical:
    """Return a form's words with one space before, between and after them.

    A listed word with a space on each side is found there as a whole word only, whatever signs stand around it.
    """
    text = form.text
    if text.isascii():
        words = b" ".join(text.encode("ascii").translate(_WORD_BYTES).split()).decode("ascii")
    else:
        words = " ".join(text.translate(SPACES).split())

    def changes() -> Iterator[Change]:
        uneven = UNEVEN_ASCII_SEPARATORS if text.isascii() else SEPARATORS
        if not uneven.match(text):
            yield 0, 0, 1
        for match in uneven.finditer(text):
            yield match.start(), match.end(), 1

    return Canonical(f" {words} ", parent=form, changes=changes)
