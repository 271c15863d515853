"""The steps that undo obfuscation, each from one canonical form to the next.

Every step returns the form that it was given if there is nothing to undo, after a check that costs about a microsecond.
Each is a guess and so is careful: what it may touch is said beside it.
"""

import re
from collections.abc import Iterator
from re import Match
from typing import NamedTuple

from modgate.text.alphabet import CONFUSABLE, LATIN_BASE, LEET, SPACES, character_class
from modgate.text.canonical import Canonical

__all__ = [
    "Traces",
    "accents",
    "censored_words",
    "hide_vowels",
    "is_censored",
    "leet",
    "look_alikes",
    "separators",
    "squeeze",
    "stretching",
    "traces",
    "uncensors",
]

# The outline of ASCII text has an `a` for a letter, `1` for a digit, `$` for a sign that may be a letter, `!` for one
# that may be a letter but mostly ends a sentence, `-` for a sign that may hide a letter or stand between two.
_KINDS = {" ": " ", "(": "("} | dict.fromkeys("!?", "!") | dict.fromkeys("@$+|", "$") | dict.fromkeys("-_*~^=`#%&", "-")
_OUTLINE = bytes(
    ord("a" if chr(code).isalpha() else "1" if chr(code).isdigit() else _KINDS.get(chr(code), "."))
    for code in range(128)
) + bytes(128)
_TOKENS = bytes(ord("a" if chr(code).isalnum() or chr(code) in "@$!|+(" else " ") for code in range(128)) + bytes(128)
_CONSONANTS = bytes(
    ord("v" if chr(code) == "v" else "c" if chr(code) in "bcdfghjklmnpqrstwxz" else " ") for code in range(128)
)
_CONSONANTS += bytes(128)
# What stands for other characters there: signs for letters, signs between letters, other signs; letters are left.
_DRAWN = {point: "." for point in SPACES if point > 0x7F} | str.maketrans("¡§£¥·•", "$$$$--")  # noqa: PLR2004 - ASCII


class Traces(NamedTuple):
    """What a first look says that a text may hide: false is certain, true is not."""

    apart: bool
    signs: bool
    leet: bool


def traces(text: str) -> Traces:
    """Look in two microseconds, ten if not ASCII, whether the steps after `accents` may have anything to do."""
    if text.isascii():
        encoded = text.encode("ascii")
    else:
        encoded = text.translate(_DRAWN).encode("ascii", "replace").replace(b"?", b"a")
    outline = encoded.translate(_OUTLINE)
    tokens = b" %b " % encoded.translate(_TOKENS)
    leet = b"a$" in outline or b"$a" in outline or b"!a" in outline or b"a(a" in outline
    return Traces(
        apart=b" a a a " in tokens or b" a  a  a " in tokens or b" a   a   a " in tokens,
        signs=leet or b"a-" in outline,
        leet=leet or b"1a" in outline or b"a1" in outline or b"cvc" in encoded.translate(_CONSONANTS),
    )


# --- look-alikes ---------------------------------------------------------------------------------------------------

_BASIC = "\uffff"

# Apart, because `re` looks up the Basic Multilingual Plane in a bitmap and everything beyond range by range.
_TWIN_BASIC = re.compile(f"[{character_class(twin for twin in map(chr, CONFUSABLE) if twin <= _BASIC)}]")
_TWIN_BEYOND = re.compile(f"[{character_class(twin for twin in map(chr, CONFUSABLE) if twin > _BASIC)}]")
_TWIN_SIGN = re.compile(f"[{character_class(twin for twin in map(chr, CONFUSABLE) if not twin.isalpha())}]")
_TWIN_WORD = re.compile(f"(?:[^\\W_]|[{character_class(map(chr, CONFUSABLE))}])+")
_LATIN = re.compile("[a-zƀ-ʯᴀ-ᴫᵢ-ᵪꜰ-ꟿ]")
_GREEK = re.compile("[\u0370-\u03ff]")
_CYRILLIC = re.compile("[\u0400-\u052f]")
_CYRILLIC_ONLY = re.compile("[джзийлпфцчшщъыэюяё]")
_TO_CYRILLIC = str.maketrans("aceopxykmtbh03", "асеорхукмтвноз")


def look_alikes(form: Canonical) -> Canonical:
    """Read letters of other scripts, and signs, as the Latin letters that they look like.

    A word that mixes scripts is read as Latin, or as Cyrillic if it holds a letter that only Cyrillic has. A whole word
    of another script stays what it is, unless all the rest of the text is Latin.
    """
    text = form.text
    if text.isascii() or not (_TWIN_BASIC.search(text) or (max(text) > _BASIC and _TWIN_BEYOND.search(text))):
        return form
    if not _LATIN.search(text) and not _TWIN_SIGN.search(text) and not (_GREEK.search(text) and _CYRILLIC.search(text)):
        return form  # all of another script: stays what it is
    words = _TWIN_WORD.findall(text)
    foreign = not any(word.isascii() and _LATIN.search(word) for word in words) or any(
        not word.translate(CONFUSABLE).translate(LATIN_BASE).isascii() for word in words
    )

    def read(match: Match[str]) -> str:
        word = match[0]
        if word.isascii():
            return word
        if _CYRILLIC_ONLY.search(word):
            return word.translate(_TO_CYRILLIC)
        mixed = _LATIN.search(word) or (_GREEK.search(word) and _CYRILLIC.search(word))
        if foreign and not mixed and any(map(str.isalpha, word)):
            return word
        return word.translate(CONFUSABLE)

    return form.replace(_TWIN_WORD, read)


# --- accents -------------------------------------------------------------------------------------------------------

_RESIZED_LATIN = re.compile(f"[{character_class(chr(point) for point, base in LATIN_BASE.items() if len(base) > 1)}]")


def accents(form: Canonical) -> Canonical:
    """Take the accents and strokes off Latin letters."""
    return form if form.text.isascii() else form.translate(LATIN_BASE, _RESIZED_LATIN)


# --- separators ----------------------------------------------------------------------------------------------------

# Letters, or signs for letters, one by one with the same separator of one to three code points throughout.
_ONE = r"[^\W_]|[@$!|+(]"
_APART = re.compile(
    rf"(?<![^\W_])(?:{_ONE})(?P<gap>(?:[^\w@$!|+(]|_){{1,3}})(?:{_ONE})(?:(?P=gap)(?:{_ONE}))+(?![^\W_])"
)
# A one-letter word before spaced letters, and after another word: `such a f u c k`.
_LEAD = re.compile(r"(?:(?<=[^\W_]{2}\s)|(?<=[^\w\s]\s)|(?<![\s\S]))([aiu])([^\S\n]{1,3})(?=[^\W_]\2[^\W_]\2[^\W_])")
_SIGNS = re.escape("-_*~^=`·•")
_SIGN_INSIDE = re.compile(rf"[^\W\d_][{_SIGNS}]+[^\W\d_]")
_SIGNED = re.compile(rf"(?<![^\W_])[^\W_]++(?:[{_SIGNS}]++[^\W_]++)++")
_NOT_WORD = re.compile(r"[\W_]+")


def _join(match: Match[str]) -> str:
    gap = match[1]
    return match[0].replace(gap, "")


def _join_word(match: Match[str]) -> str:
    return _NOT_WORD.sub("", match[0])


def separators(form: Canonical, found: Traces) -> list[Canonical]:
    """Join letters that are kept apart (`f.u.c.k`, `f u c k`) and words with signs inside (`sh-it`).

    The first reading is the form that was given if there is nothing to join. A second one takes the first of spaced
    letters as a word of its own (`such a f u c k`).

    Spaces, full stops and commas inside a word are left alone unless they stand between single letters:
    `the pen.is here`.
    """
    readings = [form.replace(_APART, _join)] if found.apart else [form]
    if found.apart and _LEAD.search(form.text):
        readings.append(form.replace(_LEAD, _set_off).replace(_APART, _join))
    if found.signs and _SIGN_INSIDE.search(form.text):
        return [reading.replace(_SIGNED, _join_word) for reading in readings]
    return readings


def _set_off(match: Match[str]) -> str:
    return f"{match[1]}," + match[2][1:]


# --- leet ----------------------------------------------------------------------------------------------------------

_LEET_SIGNS = character_class(sign for sign in LEET if not sign.isdigit() and sign not in "!(")
_LEET_TAIL = rf"!+(?=[^\W_]|[{_LEET_SIGNS}])|(?<=[^\W_])\((?=[^\W_]|[{_LEET_SIGNS}])"
# A word from its first letter on, if it holds a digit or a sign; an exclamation mark at its end is none.
_LEET_WORD = re.compile(
    rf"(?<![^\W\d_])[^\W\d_]*+(?:[\d{_LEET_SIGNS}]|{_LEET_TAIL})(?:[^\W_]|[{_LEET_SIGNS}]|{_LEET_TAIL})*+"
)
_WITH_I = str.maketrans(LEET)
_WITH_L = str.maketrans(LEET | dict.fromkeys("1!|", "l"))
_V_FOR_U = re.compile(r"(?<=[bcdfghjklmnpqrstwxz])v(?=[bcdfghjklmnpqrstwxz(])")
_REPEATED = re.compile(r"(.)\1\1+", re.DOTALL)
_AMBIGUOUS = re.compile("[1!|]")
_EDGE_DIGITS = re.compile(r"(?<![^\W_])\d++(?=[^\W\d_]{4})|(?<=[^\W\d_]{4})\d++(?![^\W_])")


def _read(form: Canonical, table: dict[int, str]) -> Canonical:
    def letters(match: Match[str]) -> str:
        word = match[0]
        once = _REPEATED.sub(_first, word)
        count = sum(map(str.isalpha, once))
        return word.translate(table) if 0 < count < len(once) <= 2 * count else word

    # Sign for letter, one to one: no change of length. Most words are skipped at the price of `isalpha`.
    words = [word if word.isalpha() else _LEET_WORD.sub(letters, word) for word in form.text.split(" ")]
    text = _V_FOR_U.sub("u", " ".join(words))
    return form if text == form.text else Canonical(text, parent=form)


def leet(form: Canonical) -> Iterator[Canonical]:
    """Yield every reading of digits and signs as letters, in words that are letters by half at least.

    `1`, `!` and `|` are an i in the first reading and an l in the second. In the last, digits around a word of four
    letters and more are no part of it: `word123`. A v between consonants is a u. The first reading is yielded even if
    it is the form that was given.
    """
    yield _read(form, _WITH_I)
    if _AMBIGUOUS.search(form.text):
        yield _read(form, _WITH_L)
    if _EDGE_DIGITS.search(form.text):
        yield form.replace(_EDGE_DIGITS, lambda match: " " * len(match[0]))


# --- stretching ----------------------------------------------------------------------------------------------------

_THREE_ASCII = re.compile(r"([a-z])\1\1")
_THREE = re.compile(r"([^\W\d_])\1\1")
_RUN_ASCII = re.compile(r"([a-z])\1+")
_RUN = re.compile(r"([^\W\d_])\1+")


def _first(match: Match[str]) -> str:
    return match[0][0]


def squeeze(text: str) -> str:
    """Return `text` with every run of one letter made a single letter."""
    return _RUN.sub(_first, text)


def stretching(form: Canonical) -> Canonical:
    """Make every run of one letter a single letter, if any letter is repeated three times or more.

    Whoever finds a word here must compare the runs with those of the word (`hoot` is not `hot`).
    """
    text = form.text
    three, run = (_THREE_ASCII, _RUN_ASCII) if text.isascii() else (_THREE, _RUN)
    return form.replace(run, _first) if three.search(text) else form


# --- censored letters ----------------------------------------------------------------------------------------------

_HIDDEN = "[*#%&@$?!^_-]"
_HIDDEN_INSIDE = re.compile(rf"[^\W\d_]{_HIDDEN}{{1,12}}[^\W\d_]")
_CENSORED = re.compile(rf"(?<![^\W_])[^\W\d_](?:[^\W\d_]|{_HIDDEN}){{2,30}}[^\W_](?![^\W_])")


def is_censored(form: Canonical, found: Traces) -> bool:
    """Tell whether signs may hide letters somewhere in the text."""
    return found.signs and _HIDDEN_INSIDE.search(form.text) is not None


def censored_words(text: str) -> Iterator[Match[str]]:
    """Find the words in which signs hide letters between the first and the last: `f*ck`, `b**ch`, `sh#t`."""
    for match in _CENSORED.finditer(text):
        if _HIDDEN_INSIDE.search(match[0]):
            yield match


_VOWELS_AND_SIGNS = str.maketrans(dict.fromkeys("aeiouy#%&@$?!^_-", "*"))


def hide_vowels(word: str) -> str:
    """Return `word` with an asterisk for every vowel and every sign that may hide one."""
    return word.translate(_VOWELS_AND_SIGNS)


def uncensors(entry: str, word: str) -> bool:
    """Tell whether the hidden letters of `word` may be those of `entry`, of the same length.

    An asterisk may hide any letter, other signs only vowels, and a hyphen or an underscore hides one at most.
    """
    pairs = [(letter, sign) for letter, sign in zip(entry, word, strict=True) if letter != sign]
    if sum(sign in "-_" for _, sign in pairs) > 1:
        return False
    return all(sign == "*" or (sign in "#%&@$?!^_-" and letter in "aeiouy") for letter, sign in pairs)
