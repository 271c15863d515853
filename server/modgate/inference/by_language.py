"""Two models side by side: each text goes to the one that reads its language, to both if that is in doubt."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np

from modgate.detectors.base import Span
from modgate.inference.alignment import Alignment
from modgate.inference.cache import ScoreCache
from modgate.inference.text_model import MAX_CHARS, TextModel, TextScores

__all__ = ["DOUBTFUL", "SURE", "ByLanguage"]

DOUBTFUL, SURE = 0.5, 0.95
"""Probability of a foreign language from which on the second model is asked too, and alone. Of English chat up to 0.3 %
is beyond the second (4 % and 18 % of the shortest game chat), of other languages 90 % and more."""


class _Scorer(Protocol):
    async def score(self, text: str, deadline: float) -> TextScores: ...


class ByLanguage:
    """Scores texts in the first model's languages by that, others by a second one, on the first one's scale.

    Attributes:
        other: Name and version of the second model.
        passed_on: Texts that it scored.
    """

    def __init__(
        self,
        home: _Scorer,
        full: TextModel,
        others: TextModel,
        foreign: Callable[[str], float],
        *,
        cache_entries: int = 20_000,
    ) -> None:
        """Pair two loaded models.

        Args:
            home: Scores what is in the first model's languages: that model, or a cascade before it.
            full: The first model, whose labels and scale count.
            others: The second one.
            foreign: Probability that a text is in none of the first model's languages.
            cache_entries: Texts whose scores are kept.
        """
        self._home, self._full, self._others, self._foreign = home, full, others, foreign
        self._aligned = Alignment(others.manifest, full.manifest)
        self.other = f"{others.name} {others.manifest.version}"
        self._cache: ScoreCache[TextScores] = ScoreCache(cache_entries)
        self._order = [others.labels.get(name, -1) for name in full.labels]
        self.passed_on = 0

    @property
    def cache(self) -> ScoreCache[TextScores]:
        """Scores of recent texts."""
        return self._cache

    async def score(self, text: str, deadline: float) -> TextScores:
        """Return the scores of one text by a monotonic deadline, in the order of the first model's labels.

        What is beyond 16,384 characters is not looked at.

        Raises:
            DetectorError: If there was no time, no capacity, or a model failed.
        """
        text = text[:MAX_CHARS]
        return await self._cache.get(text, lambda: self._score(text, deadline))

    def score_now(self, texts: Sequence[str]) -> list[TextScores]:
        """Return the scores of texts in this thread, past all queues: for tools."""
        shares = [self._foreign(text) for text in texts]
        here = [i for i, share in enumerate(shares) if share < SURE]
        there = [i for i, share in enumerate(shares) if share >= DOUBTFUL]
        mine = dict(zip(here, self._full.score_now([texts[i] for i in here]), strict=True))
        theirs = dict(zip(there, self._others.score_now([texts[i] for i in there]), strict=True))
        self.passed_on += len(there)
        return [
            _worst(mine[i], self._read(theirs[i]), len(text))
            if i in mine and i in theirs
            else mine[i]
            if i in mine
            else self._read(theirs[i])
            for i, text in enumerate(texts)
        ]

    async def _score(self, text: str, deadline: float) -> TextScores:
        share = self._foreign(text)
        if share < DOUBTFUL:
            return await self._home.score(text, deadline)
        self.passed_on += 1
        if share >= SURE:
            return self._read(await self._others.score(text, deadline))
        home, others = await asyncio.gather(
            self._home.score(text, deadline), self._others.score(text, deadline), return_exceptions=True
        )
        if isinstance(home, BaseException):
            raise home
        # In doubt it is most likely the first model's language: its answer is enough if there is no other.
        return home if isinstance(others, BaseException) else _worst(home, self._read(others), len(text))

    def _read(self, scores: TextScores) -> TextScores:
        """Return scores of the second model as the first one's."""
        spans = scores.spans
        if spans is not None:
            spans = tuple(spans[max(0, source)] for source in self._order)
        return TextScores(self._aligned(scores.probabilities), spans, None, self.other)


def _worst(home: TextScores, others: TextScores, length: int) -> TextScores:
    """Return for every label the higher score, with its window; moods stay those of the first model."""
    theirs = others.probabilities > home.probabilities
    spans = None
    if home.spans is not None or others.spans is not None:
        whole = (Span(0, length),) * len(theirs)
        pairs = zip(theirs, others.spans or whole, home.spans or whole, strict=True)
        spans = tuple(b if better else a for better, b, a in pairs)
    return replace(home, probabilities=np.maximum(home.probabilities, others.probabilities), spans=spans)
