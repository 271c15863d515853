"""The blind lines: read whole, of many registers, never written for training."""

import gzip
import json
from pathlib import Path

from models.text.blind import blind_lines, figures, known
from models.text.labels import HARMS
from models.text.rows import normal_key
from models.text.written.generate import write

from modgate.evaluation.scoring import TextScorer

BUNDLE = Path(__file__).parents[3] / "models" / "bundles" / "text-en"


def test_blind_lines_are_sound() -> None:
    """Labels exist and do not contradict each other, no line stands there twice, and many lines are harmless."""
    lines = blind_lines()
    assert len({normal_key(line.text) for line in lines}) == len(lines) > 700
    assert all(line.present | line.debatable <= set(HARMS) and not line.present & line.debatable for line in lines)
    assert sum(not line.present for line in lines) > 250


def test_blind_lines_are_not_trained_on(tmp_path: Path) -> None:
    """None of the lines comes out of the grammar."""
    row = {"word": "zorbling", "category": "racial / ethnic slurs", "severity": 3.0}
    with gzip.open(tmp_path / "wordlists.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n")
    written = {normal_key(text) for text in write("en", tmp_path, part="train", scale=0.2, seed=1).texts}
    assert not [line.text for line in blind_lines() if normal_key(line.text) in written]


def test_debatable_labels_do_not_count() -> None:
    """A line says nothing about a label that is debatable in it, and every other label is absent or present."""
    lines = [line for line in blind_lines() if line.debatable][:5]
    for label in HARMS:
        which, present = known(lines, label)
        assert list(which) == [label not in line.debatable for line in lines]
        assert list(present) == [label in line.present for line in lines]


def test_figures_have_a_cell_for_every_head() -> None:
    """The shipped model tells the lines apart better than chance."""
    lines = blind_lines()
    scorer = TextScorer(BUNDLE)
    cells = figures(scorer, scorer.score([line.text for line in lines]), lines)
    assert len(cells) == len(HARMS) - 1 + 3
    assert all(float(cell.split(" / ")[0]) > 0.7 for cell in cells[: len(HARMS) - 1])
