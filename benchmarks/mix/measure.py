"""Measures the lengths of real chat lines, as counts: `python benchmarks/mix/measure.py TABLE --out lengths.json`.

TABLE is a Parquet file with the columns `text` and `source`. Only the histogram is kept, never a line.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

_EDGES = [1, 4, 8, 12, 16, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 135, 150, 180, 240, 320, 450]


def measure(table: dict[str, list[Any]], sources: list[str]) -> dict[str, Any]:
    """Return the share of lines in each band of lengths (code points); every source weighs the same."""
    shares = np.zeros(len(_EDGES) - 1)
    counts = {}
    for source in sources:
        lengths = [
            min(max(len(text), _EDGES[0]), _EDGES[-1] - 1)
            for text, origin in zip(table["text"], table["source"], strict=True)
            if origin == source
        ]
        counts[source] = len(lengths)
        shares += np.histogram(lengths, bins=_EDGES)[0] / len(lengths) / len(sources)
    return {"lines": counts, "edges": _EDGES, "shares": [round(float(share), 5) for share in shares]}


def main(argv: list[str]) -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--sources", default="goemotions,irc_ubuntu")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    table = pq.read_table(options.table, columns=["text", "source"]).to_pydict()
    options.out.write_text(json.dumps(measure(table, options.sources.split(","))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
