"""A text bundle that is loaded: tokens in, calibrated scores and a sentence embedding out, in one forward pass."""

import math
import os
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from tokenizers import Encoding, Tokenizer

from modgate.detectors.base import Span
from modgate.inference.bundle import Bundle, BundleError
from modgate.inference.cache import ScoreCache
from modgate.inference.estimate import ServiceTime
from modgate.inference.manifest import Manifest
from modgate.inference.runner import Runner
from modgate.inference.session import Opener, Session
from modgate.inference.tensors import feeds
from modgate.inference.windows import windows

if TYPE_CHECKING:
    import asyncio

__all__ = ["MAX_CHARS", "TextModel", "TextScores", "Tokens"]

MAX_CHARS = 16_384
"""Of a text that are looked at."""
_LONG_CHARS = 2_000
"""From here on, tokenising takes long enough that other threads should have the interpreter meanwhile."""

# Parallelism comes from the runner's workers; threads of the tokenizers' own would fight them for the cores.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
_WARM_UP = ((8, 1), (16, 1), (32, 1), (64, 1), (16, 4), (32, 4))


@dataclass(frozen=True, slots=True)
class TextScores:
    """What the model says of one text.

    Attributes:
        probabilities: Calibrated, of shape (labels,): for every label the worst of all windows.
        spans: For every label the window that decided, in code points of the text; None if there is one window only.
        embedding: L2-normalised, of shape (windows, dimensions); None if the model has none.
        by: Name and version of the model, if it is not the one that was asked.
    """

    probabilities: npt.NDArray[np.float32]
    spans: tuple[Span, ...] | None
    embedding: npt.NDArray[np.float32] | None
    by: str = ""


class Tokens(NamedTuple):
    """A tokenised text: its windows, and the span of the text that each covers."""

    rows: list[list[int]]
    spans: list[Span]


class TextModel:
    """Scores texts by one bundle. A lane of the runner; `score` is for the event loop, `run` for its workers."""

    def __init__(
        self,
        bundle: Bundle,
        runner: Runner,
        *,
        threads: int = 1,
        cache_entries: int = 20_000,
        open_model: Opener = Session,
        tokenizers: int | None = None,
    ) -> None:
        """Load the model and warm it up. Takes a second or two; not for the event loop.

        Args:
            bundle: What to load.
            runner: Whose workers run it.
            threads: Of one request.
            cache_entries: Texts whose scores are kept.
            open_model: Loads the ONNX file.
            tokenizers: How many threads may tokenise at once; one more than there are workers if absent. Those of
                large vocabularies take 75 MB each.

        Raises:
            BundleError: If the model does not fit the manifest.
        """
        if bundle.manifest.text is None:
            raise BundleError(bundle.manifest.name, "not a text bundle")
        self.bundle = bundle
        self._spec = bundle.manifest.text
        self._runner = runner
        self.packed = self._spec.lengths is not None
        # Measured: a packed batch gains nothing beyond some hundred tokens, as its attention grows with their square.
        self.max_batch, self.max_units = (16, 112.0) if self.packed else (8, 512.0)
        self._session = open_model(bundle.model, threads=threads, arena=True)
        # One for every thread that may run the model: a shared one raises "Already borrowed" under concurrency.
        self._tokenizers: queue.SimpleQueue[Tokenizer] = queue.SimpleQueue()
        for _ in range(tokenizers or runner.workers + 1):
            self._tokenizers.put(self._load_tokenizer())
        self._cache: ScoreCache[TextScores] = ScoreCache(cache_entries)
        self._outputs = [self._spec.logits] + ([self._spec.embedding] if self._spec.embedding else [])
        for name in (self._spec.ids, self._spec.lengths or self._spec.mask):
            if name not in self._session.inputs:
                raise BundleError(
                    bundle.manifest.name, f"the model has no input {name!r}; it has {self._session.inputs}"
                )
        for name in self._outputs:
            if name not in self._session.outputs:
                raise BundleError(
                    bundle.manifest.name, f"the model has no output {name!r}; it has {self._session.outputs}"
                )
        self._calibration = _Calibration(bundle.manifest)
        self.labels = {label.name: i for i, label in enumerate(bundle.manifest.labels)}
        self.service_time = self._warm_up()

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.manifest.name

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    @property
    def cache(self) -> ScoreCache[TextScores]:
        """Scores of recent texts."""
        return self._cache

    def reads_like(self, other: "TextModel") -> bool:
        """Return whether the other model takes the same tokens of a text."""
        mine, theirs = self.manifest.text, other.manifest.text
        if mine is None or theirs is None:
            return False
        return (
            self.manifest.files[mine.tokenizer] == other.manifest.files[theirs.tokenizer]
            and mine.prefix == theirs.prefix
            and (mine.max_tokens, mine.window_overlap) == (theirs.max_tokens, theirs.window_overlap)
        )

    async def score(self, text: str, deadline: float, tokens: Tokens | None = None) -> TextScores:
        """Return the scores of one text by a monotonic deadline.

        Args:
            text: The text; what is beyond 16,384 characters is not looked at.
            deadline: By when.
            tokens: Of the text, if another model has made them that this one reads like.

        Raises:
            DetectorError: If there was no time, no capacity, or the model failed.
        """
        text = text[:MAX_CHARS]
        return await self._cache.get(text, lambda: self.submit(text, deadline, tokens))

    def score_now(self, texts: Sequence[str]) -> list[TextScores]:
        """Return the scores of texts in this thread, past the queue: for tools and for compiling sentence lists."""
        scored: list[TextScores] = []
        for start in range(0, len(texts), self.max_batch):
            batch = [text[:MAX_CHARS] for text in texts[start : start + self.max_batch]]
            works = [Tokens(*self._cut(text, code)) for text, code in zip(batch, self._encode(batch), strict=True)]
            scored += self.run(works)
        return scored

    def submit(self, text: str, deadline: float, tokens: Tokens | None = None) -> "asyncio.Future[TextScores]":
        """Queue one text past the cache and return the future of its scores; the arguments are those of `score`."""
        if tokens is None:
            tokens = self.tokenise(text, deadline)
        queued = self._runner.enqueue(self, tokens, float(sum(map(len, tokens.rows))), deadline)
        # A lane's futures hold what its own `run` returns.
        return cast("asyncio.Future[TextScores]", queued)

    def tokenise(self, text: str, deadline: float) -> Tokens:
        """Return the tokens of a text, unless there is no time to score it.

        Raises:
            DetectorError: OVERLOAD.
        """
        # About four characters are a token; good enough to see that there is no time, before any is spent.
        self._runner.admit(self, 3 + len(text) / 4, deadline)
        # Before it is queued, in some 30 to 90 us: batches are filled by true lengths.
        return Tokens(*self._cut(text, self._encode([text])[0]))

    def run(self, payloads: Sequence[object]) -> list[TextScores]:
        """Score tokenised texts in the calling thread.

        Args:
            payloads: What `submit` queued.
        """
        works = [payload for payload in payloads if isinstance(payload, Tokens)]
        logits, embeddings = self._forward([row for work in works for row in work.rows])
        probabilities = self._calibration.probabilities(logits)
        results = []
        first = 0
        for work in works:
            last = first + len(work.rows)
            mine = probabilities[first:last]
            several = last - first > 1
            results.append(
                TextScores(
                    probabilities=mine.max(axis=0) if several else mine[0],
                    spans=tuple(work.spans[i] for i in mine.argmax(axis=0)) if several else None,
                    embedding=None if embeddings is None else embeddings[first:last],
                )
            )
            first = last
        return results

    def _cut(self, text: str, encoding: Encoding) -> tuple[list[list[int]], list[Span]]:
        """Return the token rows of a text and the span of the text that each row covers."""
        spec = self._spec
        ids: list[int] = encoding.ids
        if len(ids) <= spec.max_tokens:
            return [ids], [Span(0, len(text))]
        # Special tokens stand at both ends: every window gets its own pair.
        head, body, tail = ids[:1], ids[1:-1], ids[-1:]
        offsets = encoding.offsets[1:-1]
        skip = len(spec.prefix)
        rows, spans = [], []
        for start, end in windows(len(body), spec.max_tokens - 2, spec.window_overlap):
            rows.append(head + body[start:end] + tail)
            spans.append(Span(max(0, offsets[start][0] - skip), max(0, offsets[end - 1][1] - skip)))
        return rows, spans

    def _forward(self, rows: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """Run token rows through the model: logits (rows, labels) and embeddings (rows, dimensions)."""
        batches = self._batches(rows)
        if len(batches) > 1:
            # Windows of long texts, in batches that stay in the processor's cache.
            parts = [self._forward([rows[i] for i in batch]) for batch in batches]
            inverse = np.argsort([i for batch in batches for i in batch])
            logits = np.concatenate([out[0] for out in parts])[inverse]
            embedded = [out[1] for out in parts if out[1] is not None]
            return logits, np.concatenate(embedded)[inverse] if embedded else None
        outputs = self._session.run(self._outputs, feeds(self._spec, rows))
        logits = outputs[0].astype(np.float32, copy=False)
        return logits, outputs[1].astype(np.float32, copy=False) if len(outputs) > 1 else None

    def _batches(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """Share rows out to batches, by their place; rows of like length side by side if they are padded."""
        batches: list[list[int]] = []
        room = 0.0
        for i in range(len(rows)) if self.packed else sorted(range(len(rows)), key=lambda i: len(rows[i])):
            if not batches or len(rows[i]) > room or len(batches[-1]) >= self.max_batch:
                batches.append([])
                room = self.max_units if self.packed else math.inf
            batches[-1].append(i)
            room -= len(rows[i])
        return batches

    def _load_tokenizer(self) -> Tokenizer:
        tokenizer = Tokenizer.from_file(str(self.bundle.file(self._spec.tokenizer)))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Tokenise in this thread. The batch call lets other threads run meanwhile, but hands over to a thread pool."""
        prefix = self._spec.prefix
        # Lone surrogates cannot be encoded as UTF-8, which the tokenizer works on.
        clean = [prefix + (t if t.isascii() else t.encode("utf-8", "replace").decode("utf-8")) for t in texts]
        tokenizer = self._tokenizers.get()
        try:
            if sum(map(len, clean)) < _LONG_CHARS:
                return [tokenizer.encode(text) for text in clean]
            encodings: list[Encoding] = tokenizer.encode_batch(clean)
        finally:
            self._tokenizers.put(tokenizer)
        return encodings

    def _warm_up(self) -> ServiceTime:
        """Run typical shapes twice and fit the service time to the second run."""
        samples = []
        for length, rows in _WARM_UP:
            batch = [[1] * min(length, self._spec.max_tokens)] * rows
            self._forward(batch)
            started = time.monotonic()
            logits, _ = self._forward(batch)
            samples.append((float(length * rows), time.monotonic() - started))
        if logits.shape[1] != len(self.bundle.manifest.labels):
            raise BundleError(
                self.name,
                f"the model has {logits.shape[1]} outputs, the manifest {len(self.bundle.manifest.labels)} labels",
            )
        self.score_now(["warm-up"])
        return ServiceTime(samples)


class _Calibration:
    """Logits to probabilities: Platt scaling for every label, softmax within groups."""

    def __init__(self, manifest: Manifest) -> None:
        self._scale = np.array([label.calibration.scale for label in manifest.labels], dtype=np.float32)
        self._offset = np.array([label.calibration.offset for label in manifest.labels], dtype=np.float32)
        groups: dict[str, list[int]] = {}
        for i, label in enumerate(manifest.labels):
            if label.group:
                groups.setdefault(label.group, []).append(i)
        self._groups = [np.array(members) for members in groups.values()]

    def probabilities(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return probabilities of the same shape (rows, labels)."""
        scaled = logits * self._scale + self._offset
        with np.errstate(over="ignore"):
            result: npt.NDArray[np.float32] = 1.0 / (1.0 + np.exp(-scaled))
        for members in self._groups:
            part = scaled[:, members]
            part = np.exp(part - part.max(axis=1, keepdims=True))
            result[:, members] = part / part.sum(axis=1, keepdims=True)
        return result
