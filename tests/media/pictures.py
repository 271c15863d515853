"""Real weights, real pictures and their stored scores, for the tests of everything that sees."""

import io
import json
import os
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
import skimage
from PIL import Image

from modgate.inference.bundle import Bundle, read_manifest
from modgate.inference.manifest import Manifest

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "models" / "bundles"
IMAGES = ROOT / "tests" / "data" / "images"
SKIMAGE = Path(skimage.__file__).parent / "data"

GOLDEN_NAMES = {
    "open-nsfw": "open_nsfw",
    "swiftformer-s": "swiftformer_s",
    "nsfwjs-mid": "nsfwjs_mobilenetv2_mid",
}
"""Our bundles by their names in `golden.json`."""


@cache
def golden() -> dict[str, dict[str, list[float]]]:
    """Stored class probabilities by picture and model."""
    scores: dict[str, dict[str, list[float]]] = json.loads((IMAGES / "golden.json").read_text())["scores"]
    return scores


def picture_bytes(name: str) -> bytes:
    """Return a golden picture's file."""
    path = IMAGES / name
    return (path if path.exists() else SKIMAGE / name).read_bytes()


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """Return a picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def soon() -> float:
    """Return a deadline that a busy machine keeps, too."""
    return time.monotonic() + 30.0


@cache
def _session(name: str) -> tuple[Bundle, ort.InferenceSession]:
    bundle = Bundle.load(BUNDLES / name)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return bundle, ort.InferenceSession(bundle.model, options, providers=["CPUExecutionProvider"])


@dataclass
class DirectModel:
    """A bundle run without a queue: real weights, one picture at a time."""

    name: str
    asked: int = 0
    bundle: Bundle = field(init=False)

    def __post_init__(self) -> None:
        manifest = read_manifest(BUNDLES / self.name)
        if not (BUNDLES / self.name / manifest.model).exists():
            recipe = manifest.files[manifest.model].recipe
            # What is fetched must be there in continuous integration; what a recipe makes is optional everywhere.
            if recipe or not os.environ.get("CI"):
                pytest.skip(f"weights are missing: {recipe or f'modgate models fetch {self.name}'}")
        self.bundle, self._session = _session(self.name)

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    def run(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        spec = self.manifest.image
        assert spec is not None
        output = self._session.run([spec.output], {spec.input: tensor})[0]
        scores: npt.NDArray[np.float32] = output[0]
        return scores

    async def scores(self, pixels: npt.NDArray[np.float32], deadline: float) -> npt.NDArray[np.float32]:
        self.asked += 1
        assert deadline > time.monotonic()
        return self.run(pixels)
