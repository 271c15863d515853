"""The embedding's projection, solved rather than trained: ridge regression to the base model's embeddings."""

import numpy as np
import torch
from models.text.encoder import Classifier
from models.text.training import Encoded, pad
from numpy.typing import NDArray
from tqdm import tqdm

__all__ = ["project"]

PENALTY = 0.003
"""Of the weights, in units of the features' variance."""


def project(model: Classifier, data: Encoded, *, rows: int, pad_id: int) -> None:
    """Set the projection to the one that comes nearest to the anchors, with the encoder as it is.

    Training moves the encoder and the projection together and ends with the latter behind: solved exactly, the mean
    cosine to the anchors rises, and paraphrases are found more often.

    Args:
        model: Trained.
        data: Rows with anchors.
        rows: How many of those to use, at most.
        pad_id: Token id of padding.
    """
    have = np.flatnonzero(np.abs(data.anchors).sum(1) > 0)
    some = np.random.default_rng(0).permutation(have)[:rows]
    features = means(model, [data.ids[i] for i in some], pad_id).astype(np.float64)
    anchors = data.anchors[some].astype(np.float64)
    center, spread, target = features.mean(0), features.std(0) + 1e-6, anchors.mean(0)
    scaled = (features - center) / spread
    covariance = scaled.T @ scaled / len(some) + PENALTY * np.eye(scaled.shape[1])
    weight = np.linalg.solve(covariance, scaled.T @ (anchors - target) / len(some)) / spread[:, None]
    with torch.no_grad():
        model.project.weight.copy_(torch.from_numpy(weight.T))
        model.project.bias.copy_(torch.from_numpy(target - center @ weight))


def means(model: Classifier, ids: list[NDArray[np.int64]], pad_id: int) -> NDArray[np.float32]:
    """Return the means over the tokens of the encoder's last hidden states, [rows, hidden]."""
    out = np.zeros((len(ids), model.shape.hidden), np.float32)
    by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in tqdm(range(0, len(by_length), 128), unit="batch", desc="projection", mininterval=5):
            rows = by_length[start : start + 128]
            out[rows] = model.encode(*pad([ids[i] for i in rows], pad_id))[1].float().numpy()
    return out
