"""An image bundle that is loaded: a preprocessed tensor in, the model's output out."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from modgate.inference.bundle import Bundle, BundleError
from modgate.inference.estimate import ServiceTime
from modgate.inference.gelu import with_known_gelu
from modgate.inference.manifest import Manifest
from modgate.inference.runner import Runner
from modgate.inference.session import Session

__all__ = ["ImageModel"]


class ImageModel:
    """Scores pictures by one bundle. A lane of the runner whose unit is one picture."""

    # Convolutions gain nothing from batching on a CPU, and a single picture is short enough not to block others.
    max_batch = 1
    max_units = 1.0
    packed = False

    def __init__(self, bundle: Bundle, runner: Runner, *, threads: int = 1) -> None:
        """Load the model and warm it up. Takes a second or two; not for the event loop.

        Args:
            bundle: What to load.
            runner: Whose workers run it.
            threads: Of one request.

        Raises:
            BundleError: If the model does not fit the manifest.
        """
        if bundle.manifest.image is None:
            raise BundleError(bundle.manifest.name, "not an image bundle")
        self.bundle = bundle
        self._spec = bundle.manifest.image
        self._runner = runner
        self._session = Session(with_known_gelu(bundle.model.read_bytes()), threads=threads)
        for name, names, kind in (
            (self._spec.input, self._session.inputs, "input"),
            (self._spec.output, self._session.outputs, "output"),
        ):
            if name not in names:
                raise BundleError(self.name, f"the model has no {kind} {name!r}; it has {names}")
        self.service_time = self._warm_up()

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.manifest.name

    @property
    def manifest(self) -> Manifest:
        """The bundle's manifest."""
        return self.bundle.manifest

    async def scores(self, pixels: npt.NDArray[np.float32], deadline: float) -> npt.NDArray[np.float32]:
        """Return the model's output for one picture, one number a class in the order of the manifest's labels.

        Args:
            pixels: What `modgate.media.preprocess` made for this bundle: float32 with a batch of one.
            deadline: Monotonic seconds by which they are needed.

        Raises:
            DetectorError: If there was no time, no capacity, or the model failed.
        """
        result = await self._runner.submit(self, pixels, 1.0, deadline)
        if not isinstance(result, np.ndarray):
            raise TypeError(f"lane {self.name} returned {type(result).__name__}")
        return result

    def scores_now(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the class scores in this thread, past the queue: for tools."""
        output = self._session.run([self._spec.output], {self._spec.input: pixels})[0]
        scores: npt.NDArray[np.float32] = output.reshape(-1).astype(np.float32, copy=False)
        return scores

    def run(self, payloads: Sequence[object]) -> list[npt.NDArray[np.float32]]:
        """Score pictures in the calling thread."""
        return [self.scores_now(payload) for payload in payloads if isinstance(payload, np.ndarray)]

    def _warm_up(self) -> ServiceTime:
        size = self._spec.size
        shape = (1, size, size, 3) if self._spec.layout == "NHWC" else (1, 3, size, size)
        pixels = np.zeros(shape, dtype=np.float32)
        scores = self.scores_now(pixels)
        if len(scores) != len(self.manifest.labels):
            raise BundleError(
                self.name, f"the model has {len(scores)} outputs, the manifest {len(self.manifest.labels)} labels"
            )
        started = time.monotonic()
        self.scores_now(pixels)
        return ServiceTime([(1.0, time.monotonic() - started)])
