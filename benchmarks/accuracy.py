"""`python -m benchmarks accuracy`: how good a text bundle is on labelled rows, and what a cascade misses.

Rows come from JSON lines or Parquet with `text` and label columns (`modgate.evaluation.corpus`). Any bundle that the
server loads can be measured, so that an operator can compare an own classifier. Exits with 1 if a threshold of
`--at-least` or `--at-most` is not met.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from modgate.evaluation import Corpus, EvaluationReport, Scores, TextScorer, evaluate_scores, plot, read_corpus

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "tests/data/accuracy_smoke.jsonl"


def options(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks accuracy", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "models/bundles/text-en", help="folder of a text bundle")
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/text"), help="file or folder of labelled rows"
    )
    parser.add_argument("--languages", default="", help="only these, such as en,de; all by default")
    parser.add_argument("--per-source", type=int, default=2000, help="at most so many rows of a source, seeded")
    parser.add_argument("--cascade", type=Path, help="folder of a first stage to put before the bundle")
    parser.add_argument("--rounds", type=int, default=200, help="bootstrap resamples of the confidence intervals")
    parser.add_argument("--sources", action="store_true", help="also print the tables by source and language")
    parser.add_argument("--at-least", metavar="LABEL=AUC", action="append", default=[], help="exit with 1 below it")
    parser.add_argument("--at-most", type=float, metavar="N", help="exit with 1 if more of 10,000 clean lines fire")
    parser.add_argument("--smoke", action="store_true", help="a few rows that come with the sources")
    parser.add_argument("--json", type=Path, help="write the report there")
    parser.add_argument("--plot", type=Path, help="write a picture of reliability and precision over recall there")
    return parser.parse_args(argv)


def chosen(corpus: Corpus, languages: str, per_source: int) -> Corpus:
    """Return the rows in the languages asked for, at most so many of each source."""
    rng = np.random.default_rng(1)
    spoken = {code for code in languages.split(",") if code}
    rows = [i for i, code in enumerate(corpus.languages) if not spoken or code in spoken]
    by_source: dict[str, list[int]] = {}
    for i in rng.permutation(np.array(rows, np.int64)):
        by_source.setdefault(corpus.sources[i], []).append(int(i))
    return corpus.take(np.array(sorted(i for found in by_source.values() for i in found[:per_source]), np.int64))


def cascade(full: TextScorer, first: TextScorer, corpus: Corpus, theirs: Scores) -> dict[str, float]:
    """Return how many rows a first stage decides, and on how many it hides what the full model fires on."""
    wanted = {x.name: x.threshold for x in full.manifest.labels if x.threshold is not None and x.group is None}
    certain = {x.name: x.certain_below for x in first.manifest.labels}
    missing = [name for name in wanted if certain.get(name) is None]
    if missing:
        raise ValueError(
            f"{first.manifest.name} is no first stage: `certain_below` is missing for {', '.join(missing)}"
        )
    ours = first.score(corpus.texts)
    plain = np.stack([ours.of(name) < (certain[name] or 0.0) for name in wanted]).all(0)
    fires = np.stack([theirs.of(name) >= at for name, at in wanted.items()]).any(0)
    return {
        "rows": len(corpus),
        "decided_by_first": round(float(plain.mean()), 4),
        "differing": round(float((plain & fires).mean()), 5),
    }


def failures(report: EvaluationReport, at_least: Sequence[str], at_most: float | None) -> list[str]:
    """Return what missed its threshold."""
    found = []
    for wanted in at_least:
        label, _, least = wanted.partition("=")
        figures = report.of(label)
        if figures is None or figures.auc.value < float(least):
            found.append(f"{label}: AUC {'unknown' if figures is None else f'{figures.auc.value:.3f}'}, wanted {least}")
    everything = next((clean for clean in report.clean if clean.source == "all"), None)
    if at_most is not None and everything is not None and everything.per_10_000 > at_most:
        found.append(f"clean lines: {everything.per_10_000:.1f} per 10,000 fired, wanted at most {at_most}")
    return found


def main(argv: Sequence[str]) -> int:
    """Measure, print, and say whether the thresholds were met."""
    given = options(argv)
    try:
        corpus = chosen(read_corpus(SMOKE if given.smoke else given.data), given.languages, given.per_source)
        scorer = TextScorer(given.bundle)
        first = TextScorer(given.cascade) if given.cascade else None
        scores = scorer.score(corpus.texts)
        pair = cascade(scorer, first, corpus, scores) if first else None
    except (OSError, ValueError) as error:
        print(f"accuracy: {error}", file=sys.stderr)
        return 2
    manifest = scorer.manifest
    report = evaluate_scores(
        corpus, scores, manifest.labels, bundle=manifest.name, version=manifest.version, rounds=given.rounds
    )
    print(f"{report.bundle} {report.version}, {report.rows} rows\n")
    print(report.as_markdown(("",) if given.sources else ("all",)))
    if pair:
        print(f"\ncascade: {json.dumps(pair)}")
    if given.json:
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        when = datetime.now(UTC).isoformat(timespec="seconds")
        given.json.write_text(json.dumps({"at": when, **machine, **report.as_json(), "cascade": pair}, indent=1) + "\n")
    if given.plot:
        plot(given.plot, corpus, scores)
    missed = failures(report, given.at_least, given.at_most)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0
