"""Web addresses: anything with a scheme, `www`, a path or an unmistakable ending."""

from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.domains import hosts, is_web_domain
from modgate.detectors.pii.base import Hit, Settings

__all__ = ["Url"]


class Url:
    """Web addresses, plain and disguised."""

    kind = "url"
    examples = (
        Example("see https://example.com/a?b=1.", "url", (Span(4, 29),), "scheme, path, and the full stop left alone"),
        Example("www.example.org", "url", (Span(0, 15),), "www"),
        Example("join discord.gg/abc", "url", (Span(5, 19),), "path"),
        Example("buy at shop . com", "url", (Span(7, 17),), "disguised dot"),
        Example("I like it.is that ok", "url", (), "a missing space"),
        Example("main.py and notes.md", "url", (), "file names"),
        Example("jane@example.com", "url", (), "an e-mail address"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield addresses; a text without dots costs one look."""
        del settings
        for host in hosts(text):
            if is_web_domain(host):
                score = 0.95 if host.explicit and not host.disguised else 0.7
                yield Hit(
                    host.span.start, host.span.end, score, "address" if not host.disguised else "disguised address"
                )
