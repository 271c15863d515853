"""The training loop: masked loss, batches of like length, checkpoints, progress."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from models.text.encoder import Classifier
from models.text.labels import HARMS
from models.text.rows import Rows
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

__all__ = ["Encoded", "Plan", "train"]

WARM = 0.04
"""Share of a phase in which the rate rises."""
SHARP = 0.05
"""Temperature at which cosines are compared: .15 nearer counts twenty times as much."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows as tokens.

    Attributes:
        ids: Token ids of each row, special tokens included, cut to the training length.
        rows: The rows themselves.
        anchors: [rows, 384], unit sentence embeddings to stay close to, in float16; zero where none was computed.
    """

    ids: list[NDArray[np.int64]]
    rows: Rows
    anchors: NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train, for one phase: the rate warms up, and has decayed to nothing at its end.

    Attributes:
        epochs: Passes over the data, where `steps` does not say.
        steps: Batches, however many passes that is.
        rate: Peak learning rate.
        batch: Rows in a step.
        anchor: Weight of the cosine to the base model's embedding.
        relate: Weight of telling each row's base embedding from those of the other rows of the batch.
        words: Share of the rate at which word embeddings learn; 0 keeps them frozen.
        seed: Of order and dropout.
        checkpoint_steps: Steps between two checkpoints.
    """

    epochs: float = 1.0
    steps: int | None = None
    rate: float = 3e-4
    batch: int = 64
    anchor: float = 1.0
    relate: float = 0.0
    words: float = 0.0
    seed: int = 17
    checkpoint_steps: int = 250


def order(lengths: NDArray[np.int64], batch: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return shuffled batches of rows of like length, so that little is padded."""
    shuffled = rng.permutation(len(lengths))
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(shuffled), batch * 32):
        pool = shuffled[start : start + batch * 32]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch] for i in range(0, len(pool), batch)]
    return [batches[i] for i in rng.permutation(len(batches))]


def pad(ids: list[NDArray[np.int64]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Return ids and mask, both int64 [batch, longest]."""
    longest = max(len(row) for row in ids)
    out = np.full((len(ids), longest), pad_id, np.int64)
    mask = np.zeros_like(out)
    for i, row in enumerate(ids):
        out[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return torch.from_numpy(out), torch.from_numpy(mask)


def loss_of(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Return the masked loss: binary cross-entropy of the harms plus cross-entropy of the sentiment."""
    harms = len(HARMS)
    each = functional.binary_cross_entropy_with_logits(logits[:, :harms], targets[:, :harms], reduction="none")
    harm = (each * weights[:, :harms]).sum(1)
    sentiment = -(targets[:, harms:] * logits[:, harms:].log_softmax(-1)).sum(1) * weights[:, harms]
    return (harm + 0.5 * sentiment).mean()


def confused(embedding: Tensor, anchors: Tensor) -> Tensor:
    """Return the cross-entropy of which anchors each embedding is near, against which ones its own anchor is near.

    The cosine alone is content with embeddings that are all a little off in the same way; retrieval is not.

    Args:
        embedding: Unit embeddings under training, [rows, 384].
        anchors: The base model's of the same rows, [rows, 384].
    """
    wanted = (anchors @ anchors.T / SHARP).softmax(-1)
    return -(wanted * (embedding @ anchors.T / SHARP).log_softmax(-1)).sum(1).mean()


class Loop:
    """A model under training: optimiser, schedule and position, which a checkpoint holds."""

    def __init__(
        self,
        model: Classifier,
        plan: Plan,
        steps: int,
        checkpoint: Path,
        *,
        phase: int = 0,
        minutes: float | None = None,
    ) -> None:
        self._model = model
        self._phase = phase
        self._path = checkpoint
        model.positions.requires_grad_(requires_grad=False)
        model.words.requires_grad_(requires_grad=plan.words > 0)
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad and p is not model.words.weight]
        heads = [p for name, p in named if name.startswith(("hidden", "classify"))]
        body = [p for name, p in named if not name.startswith(("hidden", "classify"))]
        groups: list[dict[str, Any]] = [{"params": body, "lr": plan.rate}, {"params": heads, "lr": 2 * plan.rate}]
        self._trained = [*body, *heads]
        if plan.words > 0:
            # Without decay: words that never occur keep their place.
            groups.append({"params": [model.words.weight], "lr": plan.words * plan.rate, "weight_decay": 0.0})
        self._optimiser = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
        self._steps, self._rates = steps, [float(group["lr"]) for group in groups]
        self._seconds, self._spent, self._since = 60 * minutes if minutes else math.inf, 0.0, time.process_time()
        self._words_moved = plan.words > 0
        self.done = 0

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one: within its phase, or with the weights of an earlier one."""
        if self._path.exists():
            saved = torch.load(self._path, weights_only=True)
            self._model.load_state_dict(saved["model"], strict=False)
            self._words_moved |= "words.weight" in saved["model"]
            if int(saved.get("phase", 0)) == self._phase:
                self._optimiser.load_state_dict(saved["optimiser"])
                self.done, self._spent = int(saved["step"]), float(saved.get("spent", 0.0))

    @property
    def progress(self) -> float:
        """How much of the phase is over, 0..1: of its steps or of its time, whichever is further on."""
        spent = self._spent + time.process_time() - self._since
        return min(1.0, max(self.done / self._steps, spent / self._seconds))

    def step(self, loss: Tensor) -> None:
        """Move the weights once."""
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        at = self.progress
        factor = min(1.0, at / WARM + 0.02) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * at)))
        for group, rate in zip(self._optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        self._optimiser.step()
        self.done += 1

    def save(self) -> None:
        """Write the checkpoint; a run that is killed meanwhile leaves the old one whole."""
        frozen = ("positions",) if self._words_moved else ("words", "positions")
        state = {n: p for n, p in self._model.state_dict().items() if not n.startswith(frozen)}
        part = self._path.with_suffix(".part")
        torch.save(
            {
                "model": state,
                "optimiser": self._optimiser.state_dict(),
                "phase": self._phase,
                "step": self.done,
                "spent": self._spent + time.process_time() - self._since,
            },
            part,
        )
        part.replace(self._path)


def train(
    model: Classifier,
    data: Encoded,
    plans: Sequence[Plan],
    checkpoint: Path,
    *,
    pad_id: int = 0,
    minutes: float | None = None,
) -> None:
    """Train in place, phase after phase, from the checkpoint on if there is one.

    Args:
        model: Its position embeddings stay frozen, and its words' unless a phase says otherwise.
        data: What to learn.
        plans: How, for each phase.
        checkpoint: File to resume from and to write.
        pad_id: Token id of padding.
        minutes: Bound of the last phase's processor time; its schedule is then shortened to end with it.
    """
    reached = int(torch.load(checkpoint, weights_only=True).get("phase", 0)) if checkpoint.exists() else 0
    for phase, plan in enumerate(plans):
        if phase >= reached:
            bound = minutes if phase == len(plans) - 1 else None
            loop = Loop(model, plan, len(_batches(data, plan)), checkpoint, phase=phase, minutes=bound)
            _train_phase(model, data, plan, loop, pad_id)


def _batches(data: Encoded, plan: Plan) -> list[NDArray[np.int64]]:
    """Return the rows of every step."""
    lengths = np.array([len(row) for row in data.ids], np.int64)
    rng = np.random.default_rng(plan.seed)
    per_epoch = math.ceil(len(lengths) / plan.batch)
    steps = plan.steps if plan.steps is not None else int(per_epoch * plan.epochs)
    return [batch for _ in range(math.ceil(steps / per_epoch)) for batch in order(lengths, plan.batch, rng)][:steps]


def _train_phase(model: Classifier, data: Encoded, plan: Plan, loop: Loop, pad_id: int) -> None:
    torch.manual_seed(plan.seed)
    batches = _batches(data, plan)
    loop.resume()
    model.train()
    smooth = 0.0
    started, first = time.monotonic(), loop.done
    with tqdm(total=len(batches), initial=first, unit="step", mininterval=5, dynamic_ncols=True) as bar:
        for rows in batches[first:]:
            loss = _batch_loss(model, data, rows, plan, pad_id)
            loop.step(loss)
            smooth = 0.98 * smooth + 0.02 * loss.item() if smooth else loss.item()
            bar.update()
            bar.set_postfix_str(f"loss {smooth:.3f}", refresh=False)
            if loop.done % plan.checkpoint_steps == 0 or loop.progress >= 1:
                loop.save()
            if loop.progress >= 1:
                break
    model.eval()
    print(f"trained {loop.done - first} steps in {time.monotonic() - started:.0f} s, loss {smooth:.3f}")


def _batch_loss(model: Classifier, data: Encoded, rows: NDArray[np.int64], plan: Plan, pad_id: int) -> Tensor:
    ids, mask = pad([data.ids[i] for i in rows], pad_id)
    with torch.autocast("cpu", torch.bfloat16):
        logits, embedding = model(ids, mask)
    loss = loss_of(logits, torch.from_numpy(data.rows.targets[rows]), torch.from_numpy(data.rows.weights[rows]))
    anchors = torch.from_numpy(data.anchors[rows].astype(np.float32))
    have = anchors.abs().sum(1) > 0
    if bool(have.any()):
        apart = 1 - (embedding[have] * anchors[have]).sum(1)
        loss = loss + plan.anchor * apart.sum() / len(rows)
        if plan.relate:
            loss = loss + plan.relate * confused(embedding[have], anchors[have]) * have.float().mean()
    return loss
