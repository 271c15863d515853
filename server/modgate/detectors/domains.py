"""Web domains that a text names, against lists: plain, disguised, internationalised."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from modgate.detectors.base import Example, Finding, Report, Span, Subject, Tier
from modgate.detectors.suffixes import public_suffixes
from modgate.detectors.visible import visible
from modgate.text.alphabet import CONFUSABLE, LATIN_BASE

__all__ = [
    "DomainDetector",
    "DomainInspector",
    "DomainQuestion",
    "Host",
    "fold_host",
    "hosts",
    "is_web_domain",
    "look_alike",
]

_DOTS = ".。．｡"
# Labels are possessive (`{0,62}+`): a word that no dot follows is given up at once, so long prose stays cheap.
_LABEL = r"[^\W_][\w-]{0,62}+"
_DISGUISED_DOT = r"(?:\s?[.。．｡]\s?|\s?[\[({<]\s?(?:[.。．｡]|dot)\s?[\])}>]\s?|\s{1,3}(?:dot|d0t)\s{1,3})"
_PLAIN = re.compile(
    rf"(?<![\w.-])(?P<scheme>(?:h[tx]{{2}}ps?|ftp|wss?)(?:://|\[:\]//|:\\\\)(?:[^\s/@]{{1,64}}@)?)?"
    rf"(?P<host>(?:{_LABEL}[{_DOTS}])+{_LABEL})[{_DOTS}]?(?P<rest>:\d{{1,5}}(?!\d))?(?P<path>[/?#]\S*)?",
    re.IGNORECASE,
)
_DISGUISED = re.compile(
    rf"(?<![\w.-])(?P<scheme>(?:h[tx]{{2}}ps?|ftp)\s?(?::|\[:\])\s?//\s?)?"
    rf"(?P<host>(?:{_LABEL}{_DISGUISED_DOT}){{1,4}}{_LABEL})(?P<path>[/?#]\S*)?",
    re.IGNORECASE,
)
_ANY_DOT = re.compile(r"[.。．｡]|\bd[o0]t\b", re.IGNORECASE)
_DISGUISE = re.compile(r"\s[.。．｡]|[.。．｡]\s+[^\W_]|[\[({<]\s?(?:[.。．｡]|dot)|\bd[o0]t\b|\[:", re.IGNORECASE)
_SPLIT_PLAIN = re.compile(f"[{_DOTS}]")
_SPLIT_DISGUISED = re.compile(_DISGUISED_DOT, re.IGNORECASE)
_STRONG = frozenset(
    {"com", "net", "org", "info", "biz", "xyz", "top", "shop", "online", "site", "club", "vip", "app", "ru"}
)
"""Endings that a disguised host must have to count as a domain when it is on no list."""
_AMBIGUOUS = frozenset({
    "am", "as", "at", "be", "by", "do", "go", "in", "is", "it", "la", "ma", "me", "mu", "my", "no", "pa", "so", "to",
    "us", "rs", "sh", "py", "md", "pl", "ps", "cc", "ml", "mov", "zip", "cs", "ai", "gg", "np", "tl", "id", "et", "om",
})  # fmt: skip
"""Endings that are also words or file types: `ok.so`, `main.py`; without scheme, www or path they are no domain."""


_LONGEST_HOST = 253
_MOST = 200
"""Addresses of one text that are looked at; a message with more is spam by any other measure."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host name in a text.

    Attributes:
        name: Folded: lower case, plain dots, Unicode rather than punycode.
        span: The whole address, with scheme and path.
        explicit: Whether scheme, `www` or a path mark it as an address.
        disguised: Whether dots or scheme were written so that programs overlook them.
        mail: Whether it is the host of an e-mail address.
    """

    name: str
    span: Span
    explicit: bool
    disguised: bool
    mail: bool = False


def fold_host(host: str) -> str:
    """Return the canonical form of a host name: compatibility forms folded, punycode decoded, lower case."""
    folded = unicodedata.normalize("NFKC", host).replace("。", ".").casefold().strip(".")
    if "xn--" not in folded:
        return folded
    labels = []
    for label in folded.split("."):
        if label.startswith("xn--"):
            with suppress(UnicodeError, ValueError):
                labels.append(label[4:].encode("ascii").decode("punycode"))
                continue
        labels.append(label)
    return ".".join(labels)


_TWINS = {**LATIN_BASE, **CONFUSABLE} | str.maketrans("01", "ol")


def look_alike(host: str) -> str:
    """Return what a folded host name looks like to people: twins of Latin letters, accents and 0, 1 read as o, l."""
    return host.translate(_TWINS)


def _without_punctuation(text: str, match: re.Match[str]) -> int:
    """Return where an address ends, less the punctuation of the sentence around it."""
    end = match.end()
    while end > match.end("host") and text[end - 1] in ".,;:!?)]}'\"»":
        end -= 1
    return end


def hosts(text: str) -> Iterator[Host]:
    """Yield everything in `text` that looks like a host name; most are checked against lists only."""
    if _ANY_DOT.search(text) is None:
        return
    taken = []
    for match in islice(_PLAIN.finditer(text), _MOST):
        scheme = match["scheme"] or ""
        name = fold_host(".".join(_SPLIT_PLAIN.split(match["host"])))
        taken.append(match.span())
        end = _without_punctuation(text, match)
        explicit = bool(scheme or match["path"] or name.startswith("www."))
        before = text[match.start("host") - 1] if match.start("host") else ""
        yield Host(name, Span(match.start(), end), explicit, "x" in scheme.lower(), mail=before == "@" and not scheme)
    if _DISGUISE.search(text) is None:
        return
    covered = iter(taken)
    low, high = next(covered, (len(text), len(text)))
    for match in islice(_DISGUISED.finditer(text), _MOST):
        while high < match.end() and high < len(text):
            low, high = next(covered, (len(text), len(text)))
        if low <= match.start() and match.end() <= high:
            continue  # a plain address, yielded already
        labels = _SPLIT_DISGUISED.split(match["host"])
        span = Span(match.start(), _without_punctuation(text, match))
        yield Host(fold_host(".".join(labels)), span, bool(match["scheme"]), disguised=True)


def _suffixes_of(name: str) -> Iterator[str]:
    """Yield `name` and every parent domain of it, from the longest that DNS allows."""
    name = name[-_LONGEST_HOST:]
    yield name
    while "." in name:
        name = name.partition(".")[2]
        yield name


def is_web_domain(host: Host) -> bool:
    """Whether a host that no list knows is meant as a web domain at all, rather than prose or a file name."""
    ending = host.name.rpartition(".")[2]
    if host.mail or ending not in public_suffixes():
        return False
    if host.explicit:
        return True
    return ending in _STRONG if host.disguised else ending not in _AMBIGUOUS


@dataclass(frozen=True, slots=True)
class DomainQuestion:
    """Whether a text names a domain that is listed (or, for `listed=False`, one that is not).

    Attributes:
        label: Label of the finding.
        entries: Domains; each covers its subdomains.
        listed: Which of the two is looked for.
    """

    label: str
    entries: tuple[str, ...]
    listed: bool = True


class DomainInspector:
    """Compares the hosts of a message with lists of domains."""

    def __init__(self, listed: Mapping[str, frozenset[str]], unlisted: Mapping[str, frozenset[str]]) -> None:
        self._listed = {
            label: (entries, {look_alike(entry): entry for entry in entries}) for label, entries in listed.items()
        }
        self._unlisted = unlisted

    def inspect(self, subject: Subject) -> Report:
        """Return findings by label of the question."""
        report: dict[str, list[Finding]] = {}
        for part, text in subject.parts.items():
            seen = visible(text)
            for host in hosts(seen.text):
                span = seen.original(*host.span)
                parents = tuple(_suffixes_of(host.name))
                for label, (entries, looks) in self._listed.items():
                    score, why = _listed(parents, entries, looks)
                    if score:
                        report.setdefault(label, []).append(Finding(label, score, (span,), part, why))
                if self._unlisted and is_web_domain(host):
                    for label, entries in self._unlisted.items():
                        if entries.isdisjoint(parents):
                            finding = Finding(label, 1.0, (span,), part, "domain that is not on the list")
                            report.setdefault(label, []).append(finding)
        return {label: tuple(findings) for label, findings in report.items()}


def _listed(parents: Sequence[str], entries: frozenset[str], looks: Mapping[str, str]) -> tuple[float, str]:
    """Return how sure it is that a host or one of its parents is listed, or looks like an entry; 0 for not at all."""
    for parent in parents:
        if parent in entries:
            return 1.0, f"domain {parent}"
    for parent in parents:
        twin = looks.get(look_alike(parent))
        if twin is not None:
            return 0.9, f"looks like the domain {twin}"
    return 0.0, ""


_ENTRY = re.compile(rf"(?:{_LABEL}\.)*{_LABEL}")


def _entry(entry: str) -> str:
    """Return a list's entry as a folded host name: without scheme, `*.` and slash."""
    return fold_host(re.sub(r"^(?:\w+://)?(?:\*\.)?", "", entry.strip()).rstrip("/"))


def refusal(entry: str) -> str:
    """Return why an entry is no domain, or nothing if it is one."""
    return "" if _ENTRY.fullmatch(_entry(entry)) else "it is not a domain; write e.g. evil.example"


class DomainDetector:
    """Domains in four modes: block listed ones, allow listed ones only, replace them, record them."""

    name = "domain"
    tier = Tier.CHEAP
    cost_us = 20.0
    examples = (
        Example("see https://evil.example/login now", "bad", (Span(4, 30),), "address of a listed domain"),
        Example("go to shop.evil.example", "bad", (Span(6, 23),), "subdomain"),
        Example("hxxp://evil.example", "bad", (Span(0, 19),), "disguised scheme"),
        Example("evil . example", "bad", (Span(0, 14),), "spaced dot"),
        Example("evil[.]example", "bad", (Span(0, 14),), "bracketed dot"),
        Example("evil dot example", "bad", (Span(0, 16),), "dot in words"),
        Example("еvіl.example", "bad", (Span(0, 12),), "Cyrillic twins of Latin letters"),
        Example("xn--vl-mlc7k.example", "bad", (Span(0, 20),), "the same in punycode"),
        Example("notevil.example", "bad", (), "another domain with the same ending"),
        Example("this example is evil.", "bad", (), "no host"),
    )

    def configure(self, questions: Sequence[DomainQuestion]) -> DomainInspector:
        """Return an inspector of all lists.

        Raises:
            ValueError: If an entry is no domain.
        """
        listed: dict[str, frozenset[str]] = {}
        unlisted: dict[str, frozenset[str]] = {}
        for question in questions:
            for entry in question.entries:
                if reason := refusal(entry):
                    raise ValueError(f'"{entry}" cannot be used: {reason}')
            (listed if question.listed else unlisted)[question.label] = frozenset(map(_entry, question.entries))
        return DomainInspector(listed, unlisted)
