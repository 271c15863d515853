"""Scores of many texts by one bundle, straight through onnxruntime: no queue, no deadline, no server."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from modgate.inference.manifest import Manifest, TextInput
from modgate.inference.session import Session
from modgate.inference.tensors import feeds
from modgate.inference.windows import windows

__all__ = ["Scores", "TextScorer", "score_texts"]

SURROGATES = re.compile("[\ud800-\udfff]")
REPLACEMENT = "\ufffd"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Scores:
    """What a bundle says about texts.

    Attributes:
        labels: In the order of the columns.
        probabilities: Calibrated, float32 [texts, labels].
        windows: How many windows each text took, int64 [texts].
        worst: Which window scored highest on each label, int64 [texts, labels].
    """

    labels: tuple[str, ...]
    probabilities: NDArray[np.float32]
    windows: NDArray[np.int64]
    worst: NDArray[np.int64]

    def of(self, label: str) -> NDArray[np.float64]:
        """Return the scores of one label, float64 [texts].

        Raises:
            KeyError: The bundle has no such label.
        """
        if label not in self.labels:
            raise KeyError(f"the bundle has no label {label!r}; it has {', '.join(self.labels)}")
        return self.probabilities[:, self.labels.index(label)].astype(np.float64)


class TextScorer:
    """One loaded bundle.

    A text longer than the model takes is cut into the same overlapping windows as in the server. For each label the
    window that scores highest decides.

    Args:
        bundle: Folder with `manifest.json`.
        threads: Of onnxruntime.
        model: File to use instead of the manifest's, such as the float32 original.
    """

    def __init__(self, bundle: Path, *, threads: int = 1, model: Path | None = None) -> None:
        self.manifest = Manifest.model_validate_json((bundle / "manifest.json").read_bytes())
        if self.manifest.text is None:
            raise ValueError(f"{bundle} is no text bundle: its manifest has no `text` section")
        self.text: TextInput = self.manifest.text
        self.tokenizer = Tokenizer.from_file(str(bundle / self.text.tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        edges = self.tokenizer.encode("").ids
        self._open, self._close = edges[: len(edges) // 2 + len(edges) % 2], edges[len(edges) // 2 + len(edges) % 2 :]
        self._session = Session(model or bundle / self.manifest.model, threads=threads, arena=True)
        self._scale = np.array([label.calibration.scale for label in self.manifest.labels], np.float32)
        self._offset = np.array([label.calibration.offset for label in self.manifest.labels], np.float32)
        self._groups = _groups(self.manifest)
        self.labels = tuple(label.name for label in self.manifest.labels)

    def logits(
        self, texts: Sequence[str], *, batch: int = 24, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return raw logits of all windows, float32 [windows, labels], and the text of each window, int64 [windows]."""
        windows = [(i, ids) for i, text in enumerate(texts) for ids in self._windows(text)]
        order = sorted(range(len(windows)), key=lambda w: len(windows[w][1]))
        out = np.zeros((len(windows), len(self.labels)), np.float32)
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            out[rows] = self.raw([windows[w][1] for w in rows])
            if progress is not None:
                progress(min(start + batch, len(order)), len(order))
        return out, np.array([i for i, _ in windows], np.int64)

    def raw(self, rows: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Return the logits [rows, labels] of rows of token ids, special tokens included."""
        return self._session.run([self.text.logits], feeds(self.text, rows))[0].astype(np.float32, copy=False)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit sentence embeddings, float32 [texts, size], of each text's first window.

        Raises:
            ValueError: The bundle has no embedding output.
        """
        if self.text.embedding is None:
            raise ValueError(f"bundle {self.manifest.name} has no embedding output")
        out = []
        for text in texts:
            row = next(self._windows(text))
            out.append(self._session.run([self.text.embedding], feeds(self.text, [row]))[0][0])
        return np.stack(out).astype(np.float32)

    def time_pass(self, tokens: int, clock: Callable[[], float]) -> float:
        """Return the seconds that one text of so many tokens takes inside onnxruntime, by the given clock."""
        one = feeds(self.text, [[self.text.pad_id + 5] * tokens])
        started = clock()
        self._session.run(self._session.outputs, one)
        return clock() - started

    def calibrated(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return probabilities of logits, both [windows, labels]."""
        scaled = logits * self._scale + self._offset
        out = 1 / (1 + np.exp(-np.clip(scaled, -60, 60)))
        for columns in self._groups:
            shifted = np.exp(scaled[:, columns] - scaled[:, columns].max(1, keepdims=True))
            out[:, columns] = shifted / shifted.sum(1, keepdims=True)
        probabilities: NDArray[np.float32] = out.astype(np.float32)
        return probabilities

    def score(self, texts: Sequence[str], *, batch: int = 24, progress: Progress | None = None) -> Scores:
        """Return calibrated scores of all labels for every text, whatever it holds."""
        logits, owner = self.logits(texts, batch=batch, progress=progress)
        each = self.calibrated(logits)
        starts = np.searchsorted(owner, np.arange(len(texts)))
        ends = np.append(starts[1:], len(owner))
        probabilities = np.zeros((len(texts), len(self.labels)), np.float32)
        worst = np.zeros((len(texts), len(self.labels)), np.int64)
        for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
            probabilities[i] = each[start:end].max(0)
            worst[i] = each[start:end].argmax(0)
        return Scores(self.labels, probabilities, ends - starts, worst)

    def _windows(self, text: str) -> Iterator[list[int]]:
        clean = SURROGATES.sub(REPLACEMENT, text)
        body = self.tokenizer.encode(self.text.prefix + clean, add_special_tokens=False).ids
        room = self.text.max_tokens - len(self._open) - len(self._close)
        for start, end in windows(len(body), room, self.text.window_overlap):
            yield [*self._open, *body[start:end], *self._close]


def _groups(manifest: Manifest) -> list[NDArray[np.int64]]:
    names = sorted({label.group for label in manifest.labels if label.group is not None})
    return [np.array([i for i, label in enumerate(manifest.labels) if label.group == name]) for name in names]


def score_texts(bundle: Path, texts: Sequence[str], *, threads: int = 1, progress: Progress | None = None) -> Scores:
    """Load a bundle and score texts with it.

    Args:
        bundle: Folder with `manifest.json`.
        texts: Anything: empty, very long, lone surrogates, unknown scripts.
        threads: Of onnxruntime.
        progress: Called with windows done and windows in all.
    """
    return TextScorer(bundle, threads=threads).score(texts, progress=progress)
