"""What is claimed of a bundle: figures by label and set, bias, quantisation loss, retrieval, latency."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml
from models.text.calibrate import halves
from models.text.labels import HARMS
from models.text.measure import as_corpus, clean_lines, labelled
from models.text.recipes import Recipe
from models.text.rows import Rows, concatenate
from models.text.statements import IDENTITIES, STATEMENTS
from models.text.written.generate import HERE as WRITTEN

from modgate.evaluation.metrics import auc
from modgate.evaluation.report import EvaluationReport, evaluate_scores
from modgate.evaluation.scoring import Scores, TextScorer

__all__ = ["Facts", "evaluate", "latency", "thin"]

PRESENT = 0.5
"""Target from which on a label counts as present."""
SCARCE = 100
"""Collected positives of a label below which none is left out of what is measured."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the card says.

    Attributes:
        report: By label, source and language.
        identity: Highest harm score of each identity's statements, and how many fired, out of how many.
        lost: AUC that quantisation cost, by label.
        cosine: Mean cosine of int8 and float32 embeddings.
        retrieval: Share of paraphrases found first: by the original encoder, and by the bundle.
        latency: Milliseconds of one message by number of tokens, one thread, median: of the bundle, and of the plain
            encoder that is the yardstick, in turns.
    """

    report: EvaluationReport
    identity: dict[str, tuple[float, int, int]]
    lost: dict[str, float]
    cosine: float
    retrieval: tuple[float, float]
    latency: dict[int, tuple[float, float]]

    def write(self, path: Path) -> None:
        """Write as JSON."""
        values = {**asdict(self), "report": self.report.as_json()}
        path.write_text(json.dumps(values, indent=1) + "\n")


def evaluate(
    recipe: Recipe,
    data: Path,
    bundle: Path,
    float32: Path,
    *,
    original: Callable[[list[str]], np.ndarray],
    plain: Path,
) -> Facts:
    """Measure a bundle on the half of the development rows that its thresholds were not chosen on.

    Args:
        recipe: How it was made.
        data: Folder with `text/` and `wordlists/`.
        bundle: Its folder.
        float32: The model before quantisation.
        original: Embeds sentences with the encoder before training.
        plain: MiniLM-L6 as published, in int8: what latency is compared with.
    """
    scorer = TextScorer(bundle)
    rows = labelled(recipe, data, tiers=("A", "A2", "B"))
    rows = thin(rows.take(np.flatnonzero(~halves(rows))), recipe)
    clean = clean_lines(recipe, data)
    clean = clean.take(np.flatnonzero(~halves(clean)))
    both = concatenate([rows, clean])
    scores = scorer.score(both.texts)
    manifest = scorer.manifest
    report = evaluate_scores(as_corpus(both), scores, manifest.labels, bundle=manifest.name, version=manifest.version)
    return Facts(
        report=report,
        identity=_identity(scorer),
        lost=_lost(rows, scores, TextScorer(bundle, model=float32), 3 * recipe.measured),
        cosine=_cosine(scorer, TextScorer(bundle, model=float32)),
        retrieval=_retrieval(scorer, original),
        latency=latency(scorer, TextScorer(bundle, model=plain)),
    )


def thin(rows: Rows, recipe: Recipe) -> Rows:
    """Return at most so many rows of every source and language as the recipe wants to measure.

    Rows that have a label of which there are few stay, however many their source has: they are all the evidence.
    """
    rng = np.random.default_rng(recipe.seed)
    collected = np.array([not source.startswith("written/") for source in rows.sources])
    present = (rows.weights[:, : len(HARMS)] > 0) & (rows.targets[:, : len(HARMS)] >= PRESENT) & collected[:, None]
    precious = present[:, present.sum(0) < SCARCE].any(1)
    parts = np.array([f"{source} {language}" for source, language in zip(rows.sources, rows.languages, strict=True)])
    chosen = []
    for part in sorted(set(parts)):
        there = rng.permutation(np.flatnonzero(parts == part))
        rest = there[recipe.measured :]
        chosen += [there[: recipe.measured], rest[precious[rest]]]
    return rows.take(np.concatenate(chosen))


def _identity(scorer: TextScorer) -> dict[str, tuple[float, int, int]]:
    thresholds = {x.name: x.threshold for x in scorer.manifest.labels if not x.experimental and x.name in HARMS}
    out = {}
    for identity in IDENTITIES:
        scores = scorer.score([statement.format(identity) for statement in STATEMENTS])
        over = np.stack([scores.of(name) >= (at or 1) for name, at in thresholds.items()]).any(0)
        highest = max(float(scores.of(name).max()) for name in thresholds)
        out[identity] = (round(highest, 3), int(over.sum()), len(STATEMENTS))
    return out


def _lost(rows: Rows, quantised: Scores, original: TextScorer, count: int) -> dict[str, float]:
    some = np.random.default_rng(1).permutation(len(rows))[:count]
    full = original.score([rows.texts[i] for i in some])
    out = {}
    for column, name in enumerate(HARMS):
        known = rows.weights[some, column] > 0
        truths = rows.targets[some, column][known] >= 0.5
        if truths.sum() >= 20:
            out[name] = round(auc(full.of(name)[known], truths) - auc(quantised.of(name)[some][known], truths), 4)
    return out


def _paraphrases() -> tuple[list[str], list[str]]:
    pairs = yaml.safe_load((WRITTEN / "paraphrases.yaml").read_text())["en"]
    return [a for a, _ in pairs], [b for _, b in pairs]


def _cosine(quantised: TextScorer, original: TextScorer) -> float:
    texts = [text for side in _paraphrases() for text in side]
    return round(float((quantised.embed(texts) * original.embed(texts)).sum(1).mean()), 4)


def _retrieval(scorer: TextScorer, original: Callable[[list[str]], np.ndarray]) -> tuple[float, float]:
    left, right = _paraphrases()

    def first(a: np.ndarray, b: np.ndarray) -> float:
        return round(float(((a @ b.T).argmax(1) == np.arange(len(a))).mean()), 3)

    return first(original(left), original(right)), first(scorer.embed(left), scorer.embed(right))


def latency(scorer: TextScorer, plain: TextScorer, rounds: int = 80) -> dict[int, tuple[float, float]]:
    """Return the median milliseconds of one message by its tokens: of a bundle and of the yardstick, in turns."""
    # The yardstick is padded, whatever the bundle is.
    plain.text = plain.text.model_copy(update={"lengths": None})
    out = {}
    for tokens in (16, 32, 64, 128):
        took = np.array([[each.time_pass(tokens, time.thread_time) for each in (scorer, plain)] for _ in range(rounds)])
        ours, theirs = np.median(took, axis=0) * 1e3
        out[tokens] = (round(float(ours), 2), round(float(theirs), 2))
    return out
