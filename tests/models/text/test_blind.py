"""The blind lines: read whole, of many registers, never written for training."""

import gzip
import json
from pathlib import Path

from models.text.blind import blind_lines, by_language, figures, known
from models.text.labels import HARMS
from models.text.written.generate import languages, write

from modgate.evaluation.scoring import TextScorer

BUNDLE = Path(__file__).parents[3] / "models" / "bundles" / "text-en"


def key(text: str) -> str:
    """Return what is left of a text without case, punctuation and spacing; all of it in scripts without case."""
    return "".join(c for c in text.casefold() if c.isalnum())


def test_blind_lines_are_sound() -> None:
    """Labels exist and do not contradict each other, no line stands there twice, and many lines are harmless."""
    lines = [*blind_lines(), *blind_lines(world=True)]
    assert len({line.text for line in lines}) == len(lines) > 1300
    assert {line.language for line in lines} == set(languages())
    assert all(line.present | line.debatable <= set(HARMS) and not line.present & line.debatable for line in lines)
    assert sum(not line.present for line in lines) > 250


def test_blind_lines_are_not_trained_on(tmp_path: Path) -> None:
    """None of the lines comes out of the grammar."""
    row = {"word": "zorbling", "category": "racial / ethnic slurs", "severity": 3.0}
    with gzip.open(tmp_path / "wordlists.jsonl.gz", "wt") as file:
        file.write(json.dumps(row) + "\n")
    lines = [*blind_lines(), *blind_lines(world=True)]
    for language in languages():
        written = {key(text) for text in write(language, tmp_path, part="train", scale=0.2, seed=1).texts}
        assert not [line.text for line in lines if line.language == language and key(line.text) in written]


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


def test_every_language_has_its_line() -> None:
    """The multilingual model tells abuse from the rest in every language."""
    lines = blind_lines(world=True)
    scorer = TextScorer(BUNDLE.parent / "text-multi")
    rows = by_language(scorer, scorer.score([line.text for line in lines]), lines)
    assert set(rows) == set(languages()) - {"en"}
    assert all(float(row.split(" / ")[0]) > 0.6 for row in rows.values())
