"""Detectors that read the text model: labels, sentiment and likeness to sentences, all from one forward pass."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from modgate.detectors.base import DetectorError, Finding, Problem, Report, Span, Subject, Tier
from modgate.detectors.questions import SentenceList
from modgate.inference.manifest import Manifest
from modgate.inference.text_model import TextModel, TextScores
from modgate.inference.windows import segments

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


def strict_thresholds(manifest: Manifest) -> Mapping[str, float | None]:
    """Return the strict threshold of every label that a text bundle offers."""
    return {entry.name: entry.strict_threshold for entry in manifest.labels if not entry.group}


def sentiment_labels(manifest: Manifest) -> Mapping[str, float | None]:
    """Return the sentiments that a text bundle offers; empty if it has none."""
    names = {entry.name for entry in manifest.labels}
    return {name: None for name, label in _SENTIMENT.items() if label in names}


class TextDetector:
    """Labels of the text model: toxic, insult, threat, sexual, self_harm, spam and so on.

    Args:
        model: The model that knows the labels.
        scorer: Who is asked for scores: the model itself, a cascade before it, one model for each language.
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

    @property
    def strict(self) -> Mapping[str, float | None]:
        """The labels on offer with the thresholds that leave ordinary chat alone."""
        return strict_thresholds(self._model.manifest)

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

    def __init__(self, model: TextModel, scorer: Scorer | None = None) -> None:
        self._model = model
        self._scorer = scorer or model

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
        return _LabelInspector(self._model, self._scorer, indices)


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


class _Piece(NamedTuple):
    """The scores of a part of a message, or of a piece of a long one."""

    part: str
    span: Span | None
    scores: TextScores


class _Reader:
    """Asks the model for the scores of every part of a message that is not blank; of long ones piece by piece."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def read(self, subject: Subject, deadline: float) -> tuple[list[_Piece], DetectorError | None]:
        """Return what was scored, and what kept the rest from being scored, if anything did."""
        wanted = [
            (part, Span(start, end), text if end - start == len(text) else text[start:end])
            for part, text in subject.parts.items()
            if text and not text.isspace()
            for start, end in segments(text)
        ]
        if len(wanted) == 1:
            ((part, _, text),) = wanted
            return [_Piece(part, None, await self._scorer.score(text, deadline))], None
        answers = await asyncio.gather(
            *(self._scorer.score(text, deadline) for _, _, text in wanted), return_exceptions=True
        )
        pieces: list[_Piece] = []
        problem: DetectorError | None = None
        for (part, span, text), answer in zip(wanted, answers, strict=True):
            if isinstance(answer, TextScores):
                whole = len(text) == len(subject.parts[part])
                pieces.append(_Piece(part, None if whole else span, answer))
            elif isinstance(answer, DetectorError):
                problem = problem or answer
            else:
                raise answer
        return pieces, problem


def _finish(report: dict[str, list[Finding]], problem: DetectorError | None) -> Report:
    found = {label: tuple(findings) for label, findings in report.items()}
    if problem is not None:
        raise DetectorError(problem.problem, str(problem), found)
    return found


class _LabelInspector:
    def __init__(self, model: TextModel, scorer: Scorer, labels: Mapping[str, int]) -> None:
        self._reader = _Reader(scorer)
        self._labels = labels
        self._evidence = f"{model.name} {model.manifest.version}"

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Return a finding for every label and piece of text with a score worth reporting.

        Raises:
            DetectorError: If a piece could not be scored in time, with what the others gave.
        """
        pieces, problem = await self._reader.read(subject, deadline)
        report: dict[str, list[Finding]] = {}
        for part, span, scores in pieces:
            for label, index in self._labels.items():
                score = float(scores.probabilities[index])
                if score < _MIN_SCORE:
                    continue
                if span is not None:
                    spans: tuple[Span, ...] = (span,)
                else:
                    spans = (scores.spans[index],) if scores.spans else ()
                report.setdefault(label, []).append(
                    Finding(label, min(score, 1.0), spans, part, scores.by or self._evidence)
                )
        return _finish(report, problem)


class _SimilarInspector:
    def __init__(self, model: TextModel, vectors: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._reader = _Reader(model)
        self._vectors = vectors

    async def inspect(self, subject: Subject, deadline: float) -> Report:
        """Return, for every list and piece of text, the likeness to the nearest sentence.

        Raises:
            DetectorError: If a piece could not be scored in time, with what the others gave.
        """
        pieces, problem = await self._reader.read(subject, deadline)
        report: dict[str, list[Finding]] = {}
        for part, span, scores in pieces:
            if scores.embedding is None:
                raise DetectorError(Problem.ERROR, "the text model gave no embedding")
            for name, vectors in self._vectors.items():
                likeness = vectors @ scores.embedding.T
                best = int(likeness.max(axis=1).argmax())
                score = min(max(float(likeness.max()), 0.0), 1.0)
                spans = () if span is None else (span,)
                report.setdefault(name, []).append(Finding(name, score, spans, part, f"entry {best + 1}"))
        return _finish(report, problem)
