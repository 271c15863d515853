"""Bitcoin addresses, with their checksums."""

import re
from collections.abc import Iterator

from stdnum import bitcoin

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings

__all__ = ["Btc"]

_BASE58 = re.compile(r"(?<!\w)[13][1-9A-HJ-NP-Za-km-z]{25,34}(?!\w)", re.ASCII)
_BECH32 = re.compile(r"(?<!\w)(?:bc1[02-9ac-hj-np-z]{11,71}|BC1[02-9AC-HJ-NP-Z]{11,71})(?!\w)", re.ASCII)
_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKS = (1, 0x2BC830A3)
"""Final values of BIP 173 (witness version 0) and BIP 350 (later versions, as in taproot)."""


def _segwit_checks(address: str) -> bool:
    prefix, _, data = address.lower().rpartition("1")
    check = 1
    for value in [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix), *map(_ALPHABET.index, data)]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            check ^= generator if top >> bit & 1 else 0
    return check in _CHECKS


class Btc:
    """Bitcoin addresses of all generations; the checksum leaves no doubt."""

    kind = "btc"
    examples = (
        Example("send to 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", "btc", (Span(8, 42),), "base58"),
        Example("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "btc", (Span(0, 42),), "segregated witness"),
        Example("bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr", "btc", (Span(0, 62),), "taproot"),
        Example("1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", "btc", (), "wrong checksum"),
        Example("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdd", "btc", (), "wrong checksum"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield addresses with a right checksum."""
        del settings
        for match in _BASE58.finditer(text):
            if bitcoin.is_valid(match.group()):
                yield Hit(*match.span(), 1.0, "checksum")
        for match in _BECH32.finditer(text):
            if _segwit_checks(match.group()):
                yield Hit(*match.span(), 1.0, "checksum")
