"""Phone numbers: a weak pattern, then the numbering plans of `phonenumbers`, then layout and context words."""

import re
from collections.abc import Iterator
from functools import lru_cache

import phonenumbers

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near
from modgate.detectors.pii.numbers import counting

__all__ = ["CONTEXT", "Phone", "possible_number"]

_CANDIDATE = re.compile(r"(?<![\w.:/#$€£])(?:\+|00)?[ ]?\(?\d(?:[ \t\u00a0.\-/()‐-―]{0,3}\d){5,16}(?![\w%])(?![.:/]\d)")
_DIGITS = re.compile(r"\d")
_NOT_A_NUMBER = re.compile(
    r"(?:19|20)\d\d[-./ ]\d{1,2}[-./ ]\d{1,2}(?:\D.*)?"  # dates
    r"|\d{1,2}[-./]\d{1,2}[-./](?:19|20)?\d\d(?:\D.*)?"
    r"|\d{1,3}(?:\.\d{1,3}){3}"  # IPv4
    r"|\d{1,3}(?:[.\xa0 ]000)+"  # 1 000 000
    r"|(\d)\1*",  # one digit only
    re.DOTALL,
)
_NANP = re.compile(r"(?:\+?1[\s.-]{0,2})?\(?\d{3}\)?[\s.-]{1,2}\d{3}[\s.-]{1,2}\d{4}")
_LOCAL = re.compile(r"\d{3}[\s.-]\d{4}")
_SEPARATOR = re.compile(r"[^\d+]")
CONTEXT = frozenset({
    "phone", "telephone", "tel", "mobile", "cell", "cellphone", "number", "num", "call", "ring", "text", "txt",
    "sms", "whatsapp", "telegram", "signal", "viber", "imo", "wechat", "digits", "reach", "dial", "contact",
    "fon", "telefon", "handy", "nummer", "ruf", "numéro", "numero", "téléphone", "appelle", "teléfono", "llámame",
    "celular", "telefone", "ligue", "zap", "wa", "fax", "hotline",
})  # fmt: skip
_MOST = 16
"""Candidates of one text that are looked up in numbering plans; further ones are judged by layout alone."""


@lru_cache(maxsize=4096)
def _plan(number: str, regions: tuple[str, ...]) -> tuple[bool, bool]:
    """Return whether a number is valid, and whether it is possible, in any of `regions` (or its own, with +)."""
    possible = False
    for region in (None,) if number.startswith("+") else regions:
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return True, True
        possible = possible or phonenumbers.is_possible_number(parsed)
    return False, possible


def possible_number(digits: str, settings: Settings) -> bool:
    """Whether a numbering plan of the deployment knows numbers like `digits`."""
    return any(_plan(digits, settings.phone_regions))


class Phone:
    """Phone numbers, international or of the deployment's regions.

    A valid number with a plus or with separators is enough; bare digits and numbers that no plan has given out need a
    word such as `call` near them, or a message that holds nothing else.
    """

    kind = "phone"
    examples = (
        Example("call me at +1 415 555 2671", "phone", (Span(11, 26),), "international and valid"),
        Example("(212) 555-0123 ok?", "phone", (Span(0, 14),), "valid with separators"),
        Example("my number is 555-123-4567", "phone", (Span(13, 25),), "layout of a number, and a context word"),
        Example("text 07911123456", "phone", (Span(5, 16),), "bare digits, valid in GB, and a context word"),
        Example("4️⃣1️⃣5️⃣ 5️⃣5️⃣5️⃣ 2️⃣6️⃣7️⃣1️⃣", "phone", (Span(0, 32),), "keycap emoji"),
        Example("I have 1000000 points", "phone", (), "a round figure"),
        Example("1 2 3 4 5 6 7 8 9 10", "phone", (), "counting"),
        Example("on 2026-11-21 at 10:30", "phone", (), "a date and a time"),
        Example("order 4155552671 shipped", "phone", (), "bare digits without context"),
        Example("ping 192.168.100.200", "phone", (), "an IP address"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield numbers; a text with fewer than six digits costs one look."""
        digits = _DIGITS.finditer(text)
        if sum(1 for _, _ in zip(range(6), digits, strict=False)) < 6:  # noqa: PLR2004  # shortest candidate
            return
        for looked_up, match in enumerate(_CANDIDATE.finditer(text)):
            raw = match.group().rstrip()
            start = match.start() + len(raw) - len(raw.lstrip())
            raw = raw.lstrip()
            if _NOT_A_NUMBER.fullmatch(raw) or counting(_SEPARATOR.sub("", raw)):
                continue
            score, why = self._judge(raw, settings.phone_regions, look_up=looked_up < _MOST)
            end = start + len(raw)
            if near(CONTEXT, text, start, end):
                score, why = min(1.0, score + 0.3), f"{why}, context word"
            elif not text[:start].strip() and not text[end:].strip():
                score, why = min(1.0, score + 0.15), f"{why}, nothing else in the message"
            if score >= 0.3:  # noqa: PLR2004  # below this no rule should ask
                yield Hit(start, end, score, why)

    @staticmethod
    def _judge(raw: str, regions: tuple[str, ...], *, look_up: bool) -> tuple[float, str]:
        number = _SEPARATOR.sub("", raw)
        if number.startswith("00"):
            number = "+" + number[2:]
        separated = _SEPARATOR.search(raw) is not None
        valid, possible = _plan(number, regions) if look_up else (False, False)
        if number.startswith("+"):
            return (
                (0.95, "valid international number") if valid else (0.65 if possible else 0.3, "international layout")
            )
        if _NANP.fullmatch(raw):
            return (0.85, "valid number") if valid else (0.5, "layout of a number")
        if valid:
            return (0.75, "valid number") if separated else (0.4, "valid digits")
        if _LOCAL.fullmatch(raw):
            return 0.25, "local layout"
        return (0.2, "possible digits") if possible else (0.0, "digits")
