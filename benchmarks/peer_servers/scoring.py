"""The model as every peer serves it: tokenise, pad or pack, run, squash. Needs onnxruntime, tokenizers and numpy only.

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
        (logits,) = self._session.run([self._spec["logits"]], self._feed(rows))
        return (1 / (1 + np.exp(-logits))).tolist()

    def _feed(self, rows: list[list[int]]) -> dict[str, np.ndarray]:
        spec = self._spec
        if spec["lengths"]:
            return {
                spec["ids"]: np.array([token for row in rows for token in row], np.int64),
                spec["lengths"]: np.array([len(row) for row in rows], np.int64),
            }
        ids = np.zeros((len(rows), max(map(len, rows))), np.int64)
        mask = np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = row
            mask[i, : len(row)] = 1
        return {spec["ids"]: ids, spec["mask"]: mask}
