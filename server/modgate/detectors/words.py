"""The keyword detector: every word list of a ruleset in one pass over each part of a message."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from modgate.detectors.base import Example, Finding, Report, Span, Subject
from modgate.detectors.words_index import Hit, Index, Term, plain_key
from modgate.text import fold, merge_spans

__all__ = ["EXAMPLES", "MatchMode", "WordList", "WordsInspector"]

_EVIDENCE_AT_MOST = 5


class MatchMode(StrEnum):
    """How an entry must stand in the text."""

    WORD = "word"
    """As whole words; in scripts that put no spaces between words, anywhere."""
    SUBSTRING = "substring"
    """Anywhere within a word."""


@dataclass(frozen=True, slots=True)
class WordList:
    """Words and phrases to look for.

    Attributes:
        name: The label of its findings.
        entries: Words and phrases; the words of a phrase may have any space or punctuation between them.
        match: How they must stand.
        obfuscation: Whether to undo what hides a word beyond case, width and invisible characters.
        allow: Phrases that cancel a hit inside them.
    """

    name: str
    entries: tuple[str, ...]
    match: MatchMode = MatchMode.WORD
    obfuscation: bool = True
    allow: tuple[str, ...] = ()


class WordsInspector:
    """Looks for the entries of all lists in every part of a message. Immutable: one serves any number of messages."""

    def __init__(self, index: Index, names: tuple[str, ...], *, guesses: bool) -> None:
        """Bind to a compiled index; use `compile`."""
        self._index = index
        self._names = names
        self._guesses = guesses

    @classmethod
    def compile(cls, lists: Sequence[WordList]) -> Self:
        """Build the automaton for `lists`: about 1 s of CPU for 100,000 entries, so run it off the event loop.

        Raises:
            ValueError: An entry holds nothing to look for, or two lists have one name.
        """
        names = tuple(words.name for words in lists)
        if len(set(names)) != len(names):
            raise ValueError("two word lists have the same name")
        index = Index(term for owner, words in enumerate(lists) for term in _terms(owner, words))
        return cls(index, names, guesses=any(words.obfuscation for words in lists))

    @staticmethod
    def examples() -> Sequence[Example]:
        """Return documented cases, for a list `profanity` of `fuck`, `shit` and `dick` that allows `dick van dyke`."""
        return EXAMPLES

    def inspect(self, subject: Subject) -> Report:
        """Return one finding per list and part in which the list has a hit."""
        findings: dict[str, list[Finding]] = defaultdict(list)
        for part, text in subject.parts.items():
            if text:
                for finding in self._look(part, text):
                    findings[finding.label].append(finding)
        return {label: tuple(found) for label, found in findings.items()}

    def _look(self, part: str, text: str) -> Iterator[Finding]:
        hits: dict[int, dict[Span, str]] = {}
        allowed: dict[int, list[Span]] = {}
        for step, hit in self._hits(text):
            term = hit.term
            span = hit.form.span(hit.start, hit.end)
            if term.allows:
                allowed.setdefault(term.owner, []).append(span)
            else:
                evidence = term.entry if step == "plain" else f"{term.entry} ({step})"
                hits.setdefault(term.owner, {}).setdefault(span, evidence)
        for owner, spans in hits.items():
            kept = _outside(spans, allowed.get(owner, ()))
            if kept:
                entries = list(dict.fromkeys(kept.values()))
                more = ", ..." if len(entries) > _EVIDENCE_AT_MOST else ""
                yield Finding(
                    label=self._names[owner],
                    spans=merge_spans(kept),
                    part=part,
                    evidence=", ".join(entries[:_EVIDENCE_AT_MOST]) + more,
                )

    def _hits(self, text: str) -> Iterator[tuple[str, Hit]]:
        folded = fold(text)
        if not self._guesses:
            for hit in self._index.search(folded.certain()):
                yield "plain", hit
            return
        for form in folded.forms():
            search = self._index.search_censored if form.step == "censored" else self._index.search
            for hit in search(form):
                yield form.step, hit


def _terms(owner: int, words: WordList) -> Iterator[Term]:
    whole = words.match is MatchMode.WORD
    for allows, entries in ((False, words.entries), (True, words.allow)):
        for entry in dict.fromkeys(entries):
            key = plain_key(entry)
            if not key:
                raise ValueError(f"list {words.name!r}: the entry {entry!r} holds nothing to look for; remove it")
            yield Term(owner, entry, key, whole=whole, guesses=words.obfuscation, allows=allows)


def _outside(spans: dict[Span, str], allowed: Iterable[Span]) -> dict[Span, str]:
    """Return the spans that no allowed phrase covers."""
    covers = merge_spans(allowed)
    if not covers:
        return spans
    return {
        span: entry
        for span, entry in spans.items()
        if not any(cover.start <= span.start and span.end <= cover.end for cover in covers)
    }


EXAMPLES = (
    Example("well fuck that", "profanity", (Span(5, 9),), "a listed word"),
    Example("F.U.C.K this", "profanity", (Span(0, 7),), "separators between letters"),
    Example("f\u03c5ck", "profanity", (Span(0, 4),), "a Greek letter that looks like a Latin one"),
    Example("f\u200buck", "profanity", (Span(0, 5),), "a zero-width space inside"),
    Example("what a sh1tshow, sh1t", "profanity", (Span(17, 21),), "leet, and whole words only"),
    Example("fuuuuck", "profanity", (Span(0, 7),), "stretched letters"),
    Example("oh f*ck off", "profanity", (Span(3, 7),), "an asterisk for a vowel"),
    Example("Dick Van Dyke and Scunthorpe", "profanity", (), "an allowed phrase, and a word that only contains one"),
)
