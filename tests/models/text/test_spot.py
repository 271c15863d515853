"""The lines for looking at a bundle: read whole, judged by thresholds, never written for training."""

import gzip
import json
from pathlib import Path

import pytest
from models.text.labels import HARMS
from models.text.rows import normal_key
from models.text.spot import Line, lines, mistakes
from models.text.written.generate import write

from modgate.evaluation import TextScorer

BUNDLE = Path(__file__).parents[3] / "models" / "bundles" / "text-en"


def test_lines_name_labels_that_exist() -> None:
    """Every line is of a known kind, none stands there twice, and harmless lines bar every harm."""
    them = lines()
    assert len(them) > 200
    assert len({normal_key(line.text) for line in them}) == len(them)
    assert all((line.wanted in HARMS) != bool(line.barred) for line in them)


def test_lines_are_not_trained_on(tmp_path: Path) -> None:
    """None of the lines comes out of the grammar."""
    row = {"word": "zorbling", "category": "racial / ethnic slurs", "severity": 3.0}
    with gzip.open(tmp_path / "wordlists.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n")
    written = {normal_key(text) for text in write("en", tmp_path, part="train", scale=0.2, seed=1).texts}
    assert not [line.text for line in lines() if normal_key(line.text) in written]


@pytest.mark.parametrize(
    ("line", "right"),
    [
        (Line("finds", "I will find you and kill you", "threat", ()), True),
        (Line("finds", "see you at nine", "threat", ()), False),
        (Line("leaves", "see you at nine", None, HARMS), True),
        (Line("leaves", "I will find you and kill you", None, HARMS), False),
    ],
)
def test_a_mistake_is_what_is_missed_or_barred(line: Line, *, right: bool) -> None:
    """A wanted label that does not fire is a mistake, and so is a barred one that does."""
    assert (not mistakes(TextScorer(BUNDLE), [line])) is right
