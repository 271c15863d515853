"""Targets and weights out of partly annotated labels."""

import numpy as np
from models.text.labels import COLUMNS, LABELS
from models.text.rows import Rows, complete, concatenate

NAN = float("nan")


def _rows(*known: dict[str, float], texts: list[str] | None = None, assume: bool = True) -> Rows:
    table = np.array([[row.get(name, NAN) for name in COLUMNS] for row in known], np.float32)
    given = texts or ["some words"] * len(known)
    return complete(given, ["en"] * len(known), ["test"] * len(known), table, assume=assume)


def _cell(rows: Rows, row: int, label: str) -> tuple[float, float]:
    column = LABELS.index(label)
    return float(rows.targets[row, column]), float(rows.weights[row, column])


def test_unknown_is_masked() -> None:
    """A label that nobody annotated has no weight in the loss."""
    rows = _rows({"toxic": 1.0}, assume=False)
    assert _cell(rows, 0, "toxic") == (1.0, 1.0)
    assert _cell(rows, 0, "sexual")[1] == 0


def test_implications() -> None:
    """What is polite is no threat; what is a threat is toxic."""
    rows = _rows({"toxic": 0.0}, {"threat": 1.0})
    assert _cell(rows, 0, "threat")[0] == 0
    assert _cell(rows, 0, "threat")[1] > 0
    assert _cell(rows, 1, "toxic")[0] == 1
    assert _cell(rows, 1, "toxic")[1] > 0


def test_assumed_absent_unless_hinted() -> None:
    """Abuse without a word about death is assumed to be no self-harm; with one it is left open."""
    rows = _rows({"toxic": 1.0}, {"toxic": 1.0}, texts=["you are an idiot", "just die already"])
    assert _cell(rows, 0, "self_harm")[1] > 0
    assert _cell(rows, 1, "self_harm")[1] == 0


def test_sentiment_shares() -> None:
    """Neutral is what negative and positive leave."""
    rows = _rows({"sent_neg": 0.25, "sent_pos": 0.5})
    assert _cell(rows, 0, "sent_neutral") == (0.25, 1.0)


def test_concatenate_and_take() -> None:
    """Rows survive being joined and picked."""
    rows = concatenate([_rows({"toxic": 1.0}), _rows({"toxic": 0.0})]).take([1])
    assert len(rows) == 1
    assert _cell(rows, 0, "toxic")[0] == 0
