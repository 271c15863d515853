"""From logits to probabilities that mean what they say, and to two thresholds: one finds most, one may block."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from models.text.bundle import LabelFacts
from models.text.labels import HARMS, LABELS, SENTIMENT
from models.text.rows import Rows, normal_key
from numpy.typing import NDArray

from modgate.evaluation.metrics import auc

__all__ = ["Measured", "calibrate", "halves", "trade_off"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

EVIDENT_PRECISION = 0.9
"""What a label must reach at some threshold."""
FAIR = 0.7
"""Precision of a default threshold on development rows, at the least; above it F1 decides."""
DOUBTFUL, SURE = 0.5, 0.85
"""A default threshold is lower than this probability only where its precision is that high all the same."""
FEWEST_HITS = 10
DISTURBED = 3e-4
"""Clean lines on which any label may fire at its strict threshold. The aim is 5 in 10,000; what is chosen on some
thousand lines fires more often on others."""
ABOVE = 1e-4
"""By how much a threshold clears a score that may not reach it."""
STRICT_PRECISION = 0.95
"""What a strict threshold has on development rows, at the least."""
OFFENDED = 0.004
"""Statements about identities and greetings on which any label may fire at its default threshold; the aim is 0.5 %."""
STEEPEST, FLATTEST = 1.5, 0.3
"""Bounds of the scale: where rows are few, or all too easy, the fit would be sure of everything."""
EVIDENCE = 30
"""Collected positives below which a label stays experimental."""
EVIDENT_AUC = 0.85
EVIDENT_MOOD = 0.7
LOWEST, HIGHEST = 0.3, 0.9999
TRUSTED = 0.7
"""Weight of a source's labels from which on its rows decide about precision."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows and what the quantised model says about them.

    Attributes:
        rows: The rows.
        logits: float32 [rows, labels].
    """

    rows: Rows
    logits: NDArray[np.float32]


def halves(rows: Rows) -> Flags:
    """Return True for the half of the rows that thresholds are chosen on; the other half is only reported on."""
    return np.array([int(normal_key(text)[:8], 16) % 2 == 0 for text in rows.texts])


def calibrate(
    known: Measured, clean: NDArray[np.float32], identities: NDArray[np.float32] | None = None
) -> dict[str, LabelFacts]:
    """Choose scale, offset and the two thresholds of every label.

    Args:
        known: The half of the labelled rows that is for choosing.
        clean: Logits of lines with nothing to find, [lines, labels].
        identities: Logits of harmless statements about identities, [lines, labels].
    """
    platt = {name: _platt(*_truths(known, name)) for name in HARMS}
    scores = {name: _sigmoid(platt[name], clean[:, LABELS.index(name)]) for name in HARMS}
    useful = {name: _useful(platt[name], *_trusted(known, name)) for name in HARMS}
    precise = {name: _precise(platt[name], *_truths(known, name), EVIDENT_PRECISION) for name in HARMS}
    surely = {name: _precise(platt[name], *_truths(known, name), STRICT_PRECISION) for name in HARMS}
    # A label that disturbs clean chat, or misses its precision, at any threshold has not shown its quality either.
    evident = {
        name: _evident(known, name) and precise[name] < HIGHEST and float((scores[name] >= HIGHEST).mean()) < DISTURBED
        for name in HARMS
    }
    counted = [name for name in HARMS if evident[name]]
    present = {name: np.sort(_positive(platt[name], known, name)) for name in HARMS}
    if identities is not None:
        about = {name: _sigmoid(platt[name], identities[:, LABELS.index(name)]) for name in HARMS}
        useful = _calm(about, useful, present, counted, OFFENDED)
    lowest = {name: max(useful[name], surely[name]) for name in HARMS}
    strict = _spend(scores, lowest, present, counted, DISTURBED)
    facts = {}
    for name in HARMS:
        logits, truths = _trusted(known, name)
        found = _sigmoid(platt[name], logits) >= useful[name]
        right = float(truths[found].mean()) if found.any() else None
        scale, offset = platt[name]
        facts[name] = LabelFacts(
            scale, offset, useful[name], right, experimental=not evident[name], strict=strict[name]
        )
    scale, offsets = _mood(known)
    doubtful = _mood_auc(known) < EVIDENT_MOOD
    for name, offset in zip(SENTIMENT, offsets, strict=True):
        facts[name] = LabelFacts(scale, float(offset), 0.6, None, experimental=doubtful)
    return facts


def trade_off(known: Measured, clean: NDArray[np.float32], facts: Mapping[str, LabelFacts]) -> str:
    """Return a table of what other thresholds would give, on the rows that the defaults were chosen on."""
    lines = ["| label | at | precision | recall | fires on 10,000 clean lines |", "|---|---|---|---|---|"]
    for name in HARMS:
        fact = facts[name]
        logits, truths = _truths(known, name)
        scores = _sigmoid((fact.scale, fact.offset), logits)
        ordinary = _sigmoid((fact.scale, fact.offset), clean[:, LABELS.index(name)])
        for at in (0.5, 0.8, 0.9, 0.95, fact.threshold or HIGHEST, fact.strict or HIGHEST):
            found = scores >= at
            precision = f"{truths[found].mean():.3f}" if found.any() else "-"
            recall = f"{found[truths].mean():.3f}" if truths.any() else "-"
            lines.append(f"| {name} | {at:.4f} | {precision} | {recall} | {1e4 * (ordinary >= at).mean():.1f} |")
    return "\n".join(lines)


def _truths(measured: Measured, name: str) -> tuple[Floats, Flags]:
    """Return the logits and truths of the rows on which a label was really annotated."""
    column = LABELS.index(name)
    rows = measured.rows.weights[:, column] > 0
    return measured.logits[rows, column].astype(np.float64), measured.rows.targets[rows, column] >= 0.5


def _trusted(measured: Measured, name: str) -> tuple[Floats, Flags]:
    """Return logits and truths of the rows of sources whose labels training trusts."""
    column = LABELS.index(name)
    rows = measured.rows.weights[:, column] >= TRUSTED
    return measured.logits[rows, column].astype(np.float64), measured.rows.targets[rows, column] >= 0.5


def _sigmoid(line: tuple[float, float], logits: NDArray[np.floating]) -> Floats:
    return 1 / (1 + np.exp(-np.clip(line[0] * logits.astype(np.float64) + line[1], -60, 60)))


def _platt(logits: Floats, truths: Flags) -> tuple[float, float]:
    """Fit sigmoid(scale * logit + offset) by Newton's method, with Platt's smoothed targets."""
    positives, negatives = int(truths.sum()), int((~truths).sum())
    targets = np.where(truths, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    features = np.stack([logits, np.ones_like(logits)], axis=1)
    line = np.array([1.0, 0.0])
    for _ in range(50):
        p = _sigmoid((line[0], line[1]), logits)
        gradient = features.T @ (p - targets) + 1e-3 * (line - [1.0, 0.0])
        hessian = (features * (p * (1 - p))[:, None]).T @ features + 1e-3 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        line -= step
        if np.abs(step).max() < 1e-7:
            break
    scale = float(np.clip(line[0], FLATTEST, STEEPEST))
    # With the scale bounded, the offset that keeps the mean.
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _sigmoid((scale, middle), logits).mean() < targets.mean() else (low, middle)
    return scale, (low + high) / 2


def _precise(line: tuple[float, float], logits: Floats, truths: Flags, least: float) -> float:
    """Return the lowest threshold from which on the precision is reached, with enough hits."""
    scores = _sigmoid(line, logits)
    order = np.argsort(-scores, kind="stable")
    precision = np.cumsum(truths[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero((precision >= least) & (np.arange(len(order)) >= FEWEST_HITS - 1))
    return float(np.clip(scores[order[good[-1]]] if len(good) else HIGHEST, LOWEST, HIGHEST))


def _useful(line: tuple[float, float], logits: Floats, truths: Flags) -> float:
    """Return the default threshold: of the best F1, or of a fair precision if that is higher."""
    scores = _sigmoid(line, logits)
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truths[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + max(1, int(truths.sum())))
    best = float(scores[order[int(f1.argmax())]])
    at = max(best, _precise(line, logits, truths, FAIR))
    if at < DOUBTFUL:
        at = min(DOUBTFUL, max(at, _precise(line, logits, truths, SURE)))
    return float(np.clip(at, LOWEST, HIGHEST))


def _evident(known: Measured, name: str) -> bool:
    column = LABELS.index(name)
    collected = np.array([not source.startswith("written/") for source in known.rows.sources])
    rows = collected & (known.rows.weights[:, column] > 0)
    truths = known.rows.targets[rows, column] >= 0.5
    # Half of the rows are here, so half of the evidence.
    if truths.sum() < EVIDENCE / 2:
        return False
    return auc(known.logits[rows, column].astype(np.float64), truths) >= EVIDENT_AUC


def _calm(
    scores: Mapping[str, Floats],
    lowest: Mapping[str, float],
    positive: Mapping[str, Floats],
    counted: list[str],
    most: float,
) -> dict[str, float]:
    """Raise thresholds, always where that loses least, until all together fire on few enough harmless lines.

    The arguments are those of `_spend`; labels that do not count keep their thresholds.
    """
    at = dict(lowest)
    while True:
        firing = {name: scores[name][scores[name] >= at[name]] for name in counted if at[name] < HIGHEST}
        fired = np.logical_or.reduce([scores[name] >= at[name] for name in counted])
        if fired.mean() <= most or not any(len(those) for those in firing.values()):
            return at
        raised = {name: float(min(HIGHEST, those.min() + ABOVE)) for name, those in firing.items() if len(those)}
        best = min(raised, key=lambda name: _recall(positive[name], at[name]) - _recall(positive[name], raised[name]))
        at[best] = raised[best]


def _recall(positive: Floats, threshold: float) -> float:
    """Return the share of sorted scores that reach a threshold."""
    return 1 - float(np.searchsorted(positive, threshold)) / max(1, len(positive))


def _positive(line: tuple[float, float], known: Measured, name: str) -> Floats:
    """Return the scores of the rows that have a label."""
    logits, truths = _truths(known, name)
    return _sigmoid(line, logits[truths])


def _spend(
    scores: Mapping[str, Floats],
    lowest: Mapping[str, float],
    positive: Mapping[str, Floats],
    counted: list[str],
    most: float,
) -> dict[str, float]:
    """Lower thresholds from above every harmless line, always where that finds most for each line that then fires.

    Args:
        scores: Of harmless lines, by label.
        lowest: What no threshold goes below.
        positive: Sorted scores of rows that have the label.
        counted: Labels whose fires count; the others stay above every harmless line.
        most: Share of the harmless lines on which any of them may fire.
    """
    clean = {name: np.sort(scores[name])[::-1] for name in HARMS}
    order = {name: np.argsort(-scores[name], kind="stable") for name in HARMS}
    budget, fired = int(most * len(clean[HARMS[0]])), set[int]()
    at = {name: float(np.clip(max(lowest[name], clean[name][0] + ABOVE), LOWEST, HIGHEST)) for name in HARMS}

    while True:
        best: tuple[float, str, float, set[int]] | None = None
        for name in counted:
            # So many lines more as the budget allows at the most: one alone may bring nothing, and two much.
            over = int((clean[name] >= at[name]).sum())
            for lines in range(over + 1, min(over + budget - len(fired) + 1, len(clean[name]) - 1) + 1):
                to = max(lowest[name], float(clean[name][lines]) + ABOVE)
                hit = set(order[name][: int((clean[name] >= to).sum())].tolist()) - fired
                if to < at[name] and len(fired) + len(hit) <= budget:
                    gain = (_recall(positive[name], to) - _recall(positive[name], at[name])) / max(len(hit), 0.5)
                    if gain > 0 and (best is None or gain > best[0]):
                        best = gain, name, to, hit
        if best is None:
            return at
        at[best[1]] = best[2]
        fired |= best[3]


def _mood_auc(known: Measured) -> float:
    """Return the mean AUC of negative, neutral and positive against the other two."""
    rows = known.rows.weights[:, len(HARMS)] > 0
    logits = known.logits[rows][:, len(HARMS) :].astype(np.float64)
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    truths = known.rows.targets[rows][:, len(HARMS) :] >= 0.5
    return float(np.mean([auc(shares[:, i], truths[:, i]) for i in range(len(SENTIMENT))]))


def _mood(known: Measured) -> tuple[float, Floats]:
    """Fit the scale and the three offsets of the sentiment's softmax, by descent on its cross-entropy."""
    rows = known.rows.weights[:, len(HARMS)] > 0
    logits = known.logits[rows][:, len(HARMS) :].astype(np.float64)
    targets = known.rows.targets[rows][:, len(HARMS) :]
    scale, offsets = 1.0, np.zeros(len(SENTIMENT))
    for _ in range(2000 if len(logits) else 0):
        shares = np.exp(scale * logits + offsets - (scale * logits + offsets).max(1, keepdims=True))
        wrong = (shares / shares.sum(1, keepdims=True) - targets) / len(logits)
        scale = float(np.clip(scale - 0.05 * (wrong * logits).sum(), FLATTEST, STEEPEST))
        offsets -= 0.5 * wrong.sum(0)
    return scale, offsets - offsets.mean()
