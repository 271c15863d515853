"""How likely a text is in a language that a model does not read, in some 40 us, by py3langid."""

from collections.abc import Iterable
from typing import Any

from py3langid.langid import MODEL_FILE, LanguageIdentifier

__all__ = ["ForeignShare"]

_LEAST_LETTERS = 4
_LOOKED_AT = 500
"""Characters that decide; more change nothing but the time."""


class ForeignShare:
    """Tells the languages of one model from those of another.

    No other languages than these are told apart: among all 140 that py3langid knows, short lines of slang find odd
    homes (docs/decisions/languages.md).
    """

    def __init__(self, own: Iterable[str], others: Iterable[str]) -> None:
        """Read the naive Bayes model. Takes a second and a hundred megabytes meanwhile; not for the event loop.

        Args:
            own: ISO 639-1 codes that the first model reads.
            others: Those that the second one reads; what both read counts as the first one's.
        """
        self._own = tuple(own)
        self._identifier: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
        known = set(self._identifier.labels)
        self._identifier.set_languages(sorted({*self._own, *others} & known))

    def __call__(self, text: str) -> float:
        """Return the probability that a text is in none of the first model's languages; 0 if it has too few letters."""
        text = text[:_LOOKED_AT]
        if sum(map(str.isalpha, text)) < _LEAST_LETTERS:
            return 0.0
        shares: dict[str, float] = dict(self._identifier.rank(text))
        return 1.0 - sum(shares.get(code, 0.0) for code in self._own)
