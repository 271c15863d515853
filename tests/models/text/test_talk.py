"""The teacher of talk pages: its vocabulary runs nothing, and it is the one that saw no test comment."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
h5py = pytest.importorskip("h5py")

import numpy as np  # noqa: E402 - after the skips
from models.text.labels import LABELS, TALK  # noqa: E402
from models.text.mix import teach  # noqa: E402
from models.text.rows import Rows  # noqa: E402
from models.text.talk import COMMENTS, STATE, WIDTH, WORDS, read_talk  # noqa: E402


class Tokenizer:
    """Pickled by its attributes, as the package's is."""


class Evil:
    """Would run a command when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


def package(folder: Path, comments: int, extra: object = None) -> Path:
    """Write a package with random weights."""
    model = folder / "toxic_classifier" / "model"
    model.mkdir(parents=True)
    tokenizer = Tokenizer()
    tokenizer.__dict__ = {
        "document_count": comments,
        "word_counts": OrderedDict(you=3),
        "word_index": {"you": 1, "idiot": 2, "rare": WORDS},
        "extra": extra,
    }
    (model / "tokenizer.pickle").write_bytes(pickle.dumps(tokenizer))
    rng = np.random.default_rng(1)
    shapes = {"embedding/vars/0": (WORDS, WIDTH), "dense/vars/0": (2 * STATE, STATE), "dense/vars/1": (STATE,)}
    shapes |= {"dense_1/vars/0": (STATE, len(TALK)), "dense_1/vars/1": (len(TALK),)}
    for side in ("forward", "backward"):
        cell = f"bidirectional/{side}_layer/cell/vars"
        shapes |= {f"{cell}/0": (WIDTH, 4 * STATE), f"{cell}/1": (STATE, 4 * STATE), f"{cell}/2": (4 * STATE,)}
    with h5py.File(model / "model.weights.h5", "w") as file:
        for path, shape in shapes.items():
            file[f"layers/{path}"] = rng.normal(0, 0.1, shape).astype(np.float32)
    return folder


def test_reads_a_package(tmp_path: Path) -> None:
    """Known words count, rare and unknown ones do not, and every text gets a probability of every label."""
    talk = read_talk(package(tmp_path, COMMENTS))
    assert talk.known("You, IDIOT! rare unheard") == [1, 2]
    scores = talk(["you idiot", "", "x" * 10_000])
    assert scores.shape == (3, len(TALK))
    assert ((scores > 0) & (scores < 1)).all()
    assert np.array_equal(scores[1], scores[2])


def test_refuses_what_saw_other_comments(tmp_path: Path) -> None:
    """A classifier that was also trained on the challenge's test comments may not teach."""
    with pytest.raises(ValueError, match="312735 comments"):
        read_talk(package(tmp_path, 312_735))


def test_runs_nothing(tmp_path: Path) -> None:
    """A vocabulary that would call something is refused."""
    with pytest.raises(pickle.UnpicklingError, match="not expected"):
        read_talk(package(tmp_path, COMMENTS, extra=Evil()))


def test_teaches_only_what_nobody_said() -> None:
    """What was annotated stays, rows that name a group or are not English stay open, hate is never taught."""
    texts = ["you idiot", "you idiot", "gay and proud", "du Idiot"]
    targets, weights = np.zeros((4, len(LABELS)), np.float32), np.zeros((4, len(LABELS)), np.float32)
    weights[1] = 1
    rows = Rows(texts, ["en", "en", "en", "de"], ["a"] * 4, targets, weights)
    teach(rows, lambda texts: np.full((len(texts), len(TALK)), 0.9, np.float32))
    taught = weights[0] > 0
    assert {LABELS[i] for i in np.flatnonzero(taught)} == set(TALK) - {"identity_hate"}
    assert np.allclose(targets[0][taught], 0.9)
    assert not targets[1].any()
    assert not weights[2:].any()
