"""The network in the form that is served: the tokens of all texts in one row, kept apart by the attention's bias."""

import torch
from models.text.encoder import Classifier
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Packed"]

APART = 1e4
"""What the attention's scores lose between tokens of different texts: their weights come out as exactly 0."""


class Packed(nn.Module):
    """The same weights and results as the `Classifier`, without padding.

    Linear layers, which are nearly all of the work, see only tokens that exist. The attention of a whole batch costs
    the square of all its tokens, which is little as long as there are not many more than a hundred.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [texts, labels] and unit embeddings [texts, 384].

        Args:
            ids: Token ids of all texts, one text behind the other, int64 [tokens].
            lengths: Tokens of each text, int64 [texts].
        """
        model, tokens = self.model, ids.shape[0]
        ends = lengths.cumsum(0)
        starts = ends - lengths
        at = torch.arange(tokens)
        owned = ((at >= starts[:, None]) & (at < ends[:, None])).to(model.norm.weight.dtype)  # [texts, tokens]
        places = at - (starts.to(owned.dtype) @ owned).long()
        x = model.norm(model.words(ids) + model.positions(places))[None]
        apart = (owned.T @ owned - 1) * APART
        for layer in model.layers:
            x = _through(layer, x, apart)
        x = x[0]
        mean = owned @ x / lengths[:, None].to(x.dtype)
        peak = (x[None] + (owned[:, :, None] - 1) * APART).max(1).values
        logits = model.classify(functional.gelu(model.hidden(torch.cat([mean, peak], -1))))
        embedding = model.project(mean)
        norm = embedding.square().sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
        return logits, embedding / norm


def _through(layer: nn.Module, x: Tensor, bias: Tensor) -> Tensor:
    """Return the next hidden states [1, tokens, hidden]: `Layer.forward` written for one row."""
    _, tokens, hidden = x.shape
    size = hidden // layer.heads
    q, k, v = layer.qkv(x).view(tokens, 3, layer.heads, size).permute(1, 2, 0, 3).unbind(0)
    mixed = (q @ k.transpose(-1, -2) / size**0.5 + bias).softmax(-1) @ v
    x = layer.out_norm(x + layer.out(mixed.permute(1, 0, 2).reshape(1, tokens, hidden)))
    after: Tensor = layer.down_norm(x + layer.down(functional.gelu(layer.up(x))))
    return after
