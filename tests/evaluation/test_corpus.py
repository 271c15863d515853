"""Reading labelled rows."""

import json
from pathlib import Path

import numpy as np
import pytest

from modgate.evaluation.corpus import read_corpus


def test_missing_labels_are_unknown(tmp_path: Path) -> None:
    """A label that a row does not name is unknown, not absent; neutral is what the other sentiments leave."""
    rows = [
        {"text": "a", "toxic": 1, "lang": "en", "source": "x"},
        {"text": "b", "insult": 0.0, "sent_neg": 0.25, "sent_pos": 0.25},
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    corpus = read_corpus(tmp_path)
    assert corpus.texts == ["a", "b"]
    assert corpus.languages == ["en", ""]
    assert np.isnan(corpus.truths["toxic"][1])
    assert np.isnan(corpus.truths["insult"][0])
    assert corpus.truths["sent_neutral"][1] == pytest.approx(0.5)


def test_bad_line_is_named(tmp_path: Path) -> None:
    """The error says which line of which file is no row."""
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "fine"}\n{"words": 1}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl:2: expected an object"):
        read_corpus(file)


def test_empty_folder(tmp_path: Path) -> None:
    """A folder without rows is an error that says what is wanted."""
    with pytest.raises(ValueError, match=r"no \.jsonl or \.parquet file"):
        read_corpus(tmp_path)
