"""Regular expressions in linear time: RE2, so that no pattern and no text can stall the gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import re2

from modgate.detectors.base import Example, Finding, Report, Span, Subject, Tier

__all__ = ["PatternDetector", "PatternInspector", "PatternQuestion", "refusal"]

_MAX_PROGRAM = 20_000
"""Instructions of one compiled expression; nested counts such as (a{500}){500} would fill the memory."""
_MAX_SPANS = 200
"""Spans reported of one expression; a mask of 200 places has made its point, the rest is one more span."""


def _options() -> Any:  # noqa: ANN401  # re2 ships no types
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    # Groups are not read, and without them RE2 finds bounds with its automaton alone: 50 times as fast at worst.
    options.never_capture = True
    return options


def refusal(expression: str) -> str:
    """Return why an expression cannot be used, or nothing if it can."""
    try:
        compiled = re2.compile(expression, _options())
    except re2.error as error:
        reason = error.args[0] if error.args else error
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        hint = (
            "; RE2 has no look-around and no back-references"
            if "invalid perl operator" in text or "escape" in text
            else ""
        )
        return f"{text}{hint}"
    if compiled.programsize > _MAX_PROGRAM:
        return f"it compiles to {compiled.programsize:,} instructions; the limit is {_MAX_PROGRAM:,}"
    if compiled.search("") is not None:
        return "it matches the empty text, and so every message"
    return ""


@dataclass(frozen=True, slots=True)
class PatternQuestion:
    """Whether any of some expressions matches; findings carry the label."""

    label: str
    expressions: tuple[str, ...]


class PatternInspector:
    """All expressions as one automaton; only those that match are run again for their spans."""

    def __init__(self, questions: Sequence[PatternQuestion]) -> None:
        self._set = re2.Set.SearchSet(_options())
        self._patterns: list[tuple[str, Any]] = []
        for question in questions:
            for expression in question.expressions:
                self._set.Add(expression)
                self._patterns.append((question.label, re2.compile(expression, _options())))
        self._set.Compile()

    def inspect(self, subject: Subject) -> Report:
        """Return findings with the spans of all matches, by label."""
        report: dict[str, tuple[Finding, ...]] = {}
        for part, text in subject.parts.items():
            for index in self._set.Match(text) or ():
                label, pattern = self._patterns[index]
                spans: list[Span] = []
                for match in pattern.finditer(text):
                    start, end = match.span()
                    if len(spans) == _MAX_SPANS:
                        spans.append(Span(start, len(text)))
                        break
                    if end > start:
                        spans.append(Span(start, end))
                finding = Finding(label, 1.0, tuple(spans), part, "pattern")
                report[label] = (*report.get(label, ()), finding)
        return report


class PatternDetector:
    """Patterns that operators write."""

    name = "pattern"
    tier = Tier.CHEAP
    cost_us = 15.0
    examples = (
        Example("get FREE skins here", "free-skins", (Span(4, 14),), r"(?i)\bfree\s+skins\b"),
        Example("free ski trip", "free-skins", (), "another word"),
    )

    def configure(self, questions: Sequence[PatternQuestion]) -> PatternInspector:
        """Return an inspector of all expressions.

        Raises:
            ValueError: If RE2 refuses one, with its reason.
        """
        for question in questions:
            for expression in question.expressions:
                reason = refusal(expression)
                if reason:
                    raise ValueError(f"the pattern {expression!r} cannot be used: {reason}")
        return PatternInspector(questions)
