"""Ethereum addresses, by their form."""

import re
from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near

__all__ = ["Eth"]

_ETH = re.compile(r"(?<!\w)0x[0-9a-fA-F]{40}(?!\w)", re.ASCII)
_CONTEXT = frozenset({
    "eth", "ethereum", "wallet", "send", "usdt", "usdc", "erc20", "token", "metamask", "airdrop", "address",
})  # fmt: skip


class Eth:
    """Ethereum addresses: forty hexadecimal digits after 0x. Their checksum is optional, so the form decides."""

    kind = "eth"
    examples = (
        Example("0x52908400098527886E0F7030069857D2E4169EE7", "eth", (Span(0, 42),), "form"),
        Example("wallet 0xde709f2102306220921060314715629080e2fb77", "eth", (Span(7, 49),), "form and context"),
        Example("0xde709f2102306220921060314715629080e2fb7", "eth", (), "a digit short"),
        Example("0x0000000000000000000000000000000000000000", "eth", (), "the null address"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield addresses."""
        del settings
        for match in _ETH.finditer(text):
            if len(set(match.group()[2:])) > 1:
                yield Hit(*match.span(), 0.95 if near(_CONTEXT, text, *match.span()) else 0.8, "form")
