"""The tables behind folding: what a code point folds to, what passes for a Latin letter, what belongs to a word.

All are built once, at import, from `unicodedata` and from `confusables.txt`: about 60,000 code points are looked at, in
a tenth of a second. Han ideographs and Hangul syllables are left out because nothing folds them; their compatibility
forms are in.
"""

import re
import unicodedata
from collections.abc import Iterable
from importlib import resources

__all__ = [
    "COMPOSABLE",
    "COMPOSING",
    "CONFUSABLE",
    "EXTENDER",
    "FOLD",
    "LATIN_BASE",
    "LEET",
    "RESIZED",
    "SEPARATORS",
    "SPACES",
    "UNEVEN_ASCII_SEPARATORS",
    "UNSPACED",
    "character_class",
]

_BLOCKS = (range(0x3400), range(0xA000, 0xAC00), range(0xD7B0, 0xD800), range(0xF900, 0x18B00), range(0x1AFF0, 0x20000))
_SELECTORS = (range(0x2F800, 0x2FA20), range(0xE0000, 0xE01F0))

# Marks that decorate any letter. Vowel signs of Indic, Thai and other scripts are letters in all but name: they stay.
_DECORATIONS = (
    range(0x300, 0x370),
    range(0x483, 0x48A),
    range(0x591, 0x5C8),
    range(0x610, 0x61B),
    range(0x64B, 0x660),
    range(0x670, 0x671),
    range(0x6D6, 0x6EE),
    range(0x1AB0, 0x1B00),
    range(0x1DC0, 0x1E00),
    range(0x20D0, 0x2100),
    range(0xFE00, 0xFE10),
    range(0xFE20, 0xFE30),
    range(0xE0100, 0xE01F0),
)
_SPACE_CONTROLS = frozenset("\t\n\v\f\r\x1c\x1d\x1e\x1f\x85")
_PAIR = 2
# Where this project folds otherwise than NFKC and case folding would.
_OTHERWISE = (
    # As "ss" the German "aß" (ate) would be an English vulgarity.
    {"ß": "ß", "ẞ": "ß"}
    # The lunate sigma passes for a c; NFKC makes it a common sigma.
    | dict.fromkeys("ϲϹ", "c")
    # Invisible though their category says letter, symbol or mark; the tatweel only stretches an Arabic word.
    | dict.fromkeys("\u034f\u0640\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0", "")
    # NFKC keeps the parentheses of "(a)", readers do not.
    | {chr(0x249C + at): chr(ord("a") + at) for at in range(26)}
    # NFKC makes these Korean letters the kind of jamo that join with their neighbours.
    | {chr(point): chr(point) for point in (*range(0x3131, 0x3164), *range(0x3165, 0x318F))}
    | {
        chr(point): chr(int(parts[1], 16))
        for point in range(0xFFA1, 0xFFDD)
        if len(parts := unicodedata.decomposition(chr(point)).split()) == _PAIR
    }
)

LEET = {"0": "o", "1": "i", "2": "z", "3": "e", "4": "a", "5": "s", "6": "g", "7": "t", "8": "b", "9": "g"} | {
    "@": "a",
    "$": "s",
    "+": "t",
    "!": "i",
    "|": "i",
    "(": "c",
    "¡": "i",
    "§": "s",
    "£": "l",
    "¥": "y",
}
"""Digits and signs that stand for a letter inside a word; `1`, `!` and `|` may also be an `l`."""

_STROKES = {"đ": "d", "ð": "d", "ħ": "h", "ł": "l", "ø": "o", "ŧ": "t", "þ": "th", "æ": "ae", "œ": "oe", "ß": "ss"} | {
    "ɓ": "b",
    "ɖ": "d",
    "ɗ": "d",
    "ƙ": "k",
    "ɨ": "i",
    "ʉ": "u",
    "ƀ": "b",
    "ɟ": "j",
    "ƶ": "z",
    "ǥ": "g",
    "ꝁ": "k",
    "ꞓ": "c",
    "ŋ": "n",
    "ɲ": "n",
    "ƥ": "p",
    "ƭ": "t",
    "ⱥ": "a",
    "ɇ": "e",
}


def character_class(characters: Iterable[str]) -> str:
    """Return the inside of a regular expression's `[...]` for `characters`, with runs as ranges."""
    points = sorted(map(ord, characters))
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point - 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(
        re.escape(chr(first)) if first == last else f"{re.escape(chr(first))}-{re.escape(chr(last))}"
        for first, last in ranges
    )


def _folded(char: str) -> str:
    if char in _MARKS:
        return ""
    if unicodedata.category(char) in {"Cf", "Cc"}:
        return char if char in _SPACE_CONTROLS else ""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold())
    return "".join(part for part in folded if part not in _MARKS)


def _latin_base(char: str) -> str | None:
    if char in _STROKES:
        return _STROKES[char]
    base = unicodedata.normalize("NFD", char)[0]
    return base if base.isascii() and base.isalpha() else None


_MARKS = frozenset(chr(point) for block in _DECORATIONS for point in block)
_CHARACTERS = [chr(point) for block in (*_BLOCKS, *_SELECTORS) for point in block]
_ASSIGNED = [char for char in _CHARACTERS if unicodedata.category(char) not in {"Cn", "Co", "Cs"}]

FOLD: dict[int, str] = {
    ord(char): folded for char in _ASSIGNED if (folded := _OTHERWISE.get(char, _folded(char))) != char
}
"""NFKC, case folding and removal of what decorates or cannot be seen, for `str.translate`."""

RESIZED = re.compile(f"[{character_class(chr(point) for point, text in FOLD.items() if len(text) != 1)}]")
"""The code points that FOLD makes longer or removes."""

LATIN_BASE: dict[int, str] = {
    ord(char): base for char in _ASSIGNED if not char.isascii() and char.islower() and (base := _latin_base(char))
}
"""Accented Latin letters in lower case, to the bare letters, for `str.translate`."""

_SECOND = {
    chr(int(parts[1], 16))
    for char in _ASSIGNED
    if len(parts := unicodedata.decomposition(char).split()) == _PAIR and not parts[0].startswith("<")
}
_JAMO = "\u1100-\u11ff\ua960-\ua97c\ud7b0-\ud7fb"
COMPOSING = re.compile(f"[{character_class(_SECOND)}{_JAMO}]")
"""Any of what makes a text composable: a quick look before the search for `COMPOSABLE`."""

COMPOSABLE = re.compile(
    f"[^{character_class(_SECOND)}{character_class(_MARKS)}][{character_class(_SECOND)}]"
    f"[{character_class(_MARKS)}]{{0,8}}|[{_JAMO}]+"
)
"""A letter and a mark that Unicode may have as one character, or a syllable in single jamo."""

_OUTSIDE_WORDS = [
    char
    for char in (*_ASSIGNED, *map(chr, range(0xD800, 0xF900)))  # surrogates and private use, too
    if not char.isalnum() and not (unicodedata.category(char).startswith("M") and char not in _MARKS)
]
SPACES: dict[int, str] = dict.fromkeys(map(ord, _OUTSIDE_WORDS), " ")
"""Whatever is not part of a word, to a space, for `str.translate`; digits and vowel signs are part of words."""

SEPARATORS = re.compile(f"[{character_class(_OUTSIDE_WORDS)}]+")
"""What stands between words: runs of what `SPACES` replaces."""

UNEVEN_ASCII_SEPARATORS = re.compile("[^A-Za-z0-9]{2,}|^[^A-Za-z0-9]")
"""In ASCII text, the separators whose place a single space does not keep."""

UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no space between words: Thai, Lao, Burmese, Khmer, Han, Hiragana, Katakana."""

EXTENDER = re.compile(
    f"[{character_class(char for char in _ASSIGNED if unicodedata.category(char).startswith('M'))}"
    "\u200c\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
)
"""What continues the character before it: marks, joiners, skin tones, tags."""


def _read_confusables() -> dict[int, str]:
    text = resources.files("modgate.text").joinpath("confusables.txt").read_text(encoding="utf-8")
    rows = [line.split(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {ord(twin): target for target, twins in rows for twin in twins}


CONFUSABLE = _read_confusables()
"""What passes for a Latin letter or digit though it is of another script, for `str.translate`."""
