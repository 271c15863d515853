"""`python -m models.text.probe BUNDLE`: how well a bundle tells the probe's hateful lines from its harmless ones."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from models.text.written.generate import HERE as WRITTEN

from modgate.evaluation.metrics import auc
from modgate.evaluation.scoring import TextScorer

__all__ = ["main", "probe"]

LABELS = ("toxic", "identity_hate")


def probe() -> dict[str, tuple[list[str], list[str]]]:
    """Return the hateful and the harmless lines of every language."""
    raw = yaml.safe_load((WRITTEN / "probe.yaml").read_text())
    return {language: (lines["hateful"], lines["harmless"]) for language, lines in raw.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Print the AUC of two labels by language, and their means."""
    parser = argparse.ArgumentParser(prog="python -m models.text.probe", description=__doc__)
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    arguments = parser.parse_args(argv)
    scorer = TextScorer(arguments.bundle)
    print(f"{scorer.manifest.name} {scorer.manifest.version}\n| language | {' | '.join(LABELS)} |\n|---|---|---|")
    rows = []
    for language, (hateful, harmless) in probe().items():
        scores = scorer.score([*hateful, *harmless])
        truths = np.arange(len(hateful) + len(harmless)) < len(hateful)
        rows.append([auc(scores.of(label).astype(np.float64), truths) for label in LABELS])
        print(f"| {language} | {' | '.join(f'{value:.3f}' for value in rows[-1])} |")
    print(f"| mean | {' | '.join(f'{value:.3f}' for value in np.mean(rows, axis=0))} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
