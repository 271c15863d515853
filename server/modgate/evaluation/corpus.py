"""Labelled rows from files: JSON lines, or Parquet where `pyarrow` is installed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["NOT_LABELS", "Corpus", "read_corpus"]

NOT_LABELS = frozenset({"text", "lang", "source", "split", "tier", "orig", "id"})
"""Columns that describe a row; every other numeric column is a label."""

RENAMED = {"sent_neg": "sent_negative", "sent_pos": "sent_positive"}


@dataclass(frozen=True, slots=True)
class Corpus:
    """Texts with truths.

    Attributes:
        texts: The texts.
        languages: Code of each, empty if not given.
        sources: Where each comes from, empty if not given.
        truths: By label, float64 [texts]: 0..1, NaN where not annotated.
    """

    texts: list[str]
    languages: list[str]
    sources: list[str]
    truths: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: NDArray[np.int64]) -> "Corpus":
        """Return the rows at these positions."""
        return Corpus(
            [self.texts[i] for i in rows],
            [self.languages[i] for i in rows],
            [self.sources[i] for i in rows],
            {label: values[rows] for label, values in self.truths.items()},
        )


def read_corpus(path: Path) -> Corpus:
    """Read a file, or all `.jsonl` and `.parquet` files of a folder (of Parquet splits only `dev` and `test`).

    Raises:
        ValueError: Nothing to read, a line that is no JSON object with `text`, or no `pyarrow` for Parquet.
    """
    files = [path] if path.is_file() else sorted([*path.glob("*.jsonl"), *path.glob("*.parquet")])
    files = [file for file in files if path.is_file() or file.stem != "train"]
    if not files:
        raise ValueError(f"no .jsonl or .parquet file in {path}; give a file or a folder with labelled rows")
    rows: list[Mapping[str, object]] = []
    for file in files:
        rows.extend(_parquet(file) if file.suffix == ".parquet" else _lines(file))
    return _corpus(rows)


def _lines(file: Path) -> Iterable[Mapping[str, object]]:
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{file}:{number}: not JSON ({error.msg})") from error
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            # A wrong file, not a wrong call.
            raise ValueError(  # noqa: TRY004 - as for every other unreadable line
                f'{file}:{number}: expected an object such as {{"text": "...", "toxic": 1}}'
            )
        yield row


def _parquet(file: Path) -> Iterable[Mapping[str, object]]:
    try:
        import pyarrow.parquet as pq  # noqa: PLC0415 - optional: the server itself does not need it
    except ImportError as error:
        raise ValueError(f"{file}: reading Parquet needs `pip install pyarrow`; JSON lines do without") from error
    table: list[Mapping[str, object]] = pq.read_table(file).to_pylist()
    return table


def _corpus(rows: list[Mapping[str, object]]) -> Corpus:
    names = {
        name for row in rows for name, value in row.items() if name not in NOT_LABELS and isinstance(value, int | float)
    }
    truths = {
        RENAMED.get(name, name): np.array([_number(row.get(name)) for row in rows], np.float64)
        for name in sorted(names)
    }
    if "sent_negative" in truths and "sent_positive" in truths and "sent_neutral" not in truths:
        truths["sent_neutral"] = np.clip(1 - truths["sent_negative"] - truths["sent_positive"], 0, 1)
    return Corpus(
        [str(row["text"]) for row in rows],
        [str(row.get("lang") or "") for row in rows],
        [str(row.get("source") or "") for row in rows],
        truths,
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")
