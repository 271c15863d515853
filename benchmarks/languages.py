"""`python -m benchmarks languages`: which bundle reads messages of which language, and what telling them apart costs.

Rows come from JSON lines or Parquet with `text`, `lang` and `source` (`modgate.evaluation.corpus`).
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks._report import environment
from modgate.evaluation import read_corpus
from modgate.inference.by_language import DOUBTFUL, SURE
from modgate.inference.languages import ForeignShare
from modgate.inference.manifest import Manifest

ROOT = Path(__file__).parents[1]
SMOKE = ROOT / "tests/data/accuracy_smoke.jsonl"
FEWEST = 30


def options(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks languages", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/text/dev.parquet"), help="rows with `lang`")
    parser.add_argument("--own", type=Path, default=ROOT / "models/bundles/text-en", help="folder of the first bundle")
    parser.add_argument("--others", type=Path, default=ROOT / "models/bundles/text-multi", help="and of the second")
    parser.add_argument("--per-source", type=int, default=300, help="at most so many rows of a source and language")
    parser.add_argument("--smoke", action="store_true", help="a few rows that come with the sources")
    parser.add_argument("--json", type=Path, help="write the figures there")
    return parser.parse_args(argv)


def spoken(bundle: Path) -> tuple[str, ...]:
    """Return the languages that a text bundle reads."""
    manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
    return tuple(manifest.text.languages) if manifest.text is not None else ()


def main(argv: Sequence[str]) -> int:
    """Tell, time, print."""
    given = options(argv)
    try:
        corpus = read_corpus(SMOKE if given.smoke else given.data)
        foreign = ForeignShare(spoken(given.own), spoken(given.others))
    except (OSError, ValueError) as error:
        print(f"languages: {error}", file=sys.stderr)
        return 2
    rng = np.random.default_rng(1)
    parts: dict[tuple[str, str], list[float]] = {}
    took = []
    for i in rng.permutation(len(corpus)):
        mine = parts.setdefault((corpus.languages[i], corpus.sources[i]), [])
        if len(mine) < given.per_source:
            started = time.perf_counter()
            mine.append(foreign(corpus.texts[i]))
            took.append(time.perf_counter() - started)
    figures = [
        {
            "language": language,
            "source": source,
            "lines": len(shares),
            "first_bundle": round(float(np.mean(np.array(shares) < DOUBTFUL)), 3),
            "both": round(float(np.mean((np.array(shares) >= DOUBTFUL) & (np.array(shares) < SURE))), 3),
            "second_bundle": round(float(np.mean(np.array(shares) >= SURE)), 3),
        }
        for (language, source), shares in sorted(parts.items())
        if len(shares) >= (1 if given.smoke else FEWEST)
    ]
    print("| language | source | lines | first bundle | both | second bundle |\n|---|---|---|---|---|---|")
    for row in figures:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    microseconds = {
        "p50": round(1e6 * float(np.median(took)), 1),
        "p99": round(1e6 * float(np.quantile(took, 0.99)), 1),
    }
    print(f"\n{len(took)} texts, {microseconds['p50']} us each (p99 {microseconds['p99']} us)")
    if given.json:
        given.json.write_text(json.dumps({**environment(), "figures": figures, "us": microseconds}, indent=1) + "\n")
    return 0
