"""A bundle's figures: by label, by source, by language, and how often it disturbs clean chat."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modgate.evaluation.corpus import Corpus, read_corpus
from modgate.evaluation.metrics import (
    Interval,
    auc,
    average_precision,
    bootstrap,
    calibration_error,
    f1,
    precision_recall,
)
from modgate.evaluation.plot import plot
from modgate.evaluation.scoring import Progress, Scores, TextScorer
from modgate.inference.manifest import Label

__all__ = ["CleanChat", "EvaluationReport", "LabelFigures", "evaluate_bundle", "evaluate_scores"]

POSITIVE = 0.5
FEWEST = 20
"""Positives, and negatives, below which a figure says nothing."""
_COLUMNS = (
    "label", "rows of", "positives / negatives", "AUC (95 %)", "AP (95 %)", "at", "precision", "recall", "F1", "ECE",
    "strict", "recall",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """One label on one slice of the rows.

    Attributes:
        label: Its name.
        part: Which rows: `all`, `source:<name>` or `language:<code>`.
        positives: Rows that have it.
        negatives: Rows that do not.
        auc: Area under the ROC curve.
        ap: Average precision.
        threshold: The bundle's default, 0.5 if it names none.
        precision: At the threshold; None where nothing was found.
        recall: At the threshold.
        f1: At the threshold.
        ece: Expected calibration error.
        strict: The bundle's strict threshold, the default one if it names none.
        strict_recall: At the strict threshold.
    """

    label: str
    part: str
    positives: int
    negatives: int
    auc: Interval
    ap: Interval
    threshold: float
    precision: float | None
    recall: float | None
    f1: float | None
    ece: float
    strict: float
    strict_recall: float | None


@dataclass(frozen=True, slots=True)
class CleanChat:
    """How often thresholds fire on lines in which there is nothing to find.

    Attributes:
        source: Of the lines; `all` for all of them.
        lines: How many.
        fired: On how many any label fired that is not experimental, at default thresholds.
        strictly: The same at strict thresholds.
        by_label: On how many each label fired at its strict threshold, experimental ones included; labels that never
            fired are left out.
    """

    source: str
    lines: int
    fired: int
    strictly: int
    by_label: Mapping[str, int]

    @property
    def per_10_000(self) -> float:
        """Lines that fired at strict thresholds among ten thousand."""
        return 10_000 * self.strictly / self.lines if self.lines else math.nan


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """Everything that was measured."""

    bundle: str
    version: str
    rows: int
    figures: tuple[LabelFigures, ...]
    clean: tuple[CleanChat, ...]

    def of(self, label: str, part: str = "all") -> LabelFigures | None:
        """Return the figures of a label on a slice, if there were enough rows."""
        return next((f for f in self.figures if f.label == label and f.part == part), None)

    def as_json(self) -> dict[str, object]:
        """Return the report as plain values for `json.dump`."""
        clean = [{**asdict(each), "per_10_000": round(each.per_10_000, 2)} for each in self.clean]
        return {
            "bundle": self.bundle,
            "version": self.version,
            "rows": self.rows,
            "figures": [asdict(each) for each in self.figures],
            "clean": clean,
        }

    def as_markdown(self, parts: Sequence[str] = ("all",)) -> str:
        """Return tables of the slices whose name begins with one of `parts`, and of clean chat."""
        lines = [
            f"| {' | '.join(_COLUMNS)} |",
            "|---" * len(_COLUMNS) + "|",
        ]
        lines += [
            f"| {f.label} | {f.part} | {f.positives} / {f.negatives} | {_span(f.auc)} | {_span(f.ap)} | "
            f"{f.threshold:.4f} | {_plain(f.precision)} | {_plain(f.recall)} | {_plain(f.f1)} | {f.ece:.3f} | "
            f"{f.strict:.4f} | {_plain(f.strict_recall)} |"
            for f in self.figures
            if f.part.startswith(tuple(parts))
        ]
        lines += [
            "",
            "| clean lines of | lines | fired at default | at strict | strict per 10,000 | strict by label |",
            "|---|---|---|---|---|---|",
        ]
        for c in self.clean:
            by = ", ".join(f"{name} {count}" for name, count in c.by_label.items())
            lines.append(f"| {c.source} | {c.lines} | {c.fired} | {c.strictly} | {c.per_10_000:.1f} | {by} |")
        return "\n".join(lines)


def evaluate_bundle(
    bundle: Path,
    data: Path,
    *,
    rounds: int = 200,
    threads: int = 1,
    model: Path | None = None,
    progress: Progress | None = None,
    picture: Path | None = None,
) -> EvaluationReport:
    """Score labelled rows with a bundle and measure it.

    Args:
        bundle: Folder with `manifest.json`.
        data: File or folder with labelled rows (`read_corpus`).
        rounds: Of the bootstrap.
        threads: Of onnxruntime.
        model: ONNX file to use instead of the bundle's own.
        progress: Called with windows done and windows in all.
        picture: File to draw reliability and precision over recall into.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: Rows or bundle cannot be used, or there is no matplotlib to draw with.
    """
    corpus = read_corpus(data)
    scorer = TextScorer(bundle, threads=threads, model=model)
    scores = scorer.score(corpus.texts, progress=progress)
    if picture is not None:
        plot(picture, corpus, scores)
    manifest = scorer.manifest
    return evaluate_scores(
        corpus, scores, manifest.labels, bundle=manifest.name, version=manifest.version, rounds=rounds
    )


def evaluate_scores(
    corpus: Corpus, scores: Scores, labels: Sequence[Label], *, bundle: str, version: str, rounds: int = 200
) -> EvaluationReport:
    """Measure scores that exist already."""
    slices: dict[str, NDArray[np.bool_]] = {"all": np.ones(len(corpus), bool)}
    for kind, values in (("source", corpus.sources), ("language", corpus.languages)):
        column = np.array(values)
        for value in sorted({v for v in values if v}):
            slices[f"{kind}:{value}"] = column == value
    figures = []
    for label in labels:
        if label.name not in corpus.truths:
            continue
        for part, rows in slices.items():
            known = rows & ~np.isnan(corpus.truths[label.name])
            truths = corpus.truths[label.name][known] >= POSITIVE
            if min(int(truths.sum()), int((~truths).sum())) < FEWEST:
                continue
            of_label = scores.of(label.name)[known]
            figures.append(_figures(label, part, of_label, truths, rounds if part == "all" else rounds // 4))
    return EvaluationReport(bundle, version, len(corpus), tuple(figures), tuple(_clean(corpus, scores, labels)))


def _figures(
    label: Label, part: str, scores: NDArray[np.float64], truths: NDArray[np.bool_], rounds: int
) -> LabelFigures:
    threshold = 0.5 if label.threshold is None else label.threshold
    precision, recall = precision_recall(scores, truths, threshold)
    score = f1(scores, truths, threshold)
    strict = threshold if label.strict_threshold is None else label.strict_threshold
    _, strict_recall = precision_recall(scores, truths, strict)
    return LabelFigures(
        label.name,
        part,
        int(truths.sum()),
        int((~truths).sum()),
        bootstrap(auc, scores, truths, rounds=rounds),
        bootstrap(average_precision, scores, truths, rounds=rounds),
        threshold,
        None if math.isnan(precision) else precision,
        None if math.isnan(recall) else recall,
        None if math.isnan(score) else score,
        calibration_error(scores, truths),
        strict,
        None if math.isnan(strict_recall) else strict_recall,
    )


def _clean(corpus: Corpus, scores: Scores, labels: Sequence[Label]) -> list[CleanChat]:
    """Measure on rows in which every harm is annotated as absent, and on sentiment rows that are neutral."""
    harms = [label for label in labels if label.group is None]
    known = [corpus.truths[label.name] for label in harms if label.name in corpus.truths]
    if not known:
        return []
    quiet = (np.nan_to_num(np.stack(known), nan=1.0) < POSITIVE).all(0)
    if "sent_neutral" in corpus.truths:
        unjudged = np.isnan(np.stack(known)).all(0)
        quiet |= unjudged & (np.nan_to_num(corpus.truths["sent_neutral"]) >= POSITIVE)
    usual = {label.name: label.threshold for label in harms if label.threshold is not None}
    strict = {label.name: label.strict_threshold for label in harms if label.strict_threshold is not None}
    fires = {name: scores.of(name) >= at for name, at in strict.items()}
    counted = [label.name for label in harms if label.name in usual and not label.experimental]
    nowhere = np.zeros(len(corpus), bool)
    any_fired = np.logical_or.reduce([nowhere, *(scores.of(name) >= usual[name] for name in counted)])
    any_strictly = np.logical_or.reduce([nowhere, *(fires[name] for name in counted)])
    sources = np.array(corpus.sources)
    parts = [("all", quiet), *((s, quiet & (sources == s)) for s in sorted(set(sources[quiet])) if s)]
    out = []
    for name, rows in parts:
        if int(rows.sum()) < FEWEST:
            continue
        by_label = {label: int(fired[rows].sum()) for label, fired in fires.items() if fired[rows].any()}
        out.append(
            CleanChat(str(name), int(rows.sum()), int(any_fired[rows].sum()), int(any_strictly[rows].sum()), by_label)
        )
    return out


def _span(interval: Interval) -> str:
    return f"{interval.value:.3f} ({interval.low:.3f}-{interval.high:.3f})"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
