"""PDQ: equal to the reference, robust to what forwarding does to a picture, and apart for other pictures."""

import io

import numpy as np
import pdqhash
import pytest
from PIL import Image, ImageOps
from tests.media.pictures import encode, picture_bytes

from modgate.detectors.questions import ALIKE
from modgate.media.pdq import GOOD_QUALITY, PdqHash, pdq

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "retina.jpg")


def _photo(name: str) -> Image.Image:
    return Image.open(io.BytesIO(picture_bytes(name))).convert("RGB")


def _distance(one: PdqHash, other: PdqHash) -> int:
    return (int(one.hex, 16) ^ int(other.hex, 16)).bit_count()


@pytest.mark.parametrize("name", PHOTOS[:-1])
def test_agrees_with_the_reference(name: str) -> None:
    """All eight hashes and the quality are those of the reference implementation, but for a bit at the median."""
    pixels = np.ascontiguousarray(_photo(name).resize((400, 300)))
    vectors, quality = pdqhash.compute_dihedral(pixels)
    ours = pdq(Image.fromarray(pixels))
    theirs = [int("".join(map(str, vector.tolist())), 2) for vector in vectors]
    turned = [int(row.astype(">u8").tobytes().hex(), 16) for row in ours.turned]
    assert int(ours.hex, 16) == turned[0]
    assert (turned[0] ^ theirs[0]).bit_count() <= 1
    assert all(min((one ^ other).bit_count() for other in turned) <= 1 for one in theirs)
    assert ours.quality == pytest.approx(quality, abs=1)


@pytest.mark.parametrize("name", PHOTOS)
def test_copies_are_alike(name: str) -> None:
    """A copy that is smaller, recompressed, brighter or grey stays within the recommended distance."""
    image = _photo(name)
    original = pdq(image)
    copies = (
        image.resize((image.width // 2, image.height // 2)),
        Image.open(io.BytesIO(encode(image, "JPEG", quality=30))),
        image.point(lambda value: min(255, int(value * 1.2))),
        ImageOps.grayscale(image).convert("RGB"),
    )
    for copy in copies:
        assert _distance(original, pdq(copy)) <= ALIKE


def test_turned_copies_are_alike() -> None:
    """The hashes of all rotations and reflections are known from one picture."""
    image = _photo("coffee.png")
    known = [int(row.astype(">u8").tobytes().hex(), 16) for row in pdq(image).turned]
    assert len(set(known)) == 8
    for turn in Image.Transpose:
        turned = int(pdq(image.transpose(turn)).hex, 16)
        assert min((one ^ turned).bit_count() for one in known) <= ALIKE, turn


def test_other_pictures_are_apart() -> None:
    """Different photographs differ in about half of the bits."""
    hashes = [pdq(_photo(name)) for name in PHOTOS]
    apart = [_distance(one, other) for i, one in enumerate(hashes) for other in hashes[:i]]
    assert min(apart) > 80


def test_featureless_pictures_have_no_quality() -> None:
    """A plain area hashes to nothing that could be trusted."""
    assert pdq(Image.new("RGB", (300, 300), (127, 127, 127))).quality < GOOD_QUALITY
    assert all(pdq(_photo(name)).quality >= GOOD_QUALITY for name in PHOTOS[:-1])


@pytest.mark.parametrize("size", [(1, 1), (700, 3), (511, 513)])
def test_any_shape_hashes(size: tuple[int, int]) -> None:
    """Pictures of any proportion have a hash."""
    assert len(pdq(Image.new("RGB", size)).hex) == 64
