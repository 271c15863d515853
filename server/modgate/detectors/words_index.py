"""What all word lists of a ruleset compile to: automata over the words of a message, and an index for hidden letters.

pyahocorasick is not thread safe while an automaton is changed: it is built here in one go, never changed afterwards and
never pickled, and it is read under the interpreter's lock only.
"""

import re
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import ahocorasick

from modgate.text import Canonical, Form, fold, squeeze, words_of
from modgate.text.alphabet import SEPARATORS, UNSPACED
from modgate.text.steps import censored_words, hide_vowels, uncensors

__all__ = ["Hit", "Index", "Term", "plain_key"]

_SOFT = frozenset(" \t\r\n-'’./,:;&")
"""What may stand between the words of an entry without meaning anything; other signs are looked for as they are."""
_HANGUL = re.compile("[\uac00-\ud7a3]")
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc]")
_LETTERS_TO_CENSOR = 4
_CENSORED_AT_MOST = 256
"""Censored words that are looked up per form, so that a text of nothing else costs no more than its length."""


@dataclass(frozen=True, slots=True)
class Term:
    """One entry or allowed phrase of one list.

    Attributes:
        owner: The list's position in the ruleset.
        entry: As the list has it.
        key: Its words in plain form.
        whole: Whether it must stand as whole words.
        guesses: Whether it is also looked for in guessed forms.
        allows: Whether it cancels hits inside it instead of being one.
    """

    owner: int
    entry: str
    key: str
    whole: bool
    guesses: bool
    allows: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A term found at `start` to `end` of a canonical form."""

    term: Term
    form: Canonical
    start: int
    end: int


_SHARD = 8_000
"""Keys of one automaton. Linking one is a single call that holds the interpreter, and so is freeing it: with 100,000
keys at once, every message in flight would wait a quarter of a second for a reload."""


_Shard = tuple[Any, list[tuple[int, tuple[Term, ...]]]]


class _Automaton:
    """Finds keys in text; each key leads to the terms that share it. In shards, so that none takes long to build."""

    __slots__ = ("shards",)

    def __init__(self, terms_by_key: dict[str, list[Term]]) -> None:
        self.shards: list[_Shard] = []
        items = iter(terms_by_key.items())
        while shard := list(islice(items, _SHARD)):
            automaton = ahocorasick.Automaton(ahocorasick.STORE_INTS)
            for value, (key, _) in enumerate(shard):
                automaton.add_word(key, value)
            automaton.make_automaton()
            self.shards.append((automaton, [(len(key), tuple(terms)) for key, terms in shard]))

    def find(self, text: str) -> Iterator[tuple[int, int, tuple[Term, ...]]]:
        """Yield start, end and terms of every occurrence, overlapping ones too."""
        for automaton, terms in self.shards:
            for last, value in automaton.iter(text):
                length, found = terms[value]
                yield last + 1 - length, last + 1, found


class Index:
    """Every term of a ruleset, ready to be looked for. Immutable."""

    def __init__(self, terms: Iterable[Term]) -> None:
        words: dict[str, list[Term]] = defaultdict(list)
        symbols: dict[str, list[Term]] = defaultdict(list)
        doubled: dict[str, list[Term]] = defaultdict(list)
        by_consonants: dict[str, list[Term]] = defaultdict(list)
        by_ends: dict[tuple[str, str, int], list[Term]] = defaultdict(list)
        for term in terms:
            if _has_symbols(term.key):
                symbols[term.key].append(term)
                continue
            words[_bounded(term)].append(term)
            if not term.guesses:
                continue
            short = squeeze(term.key)
            if short != term.key:
                doubled[_bounded(term).replace(term.key, short)].append(term)
            if not term.allows and len(term.key) >= _LETTERS_TO_CENSOR and term.key.isalpha():
                by_consonants[hide_vowels(term.key)].append(term)
                by_ends[term.key[0], term.key[-1], len(term.key)].append(term)
        self._by_consonants = {key: tuple(found) for key, found in by_consonants.items()}
        self._by_ends = {key: tuple(found) for key, found in by_ends.items()}
        self._words = _Automaton(words)
        self._symbols = _Automaton(symbols)
        self._doubled = _Automaton(doubled)

    def __del__(self) -> None:
        """Have a large index freed piece by piece: in one go, it would hold the interpreter as long as linking it."""
        if not hasattr(self, "_doubled") or len(self._words.shards) < 2:  # noqa: PLR2004  # one piece is freed as fast at once
            return  # refused while it was built, or small
        # Too late for threads when the interpreter ends, and no longer of interest to anyone.
        with suppress(RuntimeError):
            pieces = (self._words.shards, self._doubled.shards, self._by_consonants, self._by_ends)
            threading.Thread(target=_free, args=pieces, name="modgate-free", daemon=True).start()

    def search(self, form: Form) -> Iterator[Hit]:
        """Yield what is found in one canonical form of a text."""
        plain = form.step == "plain"
        stretched = form.step == "stretching"
        words = words_of(form.canonical)
        for start, _, terms in self._words.find(words.text):
            for term in terms:
                if not plain and not (term.guesses and len(term.key) >= form.least):
                    continue
                first = start if words.text[start] != " " else start + 1
                last = first + len(term.key)
                if _stands(term, words.text, first, last) and not (
                    stretched and not _same_runs(term.key, words, first, last)
                ):
                    yield Hit(term, words, first, last)
        if stretched:
            yield from self._search_doubled(words, form.least)
        if plain:
            yield from self._search_symbols(form.canonical)

    def _search_doubled(self, words: Canonical, least: int) -> Iterator[Hit]:
        for start, end, terms in self._doubled.find(words.text):
            for term in terms:
                first = start if words.text[start] != " " else start + 1
                last = end if words.text[end - 1] != " " else end - 1
                if len(term.key) >= least and _same_runs(term.key, words, first, last):
                    yield Hit(term, words, first, last)

    def _search_symbols(self, canonical: Canonical) -> Iterator[Hit]:
        text = canonical.text
        for start, end, terms in self._symbols.find(text):
            for term in terms:
                inside = (start and text[start].isalnum() and text[start - 1].isalnum()) or (
                    end < len(text) and text[end - 1].isalnum() and text[end].isalnum()
                )
                if not (term.whole and inside):
                    yield Hit(term, canonical, start, end)

    def search_censored(self, form: Form) -> Iterator[Hit]:
        """Yield the terms that words with hidden letters stand for."""
        canonical = form.canonical
        budget = _CENSORED_AT_MOST
        for match in censored_words(canonical.text):
            word = match[0]
            terms = self._by_consonants.get(hide_vowels(word), ())
            if not terms and "*" in word:
                terms = self._by_ends.get((word[0], word[-1], len(word)), ())
            for term in terms:
                if uncensors(term.key, word):
                    yield Hit(term, canonical, *match.span())
            budget -= 1
            if not budget:
                return


def _free(*pieces: list[_Shard] | dict[str, list[Term]] | dict[tuple[str, str, int], list[Term]]) -> None:
    """Empty containers that nobody else has, entry by entry, so that other threads run in between."""
    for piece in pieces:
        while piece:
            if isinstance(piece, dict):
                piece.popitem()
            else:
                terms = piece.pop()[1]
                while terms:
                    terms.pop()


def _has_symbols(text: str) -> bool:
    return not text.isalpha() and any(not _SOFT.issuperset(signs) for signs in SEPARATORS.findall(text))


def _bounded(term: Term) -> str:
    """Return the key with a space on each side that must end a word.

    Scripts without spaces between words have no such side. Korean words carry endings, so that they are bounded on
    the left only.
    """
    if not term.whole:
        return term.key
    if term.key.isascii():
        return f" {term.key} "
    left = "" if UNSPACED.match(term.key[0]) else " "
    right = "" if UNSPACED.match(term.key[-1]) or _HANGUL.match(term.key[-1]) else " "
    return left + term.key + right


def _stands(term: Term, text: str, start: int, end: int) -> bool:
    """Tell whether a word in Katakana is not a part of a longer one: loan words are long and hold many others."""
    if not term.whole or not _KATAKANA.match(text[start]):
        return True
    return not (start and _KATAKANA.match(text[start - 1])) and not (end < len(text) and _KATAKANA.match(text[end]))


def _same_runs(key: str, words: Canonical, start: int, end: int) -> bool:
    """Tell whether what became `start` to `end` of squeezed words is `key` with letters repeated thrice or more."""
    squeezed = words.parent
    if squeezed is None or squeezed.parent is None:
        return False
    first, last = squeezed.parent_range(*words.parent_range(start, end))
    typed = " ".join(words_of(Canonical(squeezed.parent.text[first:last])).text.split())
    runs = [(letter, len(list(run))) for letter, run in groupby(typed)]
    wanted = [(letter, len(list(run))) for letter, run in groupby(key)]
    return len(runs) == len(wanted) and all(
        letter == other and (length == least or length >= max(3, least))
        for (letter, length), (other, least) in zip(runs, wanted, strict=True)
    )


def plain_key(entry: str) -> str:
    """Return what an entry is looked for as: its plain form, or only the words of it if it holds no symbols."""
    if entry.isascii() and entry.isalpha():
        lower = entry.lower()  # most of a list of 100,000: this way saves half of the time to compile it
        return entry if entry == lower else lower
    plain = fold(entry).plain
    return plain.text.strip() if _has_symbols(plain.text) else words_of(plain).text.strip()
