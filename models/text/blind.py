"""`python -m models.text.blind BUNDLE ...`: bundles on lines written by somebody who knew no training sentence.

The lines are of many registers: chat, games, posts, prompts, stories, news. `written/blind.yaml` is English;
`written/blind_world.yaml`, which `--world` takes, is in fourteen other languages. Nothing is trained on them and no
threshold is chosen on them; whoever writes training sentences must not read them.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from models.text.labels import HARMS
from models.text.written.generate import HERE as WRITTEN
from numpy.typing import NDArray

from modgate.evaluation.metrics import auc, average_precision
from modgate.evaluation.scoring import Scores, TextScorer

__all__ = ["BlindLine", "blind_lines", "main"]

ANY = ("toxic", "threat", "identity_hate", "sexual", "self_harm", "violence")
"""What a general moderation endpoint calls flagged."""

MARKED = tuple(label for label in HARMS if label != "severe_toxic")
"""Labels that the lines are marked for: how severe is too severe is not for one writer to say."""


@dataclass(frozen=True, slots=True)
class BlindLine:
    """A text and what is in it.

    Attributes:
        text: The text.
        present: Labels that must be found.
        debatable: Labels that may or may not be.
        kind: Its register or difficulty.
        language: ISO 639-1 code.
    """

    text: str
    present: frozenset[str]
    debatable: frozenset[str]
    kind: str
    language: str = "en"


def blind_lines(*, world: bool = False) -> list[BlindLine]:
    """Return all English lines, or those in other languages."""
    if world:
        by_language = yaml.safe_load((WRITTEN / "blind_world.yaml").read_text("utf-8"))
    else:
        by_language = {"en": yaml.safe_load((WRITTEN / "blind.yaml").read_text("utf-8"))["rows"]}
    return [
        BlindLine(row["text"], frozenset(row["has"]), frozenset(row.get("open", ())), row.get("kind", "chat"), language)
        for language, rows in by_language.items()
        for row in rows
    ]


def known(lines: Sequence[BlindLine], label: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which lines say anything about a label, and in which it is present."""
    present = np.array([label in line.present for line in lines])
    return np.array([label not in line.debatable for line in lines]), present


def figures(scorer: TextScorer, scores: Scores, lines: Sequence[BlindLine]) -> list[str]:
    """Return one cell a label: AUC, precision and recall at the default threshold; then of any harm, AP and AUC."""
    at = {label.name: label.threshold or 1.0 for label in scorer.manifest.labels}
    cells = []
    for label in MARKED:
        which, present = known(lines, label)
        if not present[which].any():
            cells.append("-")
            continue
        found = scores.of(label)[which] >= at[label]
        truths = present[which]
        precision = f"{truths[found].mean():.2f}" if found.any() else "-"
        area = auc(scores.of(label)[which].astype(float), truths)
        cells.append(f"{area:.3f} / {precision} / {found[truths].mean():.2f}")
    worst = np.max([scores.of(label) for label in ANY], axis=0).astype(float)
    truths = np.array([bool(line.present & set(ANY)) for line in lines])
    clear = truths | np.array([not line.debatable & set(ANY) for line in lines])
    cells.append(f"{average_precision(worst[clear], truths[clear]):.3f} / {auc(worst[clear], truths[clear]):.3f} / -")
    return [*cells, *fired(scorer, scores, lines, np.ones(len(lines), bool))]


def fired(scorer: TextScorer, scores: Scores, lines: Sequence[BlindLine], part: NDArray[np.bool_]) -> list[str]:
    """Return on how many of the harmless lines among some any label fires, at default and at strict thresholds."""
    harmless = part & np.array([not line.present and not line.debatable for line in lines])
    cells = []
    for kind in ("threshold", "strict"):
        levels = {x.name: getattr(x, kind) or 1.0 for x in scorer.manifest.labels if not x.experimental}
        fired = np.stack([scores.of(label)[harmless] >= levels[label] for label in HARMS if label in levels]).any(0)
        cells.append(f"{int(fired.sum())} of {int(harmless.sum())}")
    return cells


def by_language(scorer: TextScorer, scores: Scores, lines: Sequence[BlindLine]) -> dict[str, str]:
    """Return for every language the AUC of toxic and of identity_hate, and on how many harmless lines labels fire."""
    out = {}
    for language in dict.fromkeys(line.language for line in lines):
        mine = np.array([line.language == language for line in lines])
        some = [line for line in lines if line.language == language]
        areas = []
        for label in ("toxic", "identity_hate"):
            which, present = known(some, label)
            areas.append(f"{auc(scores.of(label)[mine][which].astype(float), present[which]):.3f}")
        out[language] = " / ".join([*areas, *fired(scorer, scores, lines, mine)])
    return out


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; with `--show`, the lines that the last bundle gets wrong as well."""
    parser = argparse.ArgumentParser(prog="python -m models.text.blind", description=__doc__)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--world", action="store_true", help="the lines in other languages")
    parser.add_argument("--show", action="store_true", help="print mistakes; spoils the lines for whoever writes more")
    arguments = parser.parse_args(argv)
    lines = blind_lines(world=arguments.world)
    scorers = [TextScorer(bundle) for bundle in arguments.bundles]
    scores = [scorer.score([line.text for line in lines]) for scorer in scorers]
    names = " | ".join(f"{scorer.manifest.name} {scorer.manifest.version}" for scorer in scorers)
    print(f"{len(lines)} lines; AUC / precision / recall at the default threshold\n\n| label | positives | {names} |")
    print("|---|---|" + "---|" * len(scorers))
    columns = [figures(scorer, each, lines) for scorer, each in zip(scorers, scores, strict=True)]
    heads = [*MARKED, "any harm: AP / AUC", "harmless lines fired, default", "harmless lines fired, strict"]
    for head, *cells in zip(heads, *columns, strict=True):
        positives = int(known(lines, head)[1].sum()) if head in HARMS else ""
        print(f"| {head} | {positives} | {' | '.join(cells)} |")
    if arguments.world:
        print(f"\nAUC of toxic / of identity_hate / harmless lines fired, default / strict\n\n| language | {names} |")
        print("|---|" + "---|" * len(scorers))
        rows = [by_language(scorer, each, lines) for scorer, each in zip(scorers, scores, strict=True)]
        for language in rows[0]:
            print(f"| {language} | {' | '.join(row[language] for row in rows)} |")
    if arguments.show:
        at = {label.name: label.threshold or 1.0 for label in scorers[-1].manifest.labels}
        for i, line in enumerate(lines):
            for label in HARMS:
                if label not in line.debatable and (scores[-1].of(label)[i] >= at[label]) != (label in line.present):
                    print(f"{label:14} {scores[-1].of(label)[i]:.2f} {line.kind:10} {line.text[:100]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
