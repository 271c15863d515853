"""Two pictures of a bundle on labelled rows: whether scores mean what they say, and precision over recall."""

from pathlib import Path

import numpy as np

from modgate.evaluation.corpus import Corpus
from modgate.evaluation.scoring import Scores

__all__ = ["plot"]

_PRESENT = 0.5
_FEWEST = 20
"""Positives below which a curve says nothing."""
_IN_A_BIN = 10


def plot(path: Path, corpus: Corpus, scores: Scores) -> None:
    """Draw reliability and precision over recall of every label with enough rows.

    Args:
        path: Of the picture; its ending says which kind (`.png`, `.svg`, `.pdf`).
        corpus: The rows.
        scores: Of a bundle on them.

    Raises:
        ValueError: matplotlib is not installed, or does not know the ending.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an extra, needed for pictures only
    except ImportError as error:
        raise ValueError("pictures need matplotlib: install modgate[plot]") from error
    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the backend is chosen

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5))
    for label in scores.labels:
        truths = corpus.truths.get(label)
        known = ~np.isnan(truths) if truths is not None else np.zeros(0, bool)
        if truths is None or (truths[known] >= _PRESENT).sum() < _FEWEST:
            continue
        of_label, right_ones = scores.of(label)[known], truths[known] >= _PRESENT
        bins = np.clip((of_label * 10).astype(int), 0, 9)
        filled = [b for b in range(10) if (bins == b).sum() >= _IN_A_BIN]
        left.plot([of_label[bins == b].mean() for b in filled], [right_ones[bins == b].mean() for b in filled], "o-")
        order = np.argsort(-of_label, kind="stable")
        hits = np.cumsum(right_ones[order])
        right.plot(hits / hits[-1], hits / np.arange(1, len(hits) + 1), label=label)
    left.plot([0, 1], [0, 1], "k:")
    left.set(xlabel="score", ylabel="share that is positive", title="Reliability")
    right.set(xlabel="recall", ylabel="precision", title="Precision over recall")
    right.legend(fontsize="small")
    figure.tight_layout()
    try:
        figure.savefig(path, dpi=110)
    finally:
        plt.close(figure)
