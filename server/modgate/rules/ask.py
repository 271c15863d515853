"""What each condition asks of which detector, and what its leaf must find for the condition to be true."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from modgate.detectors.base import Detector
from modgate.detectors.domains import DomainQuestion
from modgate.detectors.domains import refusal as domain_refusal
from modgate.detectors.flood import FloodQuestion, Measure
from modgate.detectors.patterns import PatternQuestion
from modgate.detectors.patterns import refusal as pattern_refusal
from modgate.detectors.pii import PiiQuestion
from modgate.detectors.pii import Settings as PiiSettings
from modgate.detectors.questions import ALIKE, LanguageQuestion, PictureList, SentenceList
from modgate.detectors.words import MatchMode, WordList
from modgate.rules.advice import did_you_mean
from modgate.rules.conditions import (
    Condition,
    DomainCondition,
    FloodCondition,
    ImageCondition,
    KnownPictureCondition,
    LanguageCondition,
    PatternCondition,
    PiiCondition,
    SentimentCondition,
    SimilarCondition,
    TextCondition,
    WordsCondition,
)
from modgate.rules.load import Document
from modgate.rules.schema import ListKind
from modgate.rules.values import write_duration
from modgate.rules.yaml_source import Loc

__all__ = ["Ask", "Asked", "Unanswerable"]

_MISSING = {
    "text": 'this server has no text classifier; fetch one with "modgate models fetch"',
    "sentiment": 'this server has no sentiment model; fetch one with "modgate models fetch"',
    "similar": 'this server has no sentence model; fetch one with "modgate models fetch"',
    "image": 'this server has no image models; fetch them with "modgate models fetch"',
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A leaf in the making: its detector, the questions to configure, and the labels that make it true."""

    detector: str
    questions: tuple[object, ...]
    labels: tuple[str, ...]
    at_least: float
    text: str


class Unanswerable(Exception):  # noqa: N818  # not every one is an error: optional rules are left out
    """A condition asks what this server cannot answer.

    Attributes:
        loc: Where inside the condition.
        cause: What is wrong.
        example: What to write instead.
        missing: Whether a detector or label is missing here, rather than the rule being wrong everywhere.
    """

    def __init__(self, loc: Loc, cause: str, example: str = "", *, missing: bool = False) -> None:
        super().__init__(cause)
        self.loc = loc
        self.cause = cause
        self.example = example
        self.missing = missing


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _measure(flood: FloodCondition) -> tuple[Measure, float]:
    for measure in Measure:
        value = getattr(flood, measure.value)
        if value is not None:
            return measure, float(value)
    raise AssertionError("validation lets no flood condition without a measure pass")


class Ask:
    """Translates the conditions of one document."""

    def __init__(self, document: Document, detectors: Mapping[str, Detector[Any]]) -> None:
        self._document = document
        self._detectors = detectors
        self._refused: dict[str, list[tuple[str, str]]] = {}
        self._settings = PiiSettings(phone_regions=document.model.pii.phone_regions)

    def about(self, condition: Condition) -> tuple[str, Asked]:
        """Return the key of a question in the rule file, and what it asks.

        Raises:
            Unanswerable: If there is no such list, label, kind or detector.
        """
        key = next(name for name in type(condition).model_fields if getattr(condition, name) is not None)
        asked: Asked = getattr(self, f"_{key}")(getattr(condition, key))
        if asked.detector not in self._detectors:
            cause = _MISSING.get(asked.detector, f"this server has no detector {asked.detector}")
            raise Unanswerable((key,), cause, missing=True)
        return key, asked

    def _list(self, key: str, name: str, kind: ListKind, loc: Loc) -> tuple[str, ...]:
        lists = self._document.model.lists
        of_kind = [n for n, item in lists.items() if item.kind is kind]
        if name not in lists:
            raise Unanswerable(loc, f'there is no list "{name}"', did_you_mean(name, of_kind))
        if lists[name].kind is not kind:
            cause = f'"{name}" is a list of {lists[name].kind}; {key} needs one of {kind}'
            raise Unanswerable(loc, cause, did_you_mean(name, of_kind))
        return self._document.entries[name]

    def _label(self, detector: str, label: str, at_least: float | Literal["strict"] | None) -> float:
        """Return the threshold of a model's label, after checking that there is such a label."""
        if detector not in self._detectors:
            raise Unanswerable((detector,), _MISSING[detector], missing=True)
        # Detectors tell their labels with default thresholds, or the names alone; those that tell nothing check later.
        known: Mapping[str, float | None] | frozenset[str] | None = getattr(self._detectors[detector], "labels", None)
        if known is not None and label not in known:
            needed = getattr(self._detectors[detector], "needed", None)
            cause = needed(label) if needed else f'no {detector} model of this server has the label "{label}"'
            raise Unanswerable((detector, "label"), cause, did_you_mean(label, sorted(known)), missing=True)
        default = known.get(label) if isinstance(known, Mapping) else None
        if at_least == "strict":
            strict: Mapping[str, float | None] = getattr(self._detectors[detector], "strict", {})
            threshold = strict.get(label, default)
        else:
            threshold = at_least if at_least is not None else default
        if threshold is None:
            cause = f'the label "{label}" has no default threshold'
            raise Unanswerable((detector,), cause, f"write e.g. {detector}: {{label: {label}, at_least: 0.8}}")
        return threshold

    def _words(self, model: WordsCondition) -> Asked:
        entries = self._list("words", model.list, ListKind.WORDS, ("words", "list"))
        item = self._document.model.lists[model.list]
        question = WordList(model.list, entries, MatchMode(item.match), item.obfuscation, item.allow)
        return Asked("words", (question,), (model.list,), 0.0, f"words {model.list}")

    def _checked(self, loc: Loc, name: str, entries: tuple[str, ...], refusal: Callable[[str], str]) -> None:
        """Refuse a list with entries that its detector cannot use, the first of them named."""
        if name not in self._refused:
            reasons = ((entry, refusal(entry)) for entry in entries)
            self._refused[name] = [(entry, reason) for entry, reason in reasons if reason]
        refused = self._refused[name]
        if refused:
            entry, reason = refused[0]
            more = f" (and {len(refused) - 1} more entries)" if len(refused) > 1 else ""
            raise Unanswerable(loc, f'"{entry}" of the list "{name}" cannot be used{more}: {reason}')

    def _pattern(self, model: PatternCondition) -> Asked:
        if model.list is not None:
            loc = ("pattern", "list")
            entries = self._list("pattern", model.list, ListKind.PATTERNS, loc)
            self._checked(loc, model.list, entries, pattern_refusal)
            return Asked(
                "pattern", (PatternQuestion(model.list, entries),), (model.list,), 0.0, f"pattern {model.list}"
            )
        regex = model.regex or ""
        reason = pattern_refusal(regex)
        if reason:
            raise Unanswerable(("pattern", "regex"), f'the pattern "{regex}" cannot be used: {reason}')
        label = f"regex:{_short(regex)}"
        return Asked("pattern", (PatternQuestion(label, (regex,)),), (label,), 0.0, f"pattern {regex}")

    def _text(self, model: TextCondition) -> Asked:
        at_least = self._label("text", model.label, model.at_least)
        return Asked("text", (model.label,), (model.label,), at_least, f"text {model.label} >= {at_least:g}")

    def _image(self, model: ImageCondition) -> Asked:
        at_least = self._label("image", model.label, model.at_least)
        return Asked("image", (model.label,), (model.label,), at_least, f"image {model.label} >= {at_least:g}")

    def _known_picture(self, model: KnownPictureCondition) -> Asked:
        entries = self._list("known_picture", model.list, ListKind.PICTURES, ("known_picture", "list"))
        # Lists may be asked for at several distances; each is a question of its own.
        label = model.list if model.within == ALIKE else f"{model.list}:{model.within}"
        question = PictureList(label, entries, model.within)
        return Asked("known_picture", (question,), (label,), 0.0, f"known picture {model.list}")

    def _sentiment(self, model: SentimentCondition) -> Asked:
        label = "negative" if model.negative is not None else "positive"
        at_least = self._label("sentiment", label, getattr(model, label))
        return Asked("sentiment", (label,), (label,), at_least, f"sentiment {label} >= {at_least:g}")

    def _similar(self, model: SimilarCondition) -> Asked:
        entries = self._list("similar", model.to, ListKind.SENTENCES, ("similar", "to"))
        text = f"similar to {model.to} >= {model.at_least:g}"
        return Asked("similar", (SentenceList(model.to, entries),), (model.to,), model.at_least, text)

    def _pii(self, model: PiiCondition) -> Asked:
        known = getattr(self._detectors.get("pii"), "labels", {})
        for index, kind in enumerate(model.kinds):
            if known and kind not in known:
                cause = f'"{kind}" is not a kind of personal detail'
                raise Unanswerable(("pii", index), cause, did_you_mean(kind, list(known)))
        questions = tuple(PiiQuestion(kind, self._settings) for kind in model.kinds)
        return Asked("pii", questions, model.kinds, model.at_least, f"pii {', '.join(model.kinds)}")

    def _domain(self, model: DomainCondition) -> Asked:
        entries = self._list("domain", model.list, ListKind.DOMAINS, ("domain", "list"))
        self._checked(("domain", "list"), model.list, entries, domain_refusal)
        listed = model.mode == "listed"
        label = model.list if listed else f"not_listed:{model.list}"
        text = f"domain {'on' if listed else 'not on'} {model.list}"
        return Asked("domain", (DomainQuestion(label, entries, listed),), (label,), 0.0, text)

    def _flood(self, model: FloodCondition) -> Asked:
        measure, threshold = _measure(model)
        window = model.within.total_seconds() if model.within else 0.0
        text = f"flood {measure} >= {threshold:g}" + (f" within {write_duration(model.within)}" if model.within else "")
        label = f"flood:{_short(f'{measure} {threshold} {window} {model.per} {model.min_length}')}"
        question = FloodQuestion(label, measure, threshold, window, model.per == "conversation", model.min_length)
        return Asked("flood", (question,), (label,), 0.0, text)

    def _language(self, model: LanguageCondition) -> Asked:
        negated = bool(model.not_in)
        codes = model.not_in if negated else model.in_
        written = f"{'not in' if negated else 'in'} {', '.join(codes)}"
        label = f"{'not_in' if negated else 'in'}:{','.join(codes)}"
        return Asked(
            "language", (LanguageQuestion(label, codes, negated),), (label,), model.at_least, f"language {written}"
        )
