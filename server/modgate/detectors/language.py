"""The language of a text, by py3langid: a naive Bayes model over byte sequences, tens of microseconds a line."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from modgate.detectors.base import Example, Finding, Report, Subject, Tier
from modgate.detectors.questions import LanguageQuestion

__all__ = ["LanguageDetector", "LanguageInspector"]

_USUAL = frozenset({
    "ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he",
    "hi", "hr", "hu", "id", "it", "ja", "ko", "lt", "lv", "ms", "nl", "no", "pl", "pt", "ro",
    "ru", "sk", "sl", "sr", "sv", "sw", "ta", "th", "tl", "tr", "uk", "ur", "vi", "zh",
})  # fmt: skip
"""Languages that are told apart besides those that rules name: with all 140, short lines find odd homes."""
_LEAST_LETTERS = 4
_CLEAR = 0.5
"""Probability of the first language below which a text might be anything."""
_LOOKED_AT = 1000
"""Characters that decide; more change nothing but the time."""


@cache
def _known() -> frozenset[str]:
    """Return the languages of the model. Reads it: a second, and a hundred megabytes meanwhile."""
    return frozenset(LanguageIdentifier.from_model_file(MODEL_FILE).labels)


class LanguageInspector:
    """Tells the language of a message's text."""

    def __init__(self, questions: Sequence[LanguageQuestion]) -> None:
        self._questions = tuple(questions)
        named = frozenset(code for question in questions for code in question.codes)
        self._identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        self._identifier.set_languages(sorted((_USUAL | named) & _known()))

    def inspect(self, subject: Subject) -> Report:
        """Return a finding for each question that the language answers with yes; its score is how clear that is."""
        text = subject.message.text[:_LOOKED_AT]
        if sum(map(str.isalpha, text)) < _LEAST_LETTERS:
            return {}
        ranked = dict(self._identifier.rank(text))
        language, sure = next(iter(ranked.items()))
        report = {}
        for question in self._questions:
            if (language in question.codes) is question.negated:
                continue
            # Close relatives share what is certain of them: Russian beside Ukrainian is surely not English.
            share = sum(ranked.get(code, 0.0) for code in question.codes)
            score = sure if sure < _CLEAR else 1.0 - share if question.negated else share
            report[question.label] = (Finding(question.label, score, evidence=f"language {language}"),)
        return report


class LanguageDetector:
    """Languages by their ISO 639-1 codes. The model is read only if a rule asks."""

    name = "language"
    tier = Tier.CHEAP
    cost_us = 40.0
    examples = (
        Example("ich habe heute keine Zeit für das Spiel", "de", (), "German"),
        Example("anyone up for a game tonight?", "en", (), "English"),
        Example("gg", "", (), "too short to tell"),
        Example("😀😀😀", "", (), "no letters"),
    )

    def configure(self, questions: Sequence[LanguageQuestion]) -> LanguageInspector:
        """Return an inspector for these languages.

        Raises:
            ValueError: If a code is none that the model knows.
        """
        unknown = sorted({code for question in questions for code in question.codes} - _known())
        if unknown:
            raise ValueError(f'"{unknown[0]}" is no language that can be told; use ISO 639-1 codes such as en, de, pt')
        return LanguageInspector(questions)
