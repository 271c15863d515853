"""Internet addresses, version 4 and 6."""

import ipaddress
import re
from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near

__all__ = ["Ip"]

_V4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w])(?!\.\d)", re.ASCII)
_V6 = re.compile(r"(?<![\w:.])(?=[0-9a-fA-F:]*:[0-9a-fA-F:]*:)[0-9a-fA-F:]{3,39}(?:%\w{1,16})?(?![\w:])", re.ASCII)
_CONTEXT = frozenset(
    {"ip", "ipv4", "ipv6", "address", "server", "host", "ping", "connect", "join", "lives", "doxx", "dox"}
)
_VERSION = frozenset({"version", "ver", "v", "release", "build", "patch", "update", "firmware", "chapter", "section"})


class Ip:
    """Addresses that routers would accept. Version numbers look the same, so a word nearby may settle it."""

    kind = "ip"
    examples = (
        Example("his ip is 93.184.216.34 lol", "ip", (Span(10, 23),), "public address and a context word"),
        Example("2606:2800:220:1:248:1893:25c8:1946", "ip", (Span(0, 34),), "version 6"),
        Example("connect to 8.8.8.8:53", "ip", (Span(11, 18),), "with a port"),
        Example("version 1.2.3.4 is out", "ip", (), "a version number"),
        Example("999.1.1.1", "ip", (), "no address"),
        Example("it is 10:30:00", "ip", (), "a time"),
        Example("std::vector", "ip", (), "program text"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield addresses."""
        del settings
        if text.count(".") >= 3:  # noqa: PLR2004  # four numbers have three dots
            for match in _V4.finditer(text):
                yield from self._judge(text, match, 0.6)
        if text.count(":") >= 2:  # noqa: PLR2004  # the shortest address is ::
            for match in _V6.finditer(text):
                if "::" not in match.group() and match.group().count(":") != 7:  # noqa: PLR2004  # eight groups
                    continue
                yield from self._judge(text, match, 0.85 if len(match.group()) > 8 else 0.4)  # noqa: PLR2004

    @staticmethod
    def _judge(text: str, match: re.Match[str], score: float) -> Iterator[Hit]:
        try:
            address = ipaddress.ip_address(match.group().partition("%")[0])
        except ValueError:
            return
        start, end = match.span()
        why = "public address" if address.is_global else "private or reserved address"
        if not address.is_global:
            score -= 0.25
        if near(_VERSION, text, start, end, 16):
            score, why = score - 0.4, f"{why}, perhaps a version"
        elif near(_CONTEXT, text, start, end):
            score, why = min(1.0, score + 0.3), f"{why}, context word"
        if score > 0:
            yield Hit(start, end, score, why)
