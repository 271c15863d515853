"""How much of a picture is looked at. Every bound is checked before the work that it bounds.

The pixel limits follow from speed: on one core of 2026 the slowest common picture of each format at its limit decodes
in about 100 ms, half of the budget (figures: docs/decisions/decoding.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modgate.media.errors import MediaError, MediaProblem
from modgate.media.sniff import Format, Header

__all__ = ["Limits"]

_MEGA = 1_000_000


def _pixels() -> dict[Format, int]:
    return {
        # Decoded at a half to an eighth of the size by the JPEG transform itself.
        Format.JPEG: 25 * _MEGA,
        Format.BMP: 12 * _MEGA,
        Format.WEBP: 6 * _MEGA,
        Format.AVIF: 6 * _MEGA,
        Format.PNG: 6 * _MEGA,
        Format.GIF: 6 * _MEGA,
        # As phones take them; what cannot be done within a budget is done after the answer (`unhurried`).
        Format.HEIF: 25 * _MEGA,
    }


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on one picture.

    Attributes:
        file_bytes: Size of the file.
        pixels: Width times height, by format.
        side: Longest side in pixels.
        scanned: Pixels times scans of a JPEG with several scans: each scan touches the whole picture again.
        frames: Frames of an animation that are judged.
        walked: Pixels of an animation that are decoded to reach those frames.
        smallest: Shorter side in pixels under which classifiers are not asked: they know nothing so small, and score it
            at random (a 25 x 14 reaction GIF got 0.76 for nudity), and nobody can make out a picture in it.
        unhurried: Pixels of a HEIC picture that is decoded within a message's budget, at 45 to 65 ns each.
        working: Pixels of a decoded frame that is kept for the models; larger ones are shrunk first.
    """

    file_bytes: int = 16 * 1024 * 1024
    pixels: Mapping[Format, int] = field(default_factory=_pixels)
    side: int = 16_384
    scanned: int = 100 * _MEGA
    frames: int = 4
    walked: int = 10 * _MEGA
    smallest: int = 32
    unhurried: int = 2_500_000
    working: int = 2 * _MEGA

    def check_bytes(self, data: bytes) -> None:
        """Refuse a file that is too big.

        Raises:
            MediaError: TOO_MANY_BYTES.
        """
        if len(data) > self.file_bytes:
            raise MediaError(MediaProblem.TOO_MANY_BYTES, f"{len(data)} bytes, the limit is {self.file_bytes}")

    def check(self, header: Header) -> None:
        """Refuse a picture whose header announces too much.

        Raises:
            MediaError: TOO_LARGE or TOO_COMPLEX.
        """
        pixels, most = header.width * header.height, self.pixels[header.format]
        if pixels > most or max(header.width, header.height) > self.side:
            raise MediaError(
                MediaProblem.TOO_LARGE,
                f"{header.width} x {header.height} {header.format}, the limit is {most / _MEGA:g} megapixels "
                f"and {self.side} a side",
            )
        if header.scans > 1 and pixels * header.scans > self.scanned:
            raise MediaError(MediaProblem.TOO_COMPLEX, f"{header.scans} scans over {pixels / _MEGA:.1f} megapixels")
