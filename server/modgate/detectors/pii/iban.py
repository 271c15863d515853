"""International bank account numbers: country, length, remainder modulo 97."""

import re
from collections.abc import Iterator

from stdnum import iban

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings

__all__ = ["Iban"]

_CANDIDATE = re.compile(r"(?<!\w)[A-Z]{2}[ -]?\d\d(?:[ \u00a0-]?[A-Z0-9]){11,30}", re.ASCII | re.IGNORECASE)
_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27,
    "BR": 29, "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28,
    "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23,
    "GL": 18, "GR": 27, "GT": 28, "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28,
    "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22,
    "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "SO": 23, "ST": 25,
    "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20, "YE": 30,
}  # fmt: skip
"""Characters of an account number by country, from the registry of SWIFT (release 99)."""


def _remainder(number: str) -> int:
    return int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97


class Iban:
    """Bank account numbers with their country's format; nothing else is needed to be sure."""

    kind = "iban"
    examples = (
        Example("DE89 3704 0044 0532 0130 00 thanks", "iban", (Span(0, 27),), "Germany, and a word after it"),
        Example("pay to GB82WEST12345698765432", "iban", (Span(7, 29),), "United Kingdom, without spaces"),
        Example("fr14 2004 1010 0505 0001 3m02 606", "iban", (Span(0, 33),), "France, small letters"),
        Example("DE89 3704 0044 0532 0130 01", "iban", (), "wrong check digits"),
        Example("XX12 3456 7890 1234 5678", "iban", (), "no such country"),
        Example("this is 12 ordinary words in a row here", "iban", (), "prose"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield account numbers."""
        del settings
        for match in _CANDIDATE.finditer(text):
            length = _LENGTHS.get(match.group()[:2].upper())
            if length is None:
                continue
            # The run may go on into the next words: the country says where the number ends.
            places = [i for i in range(match.start(), match.end()) if text[i].isalnum()][:length]
            number = "".join(text[i] for i in places).upper()
            if len(number) == length and _remainder(number) == 1 and iban.is_valid(number):
                yield Hit(match.start(), places[-1] + 1, 0.95, "country format and check digits")
