"""Figures of merit for one label, from scores and truths."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "auc", "average_precision", "bootstrap", "calibration_error", "f1", "precision_recall"]

Floats = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def auc(scores: Floats, truths: Truths) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    NaN unless both kinds are present.
    """
    positives = int(truths.sum())
    negatives = len(truths) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[where]
    return float((ranks[truths].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(scores: Floats, truths: Truths) -> float:
    """Return the area under the precision-recall curve as a step function; NaN without positives."""
    positives = int(truths.sum())
    if positives == 0:
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(truths[order])
    # Rows with equal scores can only be taken together.
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    precision = hits[ends] / (ends + 1)
    recall = hits[ends] / positives
    return float((np.diff(recall, prepend=0.0) * precision).sum())


def precision_recall(scores: Floats, truths: Truths, threshold: float) -> tuple[float, float]:
    """Return precision and recall of `score >= threshold`; NaN where nothing was found or nothing is there."""
    found = scores >= threshold
    right = float((found & truths).sum())
    precision = right / found.sum() if found.any() else float("nan")
    recall = right / truths.sum() if truths.any() else float("nan")
    return float(precision), float(recall)


def f1(scores: Floats, truths: Truths, threshold: float) -> float:
    """Return the harmonic mean of precision and recall of `score >= threshold`."""
    found = scores >= threshold
    total = int(found.sum() + truths.sum())
    return float(2 * (found & truths).sum() / total) if total else float("nan")


def calibration_error(scores: Floats, truths: Truths, bins: int = 15) -> float:
    """Return the expected calibration error over bins of equal width."""
    if len(scores) == 0:
        return float("nan")
    at = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(at, minlength=bins)
    gaps = np.abs(np.bincount(at, scores, bins) - np.bincount(at, truths.astype(np.float64), bins))
    return float(gaps[counts > 0].sum() / len(scores))


def bootstrap(
    metric: Callable[[Floats, Truths], float], scores: Floats, truths: Truths, *, rounds: int = 200, seed: int = 1
) -> Interval:
    """Return a figure with its percentile bootstrap interval.

    Args:
        metric: Of scores and truths.
        scores: [rows].
        truths: [rows].
        rounds: Resamples; 0 leaves the interval at the value itself.
        seed: Of the resampling.
    """
    value = metric(scores, truths)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        rows = rng.integers(0, len(scores), len(scores))
        again = metric(scores[rows], truths[rows])
        if not np.isnan(again):
            drawn.append(again)
    if not drawn:
        return Interval(value, value, value)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))
