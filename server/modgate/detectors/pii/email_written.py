"""E-mail addresses in words: `john at mail dot com`, `jane (at) example (dot) org`, `joe AT gmail`."""

import re
from collections.abc import Iterator

from modgate.detectors.base import Example, Span
from modgate.detectors.pii.base import Hit, Settings, near
from modgate.detectors.suffixes import public_suffixes

__all__ = ["WrittenEmail"]

_OPEN, _CLOSE = r"[\[({<*_]", r"[\])}>*_]"
_MARKED_AT = rf"\s{{0,3}}{_OPEN}\s{{0,2}}(?:at|@|arroba|a t)\s{{0,2}}{_CLOSE}\s{{0,3}}"
_PLAIN_AT = r"\s{1,3}(?:at|@|arroba)\s{1,3}|\s?@\s?"
_DOT = (
    rf"(?:\s{{0,3}}{_OPEN}\s{{0,2}}(?:dot|\.|punto|d0t)\s{{0,2}}{_CLOSE}\s{{0,3}}"
    r"|\s{1,3}(?:dot|d0t|punto)\s{1,3}|\s?\.\s?)"
)
_ADDRESS = re.compile(
    rf"(?<![\w.@-])(?P<local>\w[\w.+-]{{0,40}}+(?:{_DOT}\w{{1,40}})?)(?:(?P<marked>{_MARKED_AT})|(?P<at>{_PLAIN_AT}))"
    rf"(?P<host>\w[\w-]{{0,40}}+)(?P<dots>(?:{_DOT}[^\W\d_]{{2,12}}){{0,2}})(?!\w)",
    re.IGNORECASE,
)
_SIGNAL = re.compile(r"\b(?:at|arroba)\b|[\[({<*_]\s?(?:at|@)|\s@|@\s", re.IGNORECASE)
_ENDING = re.compile(r"\.|d[o0]t|punto|gmail|googlemail|hotmail|protonmail|icloud", re.IGNORECASE)
_DOT_IN_WORDS = re.compile(r"dot|d0t|punto|[\[({<*_]")
_PROVIDERS = frozenset({
    "gmail", "googlemail", "yahoo", "hotmail", "outlook", "icloud", "protonmail", "proton", "aol", "gmx", "yandex",
    "mail", "live", "msn", "zoho", "qq", "163", "web", "me", "tutanota",
})  # fmt: skip
_BARE_PROVIDERS = frozenset({"gmail", "googlemail", "hotmail", "protonmail", "icloud"})
_NO_NAME = frozenset({
    "look", "me", "meet", "am", "is", "are", "was", "be", "it", "that", "this", "them", "him", "her", "us", "you",
    "work", "works", "buy", "shop", "find", "here", "there", "sold", "sale", "available", "store", "good", "bad",
    "not", "live", "out", "up", "now", "stream", "check", "visit", "stuff", "deals", "thing", "things", "prices",
    "order", "ordered",
})  # fmt: skip
_CONTEXT = frozenset(
    {"email", "e-mail", "mail", "gmail", "contact", "write", "reach", "address", "inbox", "hit", "message", "msg"}
)


class WrittenEmail:
    """E-mail addresses whose signs are written as words. Shops are found `at amazon dot com`, too, so names decide."""

    kind = "email"
    examples = (
        Example("john at mail dot com", "email", (Span(0, 20),), "a mail provider in words"),
        Example("jane.doe (at) example (dot) org", "email", (Span(0, 31),), "brackets"),
        Example("email me: joe [at] corp dot net", "email", (Span(10, 31),), "brackets and words"),
        Example("joe at gmail", "email", (Span(0, 12),), "a provider that needs no ending"),
        Example("look at amazon dot com", "email", (), "a shop"),
        Example("meet me at the dot", "email", (), "prose"),
        Example("I work at google. Come by", "email", (), "the end of a sentence"),
    )

    def find(self, text: str, settings: Settings) -> Iterator[Hit]:
        """Yield written-out addresses; a text without `at` costs one look."""
        del settings
        if _SIGNAL.search(text) is None or _ENDING.search(text) is None:
            return
        for match in _ADDRESS.finditer(text):
            score, why = _score(text, match)
            if score:
                yield Hit(*match.span(), score, why)


def _score(text: str, match: re.Match[str]) -> tuple[float, str]:
    """Return how sure it is that this is an address, 0 for not at all, and why."""
    host, dots = match["host"].lower(), match["dots"].lower()
    marked = match["marked"] is not None
    if not marked and match["local"].lower() in _NO_NAME:
        return 0.0, "no name"
    if not dots:
        return (0.0 if host not in _BARE_PROVIDERS else 0.8 if marked else 0.55), "name and provider"
    if re.split(r"[^\w]+|\bdot\b|_", dots)[-1] not in public_suffixes():
        return 0.0, "no such ending"
    if marked:
        return 0.85, "address with marked signs"
    in_words = _DOT_IN_WORDS.search(dots) is not None
    if host in _PROVIDERS and (in_words or host in _BARE_PROVIDERS):
        return 0.8, "name, provider and ending in words"
    context = near(_CONTEXT, text, *match.span())
    return (0.65 if context else 0.35) if in_words else 0.0, "name and host in words"
