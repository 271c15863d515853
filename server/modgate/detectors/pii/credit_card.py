"""Payment card numbers: issuer prefix and length, then the Luhn check digit."""

import re
from collections.abc import Iterator

from stdnum import luhn

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near
from modgate.detectors.pii.numbers import digit_runs

__all__ = ["CreditCard"]

_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12}(?:\d{3})?"  # Discover
    r"|35(?:2[89]|[3-8]\d)\d{12}"  # JCB
    r"|3(?:0[0-5]|[689]\d)\d{11}"  # Diners Club
    r"|62\d{14,17}"  # UnionPay
    r"|(?:50[0-9]\d|5[6-9]\d\d|6[37]\d\d)\d{8,15}"  # Maestro
    r"|(?:508[5-9]|60[6-9]\d|6521|6522)\d{12}",  # RuPay
    re.ASCII,
)
_CONTEXT = frozenset({
    "card", "credit", "debit", "visa", "mastercard", "amex", "maestro", "discover", "cvv", "cvc", "expiry", "exp", "cc",
    "karte", "kreditkarte", "carte", "tarjeta", "cartão", "carta",
})  # fmt: skip


class CreditCard:
    """Payment cards. The check digit alone passes one number in ten, so the issuer's prefix must fit, too."""

    kind = "credit_card"
    examples = (
        Example("4111 1111 1111 1111", "credit_card", (Span(0, 19),), "Visa, spaced"),
        Example("my card 5555-5555-5555-4444 ok", "credit_card", (Span(8, 27),), "Mastercard, dashes"),
        Example("378282246310005", "credit_card", (Span(0, 15),), "American Express"),
        Example("4111 1111 1111 1112", "credit_card", (), "wrong check digit"),
        Example("9999999999999995", "credit_card", (), "right check digit, no issuer"),
        Example("call 2125550123", "credit_card", (), "too short"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield card numbers."""
        del settings
        for run in digit_runs(text, 12, 19):
            if not luhn.is_valid(run.digits):
                continue
            known = _ISSUERS.fullmatch(run.digits) is not None
            context = near(_CONTEXT, text, run.start, run.end)
            score = (0.85 if known else 0.2) + (0.15 if context else 0.0)
            yield Hit(run.start, run.end, score, "issuer and check digit" if known else "check digit only")
