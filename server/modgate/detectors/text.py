"""Detectors that read the text model: labels, sentiment and likeness to sentences, all from one forward pass."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from modgate.detectors.base import DetectorError, Finding, Problem, Report, Subject, Tier
from modgate.detectors.questions import SentenceList
from modgate.inference.manifest import Manifest
from modgate.inference.text_model import TextModel, TextScores

__all__ = ["Scorer", "SentimentDetector", "SimilarDetector", "TextDetector", "sentiment_labels", "text_labels"]

_SENTIMENT = {"negative": "sent_negative", "positive": "sent_positive", "neutral": "sent_neutral"}
_MIN_SCORE = 0.01


class Scorer(Protocol):
    """Whoever turns a text into scores."""

    async def score(self, text: str, deadline: float) -> TextScores:
        """Return the scores of one text by a monotonic deadline."""
        ...


def text_labels(manifest: Manifest) -> Mapping[str, float | None]:
    """Return the labels that a text bundle offers, with their default thresholds."""
    return {entry.name: entry.threshold for entry in manifest.labels if not entry.group}


def sentiment_labels(manifest: Manifest) -> Mapping[str, float | None]:
    """Return the sentiments that a text bundle offers; empty if it has none."""
    names = {entry.name for entry in manifest.labels}
    return {name: None for name, label in _SENTIMENT.items() if label in names}


class TextDetector:
    """Labels of the text model: toxic, insult, threat, sexual, self_harm, spam and so on.

    Args:
        model: The model that knows the labels.
        scorer: Who is asked for scores: the model itself, or a cascade before it.
    """

    name = "text"
    tier = Tier.MODEL
    cost_us = 3_000.0

    def __init__(self, model: TextModel, scorer: Scorer | None = None) -> None:
        self._model = model
        self._scorer = scorer or model

    @property
    def labels(self) -> Mapping[str, float | None]:
        """The labels on offer with their default thresholds."""
        return text_labels(self._model.manifest)

    def configure(self, questions: Sequence[str]) -> "_LabelInspector":
        """Return an inspector for labels."""
        for label in questions:
            if label not in self.labels:
                raise ValueError(f"{self._model.name} has no label {label!r}; it has {', '.join(self.labels)}")
        return _LabelInspector(self._model, self._scorer, {label: self._model.labels[label] for label in questions})


class SentimentDetector:
    """Whether a text sounds negative or positive."""

    name = "sentiment"
    tier = Tier.MODEL
    cost_us = 3_000.0

    def __init__(self, model: TextModel) -> None:
        self._model = model

    @property
    def labels(self) -> Mapping[str, float | None]:
        """The sentiments on offer; empty if the model has none."""
        return sentiment_labels(self._model.manifest)

    def configure(self, questions: Sequence[str]) -> "_LabelInspector":
        """Return an inspector for sentiments."""
        for label in questions:
            if label not in self.labels:
                raise ValueError(f"{self._model.name} has no sentiment {label!r}")
        indices = {name: self._model.labels[_SENTIMENT[name]] for name in questions}
        return _LabelInspector(self._model, self._model, indices)


class SimilarDetector:
    """Likeness in meaning to listed sentences: cosine of embeddings, so a paraphrase is found too."""

    name = "similar"
    tier = Tier.MODEL
    cost_us = 3_100.0

    def __init__(self, model: TextModel) -> None:
        self._model = model

    def configure(self, questions: Sequence[SentenceList]) -> "_SimilarInspector":
        """Embed the sentences of all lists: milliseconds a sentence, in the calling thread."""
        if self._model.manifest.text is None or self._model.manifest.text.embedding is None:
            raise ValueError(f"{self._model.name} has no embedding; `similar` needs a bundle with one")
        vectors: dict[str, npt.NDArray[np.float32]] = {}
        for question in questions:
            scored = self._model.score_now(list(question.entries))
            vectors[question.name] = np.stack([s.embedding[0] for s in scored if s.embedding is not None])
        return _SimilarInspector(self._model, vectors)


class _Reader:
    """Asks the model for the scores of every part of a message that has letters in it."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def read(self, subject: Subject, deadline: float) -> list[tuple[str, TextScores]]:
        scored: list[tuple[str, TextScores]] = []
        for part, text in subject.parts.items():
            if text and not text.isspace():
                scored.append((part, await self._scorer.score(text, deadline)))
        return scored


class _LabelInspector:
    def __init__(self, model: TextModel, scorer: Scorer, labels: Mapping[str, int]) -> None:
        self._reader = _Reader(scorer)
        self._labels = labels
        self._evidence = f"{model.name} {model.manifest.version}"

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Return a finding for every label and part with a score worth reporting."""
        report: dict[str, tuple[Finding, ...]] = {}
        for part, scores in await self._reader.read(subject, deadline):
            for label, index in self._labels.items():
                score = float(scores.probabilities[index])
                if score >= _MIN_SCORE:
                    spans = (scores.spans[index],) if scores.spans else ()
                    finding = Finding(label, min(score, 1.0), spans, part, self._evidence)
                    report[label] = (*report.get(label, ()), finding)
        return report


class _SimilarInspector:
    def __init__(self, model: TextModel, vectors: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._reader = _Reader(model)
        self._vectors = vectors

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Return, for every list and part, the likeness to the nearest sentence."""
        report: dict[str, tuple[Finding, ...]] = {}
        for part, scores in await self._reader.read(subject, deadline):
            if scores.embedding is None:
                raise DetectorError(Problem.ERROR, "the text model gave no embedding")
            for name, vectors in self._vectors.items():
                likeness = vectors @ scores.embedding.T
                best = int(likeness.max(axis=1).argmax())
                score = float(likeness.max())
                finding = Finding(name, min(max(score, 0.0), 1.0), (), part, f"entry {best + 1}")
                report[name] = (*report.get(name, ()), finding)
        return report
