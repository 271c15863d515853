"""The first stage of a cascade: a tiny network over the full model's tokens that says which messages are plainly clean.

It learns the full model's scores, not the labels: what counts is that it never calls plain what the full model would
stop. `python -m models.text.build text-first`, after `text-en` is built.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from models.text.calibrate import halves
from models.text.evaluate import thin
from models.text.export import padded_to_onnx, quantise
from models.text.labels import HARMS, LABELS
from models.text.measure import clean_lines, labelled
from models.text.mix import collect
from models.text.recipes import RECIPES
from models.text.rows import Rows, concatenate
from models.text.tokens import encode
from models.text.training import order, pad
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from modgate.evaluation.scoring import TextScorer

__all__ = ["FirstStage", "Tiny", "certain", "distil", "teach"]

Floats = NDArray[np.float64]

TOKENS = 192
"""Of a batch that the full model scores: its attention costs their square."""
DIFFERING = 0.004
"""Messages on which the cascade may miss what the full model fires on; the aim is 0.5 %."""


class Tiny(nn.Module):
    """Embeddings of 64, two convolutions over three tokens each, mean and maximum, one hidden layer.

    Args:
        known: Word embeddings of the full model, [words, dimensions]. Their main components are where training begins,
            so that words which it never meets still lie beside their like.
    """

    def __init__(self, known: Tensor, size: int = 64, wide: int = 160) -> None:
        super().__init__()
        self.words = nn.Embedding(len(known), size)
        self.see = nn.Linear(3 * size, wide)
        self.look = nn.Linear(3 * wide, wide)
        self.hidden = nn.Linear(4 * wide + size, wide)
        self.classify = nn.Linear(wide, len(LABELS))
        self.dropout = nn.Dropout(0.1)
        with torch.no_grad():
            centred = known - known.mean(0)
            _, axes = torch.linalg.eigh(centred.T @ centred)
            main = centred @ axes[:, -size:]
            self.words.weight.copy_(0.1 * main / main.std())

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits [batch, labels]."""
        keep = mask.to(self.words.weight.dtype)[:, :, None]
        x = self.dropout(self.words(ids)) * keep
        seen = functional.relu(self.see(_around(x))) * keep
        looked = functional.relu(self.look(_around(seen))) * keep
        count = keep.sum(1).clamp(min=1)
        means = [each.sum(1) / count for each in (x, seen, looked)]
        pooled = torch.cat([*means, seen.max(1).values, looked.max(1).values], -1)
        logits: Tensor = self.classify(self.dropout(functional.relu(self.hidden(pooled))))
        return logits


def _around(x: Tensor) -> Tensor:
    """Return every token beside its neighbours, [batch, tokens, 3 * size]; zeros beyond the edges."""
    edge = x[:, :1] * 0
    return torch.cat([torch.cat([edge, x[:, :-1]], 1), x, torch.cat([x[:, 1:], edge], 1)], -1)


@dataclass(frozen=True, slots=True)
class FirstStage:
    """Where the first stage's files lie.

    Attributes:
        data: Folder with `text/` and `wordlists/`.
        full: Bundle of the full model.
        work: For intermediate files.
    """

    data: Path
    full: Path
    work: Path


def teach(stage: FirstStage, rows: int = 160_000) -> None:
    """Score training texts with the full model: its own, so that what it is measured on is new to both."""
    recipe = RECIPES["text-en"]
    taught = collect(stage.data, recipe.mix, written=recipe.written, seed=recipe.seed, most=recipe.most)
    texts = taught.texts[:rows]
    scorer = TextScorer(stage.full)
    ids = encode(scorer.tokenizer, texts, 96)
    out = np.zeros((len(ids), len(LABELS)), np.float32)
    by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    ends = np.cumsum([len(ids[i]) for i in by_length]) // TOKENS
    batches = np.split(np.array(by_length), np.flatnonzero(np.diff(ends)) + 1)
    for at in tqdm(batches, unit="batch", desc="teacher", mininterval=5):
        out[at] = scorer.raw([ids[i] for i in at])
    lengths = np.array([len(row) for row in ids], np.int32)
    np.savez(stage.work / "taught.npz", tokens=np.concatenate(ids).astype(np.int32), lengths=lengths, logits=out)


def distil(stage: FirstStage, known: Tensor, epochs: int = 8, seed: int = 17) -> None:
    """Train on the full model's scores, and export.

    Args:
        stage: Where things lie.
        known: Word embeddings of the full model.
        epochs: Passes over the scored texts.
        seed: Of order and dropout.
    """
    torch.manual_seed(seed)
    with np.load(stage.work / "taught.npz") as held:
        lengths = held["lengths"].astype(np.int64)
        ids = np.split(held["tokens"].astype(np.int64), np.cumsum(lengths)[:-1])
        logits = torch.from_numpy(held["logits"])
    # The full model's own temperature, a little softened: its doubts are what a small network can learn from.
    harms = torch.sigmoid(logits[:, : len(HARMS)])
    moods = (logits[:, len(HARMS) :]).softmax(-1)
    model = Tiny(known)
    rng = np.random.default_rng(seed)
    batches = [batch for _ in range(epochs) for batch in order(lengths, 128, rng)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01, fused=True)
    warm = len(batches) // 20 + 1

    def rate(step: int) -> float:
        return min(1.0, (step + 1) / warm) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / len(batches))))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    model.train()
    for at in tqdm(batches, unit="step", mininterval=5, dynamic_ncols=True):
        out = model(*pad([ids[i] for i in at], 0))
        each = functional.binary_cross_entropy_with_logits(out[:, : len(HARMS)], harms[at], reduction="none")
        mood = -(moods[at] * out[:, len(HARMS) :].log_softmax(-1)).sum(1)
        loss = (each.sum(1) + 0.2 * mood).mean()
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    padded_to_onnx(model, stage.work / "float32.onnx")
    quantise(stage.work / "float32.onnx", stage.work / "model.onnx")


def held_out(stage: FirstStage) -> Rows:
    """Return lines that neither stage has seen: half abuse-rich development rows, half clean chat."""
    recipe = replace(RECIPES["text-en"], measured=400)
    rows = thin(labelled(recipe, stage.data, tiers=("A", "A2", "B")), recipe)
    return concatenate([rows, clean_lines(recipe, stage.data)])


def certain(full: TextScorer, first: TextScorer, rows: Rows, report: Path) -> dict[str, float]:
    """Return for every harm the score of the first stage below which the full model was measured not to fire.

    Chosen on one half of the rows, reported on the other.
    """
    wanted = {x.name: x.threshold for x in full.manifest.labels if x.threshold is not None and x.group is None}
    theirs, ours = full.score(rows.texts), first.score(rows.texts)
    fires = np.stack([theirs.of(name) >= at for name, at in wanted.items()], 1)
    scores = np.stack([ours.of(name) for name in wanted], 1)
    choose = halves(rows)

    def below(share: float) -> Floats:
        columns = [
            np.quantile(scores[choose & fires[:, i], i], share) if (choose & fires[:, i]).any() else 0.5
            for i in range(len(wanted))
        ]
        return np.clip(np.array(columns), 0.002, 0.5)

    def missed(at: Floats, part: NDArray[np.bool_]) -> float:
        plain = (scores[part] < at).all(1)
        return float((plain & fires[part].any(1)).mean())

    low, high = 0.0, 0.5
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if missed(below(middle), choose) <= DIFFERING else (low, middle)
    at = below(low)
    plain = (scores < at).all(1)
    sources = np.array(rows.sources)
    facts = {
        "rows": int((~choose).sum()),
        "differing": round(missed(at, ~choose), 5),
        "plain": round(float(plain[~choose].mean()), 4),
        "plain_by_source": {
            str(name): round(float(plain[~choose & (sources == name)].mean()), 3)
            for name in sorted(set(rows.sources))
            if not name.startswith("written/") and (~choose & (sources == name)).sum() > 50
        },
        "certain_below": {name: round(float(value), 4) for name, value in zip(wanted, at, strict=True)},
    }
    report.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(facts, indent=1))
    return dict(zip(wanted, map(float, at), strict=True))
