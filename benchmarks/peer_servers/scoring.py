"""The model as every peer serves it: tokenise, pad, run, squash. Needs onnxruntime, tokenizers and numpy only.

MODGATE_PEER_MODEL names a JSON file with the paths and names that are in a bundle's manifest.
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer


class Scorer:
    """A text classifier; `scores` may be called by several threads."""

    def __init__(self, threads: int = 1) -> None:
        spec = json.loads(Path(os.environ["MODGATE_PEER_MODEL"]).read_text())
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(spec["model"], options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(spec["tokenizer"])
        self._tokenizer.enable_truncation(spec["max_tokens"])
        self._spec = spec

    def scores(self, texts: list[str]) -> list[list[float]]:
        """Return the labels' probabilities for each text."""
        rows = [self._tokenizer.encode(self._spec["prefix"] + text).ids for text in texts]
        width = max(map(len, rows))
        ids = np.zeros((len(rows), width), np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        feed = {self._spec["ids"]: ids, self._spec["mask"]: mask}
        (logits,) = self._session.run([self._spec["logits"]], feed)
        return (1 / (1 + np.exp(-logits))).tolist()
