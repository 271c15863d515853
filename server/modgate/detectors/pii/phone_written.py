"""Phone numbers in words: `nine one seven, five five five ...`, also mixed with digits."""

import re
from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near
from modgate.detectors.pii.numbers import DIGIT_WORDS, counting
from modgate.detectors.pii.phone import CONTEXT, possible_number

__all__ = ["WrittenPhone"]

_WORD = "|".join(sorted(DIGIT_WORDS, key=len, reverse=True))
_TOKEN = re.compile(
    rf"(?<!\w)(?:(?P<times>double|triple)\s+)?(?:(?P<word>{_WORD})|(?P<digits>\d{{1,4}}))(?!\w)", re.IGNORECASE
)
_GAP = re.compile(r"[\s,.;:/_+*()\-–—|~]{0,4}(?:(?:and|y|et|und|plus)\s)?", re.IGNORECASE)
_TIMES = {"": 1, "double": 2, "triple": 3}
_LEAST = 7
_LEAST_WORDS = 3
"""Fewer digits in words than this is prose (`one or two of 2024`)."""
_ANY_WORD = re.compile(r"[^\W\d_]+")


class WrittenPhone:
    """Digits one by one in words, seven or more of them; counting from one upwards is no number."""

    kind = "phone"
    examples = (
        Example("call nine one seven five five five oh one two three", "phone", (Span(5, 51),), "words and context"),
        Example("text me 4 one 5 five five five 2671", "phone", (Span(8, 35),), "words and digits"),
        Example("two one two, double five five, oh one nine nine", "phone", (Span(0, 47),), "ten digits of a plan"),
        Example("one two three four five six seven eight nine ten", "phone", (), "counting"),
        Example("one of the two or three best", "phone", (), "prose"),
        Example("I won six two, six one", "phone", (), "a score"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield written-out numbers; a text with fewer than three digit words costs one look."""
        if sum(word in DIGIT_WORDS for word in _ANY_WORD.findall(text.lower())) < _LEAST_WORDS:
            return
        start = end = -1
        digits, words = "", 0
        for match in _TOKEN.finditer(text):
            if start >= 0 and _GAP.fullmatch(text, end, match.start()) is None:
                yield from self._judge(text, Span(start, end), digits, words, settings)
                start, digits, words = -1, "", 0
            if start < 0:
                start = match.start()
            value = DIGIT_WORDS[match["word"].lower()] if match["word"] else match["digits"]
            digits += value * _TIMES[(match["times"] or "").lower()]
            words += match["word"] is not None
            end = match.end()
        if start >= 0:
            yield from self._judge(text, Span(start, end), digits, words, settings)

    @staticmethod
    def _judge(text: str, span: Span, digits: str, words: int, settings: Settings) -> Iterator[Hit]:
        if not _LEAST <= len(digits) <= 15 or words < _LEAST_WORDS or counting(digits):  # noqa: PLR2004  # E.164
            return
        score, why = (
            (0.6, "digits of a numbering plan in words")
            if possible_number(digits, settings)
            else (0.3, "digits in words")
        )
        if near(CONTEXT, text, *span):
            score, why = score + 0.3, f"{why}, context word"
        yield Hit(*span, score, why)
