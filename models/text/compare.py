"""`python -m models.text.compare OLD NEW`: two bundles on the same rows, which neither was trained on.

The development rows that thresholds are not chosen on, as in the `evaluate` stage, without the project's own sentences:
those are written for the newer bundle.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from models.text.calibrate import halves
from models.text.evaluate import thin
from models.text.labels import HARMS, LABELS
from models.text.measure import clean_lines, labelled
from models.text.recipes import RECIPES
from models.text.rows import Rows

from modgate.evaluation.metrics import auc
from modgate.evaluation.scoring import Scores, TextScorer

__all__ = ["main"]

FEWEST = 15
"""Positives and negatives that a line of the tables rests on, at the least."""


def held_out(name: str, data: Path) -> tuple[Rows, Rows]:
    """Return labelled rows and clean lines of a recipe, collected ones only."""
    recipe = RECIPES[name]
    rows = labelled(recipe, data, tiers=("A", "A2", "B"))
    rows = rows.take([i for i, source in enumerate(rows.sources) if not source.startswith("written/")])
    rows = thin(rows.take(np.flatnonzero(~halves(rows))), recipe)
    clean = clean_lines(recipe, data)
    return rows, clean.take(np.flatnonzero(~halves(clean)))


def line_of(scorer: TextScorer, scores: Scores, rows: Rows, name: str, part: np.ndarray) -> str | None:
    """Return AUC, precision and recall of a label on some of the rows, or nothing if they are too few."""
    column = LABELS.index(name)
    known = part & (rows.weights[:, column] > 0)
    truths = rows.targets[known, column] >= 0.5
    if min(truths.sum(), (~truths).sum()) < FEWEST:
        return None
    of = scores.of(name)[known]
    at = next(label.threshold or 1.0 for label in scorer.manifest.labels if label.name == name)
    found = of >= at
    precision = f"{truths[found].mean():.3f}" if found.any() else "-"
    return f"{auc(of, truths):.3f} / {precision} / {found[truths].mean():.3f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m models.text.compare", description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--recipe", default="text-en", choices=sorted(RECIPES), help="whose rows are left out")
    parser.add_argument("--by", default="source", choices=("source", "language"), help="which rows share a line")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with text/ and wordlists/")
    arguments = parser.parse_args(argv)
    rows, clean = held_out(arguments.recipe, arguments.data)
    scorers = [TextScorer(bundle) for bundle in arguments.bundles]
    scores = [scorer.score(rows.texts) for scorer in scorers]
    parts = np.array(rows.sources if arguments.by == "source" else rows.languages)
    names = " | ".join(f"{s.manifest.name} {s.manifest.version}" for s in scorers)
    print(f"AUC / precision / recall at the default threshold, {len(rows)} rows\n\n| label | rows of | {names} |")
    print("|---|---|" + "---|" * len(scorers))
    for name in HARMS:
        for which in ("all", *sorted(set(parts))):
            part = parts == which if which != "all" else np.ones(len(rows), bool)
            both = [line_of(scorer, score, rows, name, part) for scorer, score in zip(scorers, scores, strict=True)]
            if None not in both:
                print(f"| {name} | {which} | {' | '.join(map(str, both))} |")
    print(f"\nclean lines on which any label fires, default / strict threshold\n\n| lines of | {names} |")
    print("|---|" + "---|" * len(scorers))
    kept = [(scorer, scorer.score(clean.texts)) for scorer in scorers]
    where = np.array(clean.sources)
    for source in sorted(set(clean.sources)):
        part = where == source
        fired = [f"{_fired(s, x, part, 'threshold')} / {_fired(s, x, part, 'strict')}" for s, x in kept]
        print(f"| {source}, {part.sum()} | {' | '.join(fired)} |")
    return 0


def _fired(scorer: TextScorer, scores: Scores, part: np.ndarray, which: str) -> int:
    at = {x.name: getattr(x, which) for x in scorer.manifest.labels if x.name in HARMS and not x.experimental}
    return int(np.stack([scores.of(n)[part] >= t for n, t in at.items() if t is not None]).any(0).sum())


if __name__ == "__main__":
    raise SystemExit(main())
