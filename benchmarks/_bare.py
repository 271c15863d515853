"""The ceiling of the model: onnxruntime alone on tokenised texts, one by one and in perfect batches."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from modgate.inference.bundle import Bundle, find_bundles
from modgate.inference.session import Session
from modgate.inference.tensors import feeds
from modgate.settings import load_settings

__all__ = ["BareModel", "text_bundle"]

_Feed = dict[str, npt.NDArray[np.int64]]


def text_bundle() -> Bundle:
    """Return the text bundle that `modgate serve` would take with the settings in force."""
    models = load_settings().models
    return Bundle.load(find_bundles(models.bundles)[models.text or "text-en"])


@dataclass(frozen=True, slots=True)
class BareModel:
    """The session of a text bundle, with nothing around it.

    Attributes:
        session: Set up as the server does it, with one thread: callers run side by side.
        outputs: What the server asks for as well.
        encode: Token ids of texts, special tokens included.
        feed: The model's inputs for rows of token ids.
    """

    session: Session
    outputs: list[str]
    encode: Callable[[Sequence[str]], list[list[int]]]
    feed: Callable[[Sequence[Sequence[int]]], _Feed]

    @staticmethod
    def load(bundle: Bundle) -> "BareModel":
        """Load a text bundle."""
        spec = bundle.manifest.text
        if spec is None:
            raise ValueError(f"{bundle.manifest.name} is not a text bundle")
        tokenizer = Tokenizer.from_file(str(bundle.file(spec.tokenizer)))
        tokenizer.enable_truncation(spec.max_tokens)
        tokenizer.no_padding()
        outputs = [spec.logits] + ([spec.embedding] if spec.embedding else [])
        prefix = spec.prefix
        return BareModel(
            Session(bundle.model, arena=True),
            outputs,
            lambda texts: [e.ids for e in tokenizer.encode_batch([prefix + t for t in texts])],
            lambda rows: feeds(spec, rows),
        )

    def per_second(self, texts: Sequence[str], *, batch: int, callers: int, seconds: float) -> tuple[float, float]:
        """Return messages a second, and messages per second of processor time.

        Args:
            texts: Enough of them to be run over and over.
            batch: Texts at once; they are sorted by length first, so that next to nothing is padded.
            callers: Threads that call the one session side by side.
            seconds: How long.
        """
        rows = self.encode(texts)
        if batch > 1:
            rows.sort(key=len)
        inputs = [self.feed(rows[i : i + batch]) for i in range(0, len(rows) - batch + 1, batch)]
        # Every length must turn up in every share of the time.
        order = np.random.default_rng(0).permutation(len(inputs)).tolist()
        done = [0] * callers
        for feed in (inputs[i] for i in order[:20]):
            self.session.run(self.outputs, feed)
        until = time.perf_counter() + seconds

        def call(caller: int) -> None:
            place = caller
            while time.perf_counter() < until:
                self.session.run(self.outputs, inputs[order[place % len(order)]])
                done[caller] += batch
                place += callers

        begun, cpu = time.perf_counter(), time.process_time()
        threads = [threading.Thread(target=call, args=(caller,)) for caller in range(callers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - begun), sum(done) / (time.process_time() - cpu)
