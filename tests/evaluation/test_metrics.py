"""Figures of merit against values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modgate.evaluation.metrics import (
    auc,
    average_precision,
    bootstrap,
    calibration_error,
    f1,
    precision_recall,
)


def _both(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([s for s, _ in rows], np.float64), np.array([t for _, t in rows], bool)


def test_auc_counts_ordered_pairs() -> None:
    """Of four pairs of a positive and a negative three are in order: AUC 0.75."""
    scores, truths = _both([(0.9, True), (0.6, False), (0.5, True), (0.1, False)])
    assert auc(scores, truths) == pytest.approx(0.75)


def test_auc_counts_ties_half() -> None:
    """A model that says the same of everything has AUC 0.5."""
    scores, truths = _both([(0.3, True), (0.3, False), (0.3, False)])
    assert auc(scores, truths) == pytest.approx(0.5)


def test_auc_needs_both_kinds() -> None:
    """Without negatives there is no AUC, and no crash."""
    assert np.isnan(auc(np.array([0.1, 0.2]), np.array([True, True])))


def test_average_precision() -> None:
    """Positives at ranks 1 and 3 have precision 1 and 2/3 there."""
    scores, truths = _both([(0.9, True), (0.8, False), (0.7, True), (0.1, False)])
    assert average_precision(scores, truths) == pytest.approx((1 + 2 / 3) / 2)


def test_precision_recall_and_f1() -> None:
    """A score at the threshold counts as found."""
    scores, truths = _both([(0.9, True), (0.5, False), (0.4, True), (0.1, False)])
    assert precision_recall(scores, truths, 0.5) == (0.5, 0.5)
    assert f1(scores, truths, 0.5) == pytest.approx(0.5)


def test_calibration_error() -> None:
    """Ten rows at 0.9 of which nine are positive are calibrated; of which none is, they are 0.9 off."""
    scores = np.full(10, 0.9)
    assert calibration_error(scores, np.array([True] * 9 + [False])) == pytest.approx(0, abs=1e-9)
    assert calibration_error(scores, np.zeros(10, bool)) == pytest.approx(0.9)


def test_bootstrap_is_seeded_and_encloses_the_value() -> None:
    """The same rows give the same interval, and the value lies in it."""
    rng = np.random.default_rng(3)
    truths = rng.random(300) < 0.4
    scores = rng.random(300) * 0.7 + truths * 0.3
    first, second = bootstrap(auc, scores, truths, rounds=50), bootstrap(auc, scores, truths, rounds=50)
    assert first == second
    assert first.low <= first.value <= first.high


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=30))
def test_figures_stay_in_range(rows: list[tuple[float, bool]]) -> None:
    """Whatever the scores, every figure is between 0 and 1, or NaN where it does not exist."""
    scores, truths = _both(rows)
    figures = [
        auc(scores, truths),
        average_precision(scores, truths),
        f1(scores, truths, 0.5),
        calibration_error(scores, truths),
    ]
    assert all(np.isnan(figure) or -1e-9 <= figure <= 1 + 1e-9 for figure in figures)
