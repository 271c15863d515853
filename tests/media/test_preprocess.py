"""Preprocessing, proved by real weights: a wrong layout, scale, crop or colour order moves the scores."""

import numpy as np
import pytest
from PIL import Image
from tests.media.pictures import GOLDEN_NAMES, DirectModel, golden, picture_bytes, soon

from modgate.inference.manifest import ImageInput
from modgate.media.decode import decode
from modgate.media.limits import Limits
from modgate.media.preprocess import preprocess, probabilities


@pytest.mark.parametrize("name", golden())
@pytest.mark.parametrize("bundle", GOLDEN_NAMES)
def test_scores_equal_the_stored_ones(bundle: str, name: str) -> None:
    """From file to class probabilities, every golden picture scores within 0.001 of what the reference scored."""
    model = DirectModel(bundle)
    spec = model.manifest.image
    assert spec is not None
    (frame,) = decode(picture_bytes(name), soon(), Limits()).frames
    scores = probabilities(model.run(preprocess(frame, spec)), spec)
    assert scores == pytest.approx(golden()[name][GOLDEN_NAMES[bundle]], abs=1e-3)


def test_order_of_operations() -> None:
    """Resize, crop, colour order, mean, scale and layout are applied as the manifest says."""
    spec = ImageInput(
        input="x", output="y", layout="NCHW", size=16, resize=20, colour="BGR", mean=(1.0, 2.0, 3.0), scale=0.5
    )
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:] = (10, 20, 30)
    tensor = preprocess(Image.fromarray(pixels), spec)
    assert tensor.shape == (1, 3, 16, 16)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    assert tensor[0, :, 3, 3].tolist() == [(30 - 1) / 2, (20 - 2) / 2, (10 - 3) / 2]


@pytest.mark.parametrize("shape", [(300, 10), (10, 300), (1, 1), (1, 16_000), (64, 64)])
def test_any_shape_fits(shape: tuple[int, int]) -> None:
    """Pictures of any proportion give a tensor of the model's size, also if the shorter side rules."""
    spec = ImageInput(input="x", output="y", layout="NHWC", size=32, resize=36, fit="shorter_side", resample="bicubic")
    assert preprocess(Image.new("RGB", shape), spec).shape == (1, 32, 32, 3)


def test_logits_become_probabilities() -> None:
    """A model that ends in logits gets its softmax here; one that does not is left alone."""
    spec = ImageInput(input="x", output="y", layout="NHWC", size=32, resize=32, softmax=True)
    logits = np.array([[1000.0, 1000.0, -1000.0]], np.float32)
    assert probabilities(logits, spec) == pytest.approx([0.5, 0.5, 0.0])
    assert probabilities(logits, spec.model_copy(update={"softmax": False})).tolist() == logits[0].tolist()
