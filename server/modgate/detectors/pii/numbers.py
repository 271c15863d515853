"""What recognisers of long numbers share: runs of digits, and the words by which people say them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["DIGIT_WORDS", "Run", "counting", "digit_runs"]

_RUN = re.compile(r"(?<![\w.$€£+])\d(?:[ \u00a0-]?\d)+(?![\w])(?!\.\d)")

DIGIT_WORDS = {
    "zero": "0", "oh": "0", "o": "0", "nil": "0", "nought": "0", "cero": "0", "zéro": "0", "null": "0",
    "one": "1", "uno": "1", "un": "1", "eins": "1",
    "two": "2", "dos": "2", "deux": "2", "zwei": "2", "zwo": "2",
    "three": "3", "tres": "3", "trois": "3", "drei": "3",
    "four": "4", "cuatro": "4", "quatre": "4", "vier": "4",
    "five": "5", "cinco": "5", "cinq": "5", "fünf": "5", "fuenf": "5",
    "six": "6", "seis": "6", "sechs": "6",
    "seven": "7", "siete": "7", "sept": "7", "sieben": "7",
    "eight": "8", "ocho": "8", "huit": "8", "acht": "8",
    "nine": "9", "nueve": "9", "neuf": "9", "neun": "9", "niner": "9",
}  # fmt: skip
"""Digits in words: English, Spanish, French, German."""


@dataclass(frozen=True, slots=True)
class Run:
    """Digits that stand together, single spaces or dashes between them.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        digits: The digits alone, as ASCII.
        raw: As written.
    """

    start: int
    end: int
    digits: str
    raw: str


def digit_runs(text: str, least: int, most: int) -> Iterator[Run]:
    """Yield the runs of `text` with `least` to `most` digits."""
    for match in _RUN.finditer(text):
        digits = "".join(str(int(c)) for c in match.group() if c.isdecimal())
        if least <= len(digits) <= most:
            yield Run(match.start(), match.end(), digits, match.group())


def counting(digits: str) -> bool:
    """Whether digits are somebody counting, or all the same: 12345678910, 0000000."""
    return len(set(digits)) < 2 or digits in "1234567891011121314151617181920" or digits in "0123456789109876543210"  # noqa: PLR2004
