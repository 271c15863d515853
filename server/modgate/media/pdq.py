"""PDQ, the perceptual hash of 256 bits that hash lists of the industry use: near-equal pictures differ in few bits.

Follows the reference of ThreatExchange (hashing/pdq): luma, two box filters each way, 64 x 64 samples, the 16 x 16
lowest cosine frequencies, each a bit by the median. Filter and sampling are linear, so here they are one matrix a side.
Hashes agree with the reference in all but a bit or two, where a frequency lies at the median.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["BITS", "GOOD_QUALITY", "Hashes", "PdqHash", "pdq"]

BITS = 256
GOOD_QUALITY = 50
"""Quality from which a hash means something; below, the picture has too little structure."""

_SIDE = 512
"""Pixels: larger pictures are shrunk to this first, as the reference does."""
_SAMPLES, _FREQUENCIES = 64, 16
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Hashes = npt.NDArray[np.uint64]
"""Shape (n, 4): one hash a row."""


@dataclass(frozen=True, slots=True)
class PdqHash:
    """The hash of a picture.

    Attributes:
        hex: As hash lists write it: 64 hexadecimal digits.
        quality: 0 to 100.
        turned: The hashes of the picture itself and of its seven rotations and reflections, shape (8, 4).
    """

    hex: str
    quality: int
    turned: Hashes


def pdq(image: Image.Image) -> PdqHash:
    """Hash an RGB picture. Takes 2 to 5 ms: call it in a worker thread."""
    if max(image.size) > _SIDE:
        image = image.resize((min(_SIDE, image.width), min(_SIDE, image.height)), Image.Resampling.BILINEAR)
    luma = np.asarray(image, np.float32) @ _LUMA
    samples = _sampling(luma.shape[0]) @ luma @ _sampling(luma.shape[1]).T
    cosines = _cosines()
    spectrum = np.asarray(cosines @ samples @ cosines.T, np.float32)
    odd = np.where(np.arange(_FREQUENCIES) % 2 == 0, -1.0, 1.0).astype(np.float32)
    variants: list[npt.NDArray[np.float32]] = []
    for transposed in (spectrum, spectrum.T):
        # The cosines are even about the middle of a side for every second frequency, odd for the others: to mirror a
        # picture is to change the sign of every second row or column.
        for rows in (False, True):
            for columns in (False, True):
                turned = transposed * odd[:, np.newaxis] if rows else transposed
                variants.append(turned * odd if columns else turned)
    hashes = np.stack([_bits(variant) for variant in variants])
    return PdqHash(hashes[0].astype(">u8").tobytes().hex(), _quality(samples), hashes)


def _bits(spectrum: npt.NDArray[np.float32]) -> npt.NDArray[np.uint64]:
    # The reference takes the lower of the two middle values as the median of an even number.
    median = np.partition(spectrum, BITS // 2 - 1, axis=None)[BITS // 2 - 1]
    bits = (spectrum > median).reshape(-1)[::-1]
    return np.packbits(bits).view(">u8").astype(np.uint64)


def _quality(samples: npt.NDArray[np.float32]) -> int:
    """Sum of the steps between neighbouring samples, scaled so that ordinary pictures reach 100."""
    steps = sum(np.abs(np.trunc(np.diff(samples, axis=axis) * 100 / 255)).sum() for axis in (0, 1))
    return min(100, int(steps / 90))


@lru_cache(maxsize=64)
def _sampling(length: int) -> npt.NDArray[np.float32]:
    """Return (64, length): two passes of the reference's box filter, of which 64 places are taken."""
    window = (length + 2 * _SAMPLES - 1) // (2 * _SAMPLES)
    ahead = (window + 2) // 2
    places = np.arange(length)
    low = np.maximum(0, places - (window - ahead))
    high = np.minimum(length, places + ahead)
    box = ((places >= low[:, np.newaxis]) & (places < high[:, np.newaxis])).astype(np.float32)
    box /= box.sum(axis=1, keepdims=True)
    taken = ((np.arange(_SAMPLES) + 0.5) * length / _SAMPLES).astype(np.intp)
    return np.ascontiguousarray((box[taken] @ box).astype(np.float32))


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float32]:
    """Return (16, 64): the cosine transform's rows 1 to 16; row 0, the mean, is left out."""
    row, column = np.arange(1, _FREQUENCIES + 1)[:, np.newaxis], np.arange(_SAMPLES)
    matrix = np.sqrt(2 / _SAMPLES) * np.cos(np.pi / (2 * _SAMPLES) * row * (2 * column + 1))
    return np.asarray(matrix, np.float32)
