"""Two models in a row: a first stage that is many times cheaper decides the plain cases, the full model the rest.

The first stage was distilled from the full model. Its manifest says for every label below which score the full model
stays below the label's default threshold, as measured on held-out lines (`certain_below`). A text that is below all
of them is plain: nobody asks the full model. So a cascade can only differ from the full model by missing something,
and how often it does is printed by `python -m benchmarks accuracy --cascade`.
"""

import numpy as np

from modgate.inference.bundle import BundleError
from modgate.inference.cache import ScoreCache
from modgate.inference.text_model import MAX_CHARS, TextModel, TextScores

__all__ = ["Cascade"]


class Cascade:
    """Scores texts by the first stage where that is certain, by the full model elsewhere.

    Attributes:
        plain: Texts that the first stage decided.
        passed_on: Texts that the full model had to score.
    """

    def __init__(self, first: TextModel, full: TextModel, *, cache_entries: int = 20_000) -> None:
        """Pair two loaded models.

        Raises:
            BundleError: If the first stage was made for another model, or leaves out a label with a threshold.
        """
        identity = f"{full.name} {full.manifest.version}"
        if first.manifest.first_stage_of != identity:
            raise BundleError(first.name, f"a first stage of {first.manifest.first_stage_of}, not of {identity}")
        certain = {label.name: label.certain_below for label in first.manifest.labels}
        wanted = [label.name for label in full.manifest.labels if label.threshold is not None and not label.group]
        missing = [name for name in wanted if certain.get(name) is None]
        if missing:
            raise BundleError(first.name, f"no first stage for {full.name}: `certain_below` is missing for {missing}")
        self._first = first
        self._full = full
        self._alike = full.reads_like(first)
        self._indices = np.array([first.labels[name] for name in wanted])
        self._below = np.array([certain[name] for name in wanted], dtype=np.float32)
        # What a plain text gets: the first stage's scores in the order of the full model's labels.
        self._order = np.array([first.labels.get(name, -1) for name in full.labels])
        self._cache: ScoreCache[TextScores] = ScoreCache(cache_entries)
        self.plain = 0
        self.passed_on = 0

    @property
    def cache(self) -> ScoreCache[TextScores]:
        """Scores of recent texts."""
        return self._cache

    async def score(self, text: str, deadline: float) -> TextScores:
        """Return the scores of one text by a monotonic deadline; without an embedding if the first stage decided.

        What is beyond 16,384 characters is not looked at.

        Raises:
            DetectorError: If there was no time, no capacity, or a model failed.
        """
        text = text[:MAX_CHARS]
        return await self._cache.get(text, lambda: self._score(text, deadline))

    async def _score(self, text: str, deadline: float) -> TextScores:
        known = self._full.cache.peek(text)
        if known is not None:
            return known
        tokens = self._first.tokenise(text, deadline)
        first = await self._first.submit(text, deadline, tokens)
        if bool((first.probabilities[self._indices] < self._below).all()):
            self.plain += 1
            probabilities = np.where(self._order >= 0, first.probabilities[self._order], 0.0).astype(np.float32)
            return TextScores(probabilities, None, None)
        self.passed_on += 1
        return await self._full.score(text, deadline, tokens if self._alike else None)
