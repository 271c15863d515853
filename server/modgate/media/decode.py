"""From the bytes that a stranger sent to RGB pixels, within bounds of memory and time.

The header is judged first (`sniff`, `limits`). Pillow then sees only the one decoder that fits the signature, and reads
through a stream that ends the work at the deadline.
"""

import io
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)

from modgate.media.errors import MediaError, MediaProblem
from modgate.media.limits import Limits
from modgate.media.sniff import Format, Header, sniff

__all__ = ["Picture", "decode", "distinct", "finish"]

_DECODERS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    MpoImagePlugin,
    PngImagePlugin,
    WebPImagePlugin,
)
"""Imported here because Pillow would import them on the first picture, within a message's budget."""

# Frames inside an animation may be larger than its header says; Pillow refuses those from twice this size on, and
# warns, here fatally, from this size on.
Image.MAX_IMAGE_PIXELS = max(Limits().pixels.values())
warnings.simplefilter("error", Image.DecompressionBombWarning)
# Pillow remarks on odd metadata; a stranger's file must not write to the server's standard error.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PLAIN = frozenset({Format.JPEG, Format.PNG, Format.BMP})
"""Formats whose decoder leaves nothing behind but the pixels; others keep canvases of their own with the picture."""
_THUMBNAIL, _SAME = (16, 16), 6.0
"""Frames whose thumbnails differ by less than this on average, of 255, show the same scene."""
_SHORT_SIDE = 640
"""Pixels: shrinking before the models' own resize keeps at least this much of the shorter side."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        format: What it was.
        width: As the header said, before rotation by EXIF.
        height: The same.
        frames: Sampled frames in order, RGB, upright, alpha laid on white; a still picture has one. They stay
            Pillow's: to make an array of a megapixel takes 1 to 8 ms, all of it with the interpreter locked.
        total_frames: How many frames the file has, or 1.
        complete: Whether the sampled frames reach from the first to the last frame.
    """

    format: Format
    width: int
    height: int
    frames: tuple[Image.Image, ...]
    total_frames: int = 1
    complete: bool = True


class _Stream(io.BytesIO):
    """A file in memory that raises at the deadline; Pillow reads most formats in blocks of 64 KiB."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self._deadline = deadline

    def read(self, size: int | None = -1, /) -> bytes:
        _check(self._deadline)
        return super().read(size)


def decode(data: bytes, deadline: float, limits: Limits) -> Picture:
    """Decode a picture. Blocks for up to about 100 ms: call it in a worker thread.

    Args:
        data: The file.
        deadline: `time.monotonic()` seconds, looked at between blocks of input and between frames.
        limits: What is refused.

    Raises:
        MediaError: With the reason. A picture that Pillow could only read in part counts as damaged: what was sent
            may show more in the receiver's viewer than here.
    """
    limits.check_bytes(data)
    header = sniff(data)
    if header.format is Format.HEIF:
        raise MediaError(MediaProblem.UNSUPPORTED, "HEIC needs modgate[heif] and models.heif: 1")
    limits.check(header)
    _check(deadline)
    try:
        with Image.open(_Stream(data, deadline), formats=[header.format.value]) as image:
            return _read(image, header, deadline, limits)
    except MediaError:
        raise
    except MemoryError as error:
        raise MediaError(MediaProblem.BUSY, "not enough memory") from error
    except Exception as error:  # Pillow's decoders raise whatever their parsers stumble over.
        raise MediaError(MediaProblem.DAMAGED, f"{type(error).__name__} in the {header.format} decoder") from error


def _check(deadline: float) -> None:
    if time.monotonic() >= deadline:
        raise MediaError(MediaProblem.DEADLINE)


def _read(image: ImageFile.ImageFile, header: Header, deadline: float, limits: Limits) -> Picture:
    # Two parsers may read one header differently; what Pillow is about to allocate is what counts.
    limits.check(Header(header.format, *image.size))
    if header.frames > 1:
        return _sample(image, header, deadline, limits)
    if header.format is Format.JPEG and header.width * header.height > limits.working:
        image.draft(None, (_SHORT_SIDE, _SHORT_SIDE))
    image.load()
    frame = finish(image, _TURNS.get(_orientation(image)), limits)
    if frame is image and header.format not in _PLAIN:
        frame = frame.copy()
    return Picture(header.format, header.width, header.height, (frame,))


def _sample(image: ImageFile.ImageFile, header: Header, deadline: float, limits: Limits) -> Picture:
    """Take frames spread over as much of an animation as may be decoded; every frame builds on those before it."""
    # Pillow knows the number of frames of a GIF only after walking through all of it.
    total = header.frames if header.format is Format.GIF else int(getattr(image, "n_frames", 1))
    reachable = max(1, min(total, limits.walked // (image.width * image.height)))
    count = min(limits.frames, reachable)
    wanted = {round(i * (reachable - 1) / max(1, count - 1)) for i in range(count)}
    frames: list[Image.Image] = []
    for index in range(reachable):
        _check(deadline)
        try:
            image.seek(index)
        except EOFError:
            total = index
            break
        limits.check(Header(header.format, *image.size))
        if index in wanted:
            image.load()
            frame = finish(image, None, limits)
            # An animation draws its next frame on the same pixels.
            frames.append(frame.copy() if frame is image else frame)
    return Picture(header.format, header.width, header.height, tuple(frames), total, reachable >= total)


def distinct(frames: Sequence[Image.Image]) -> tuple[Image.Image, ...]:
    """Return the frames that show something else than those before them: each costs as much as a picture to judge.

    For classifiers, which look at pictures of 224 pixels. What is small, such as a caption, does not tell frames apart.
    """
    if len(frames) == 1:
        return tuple(frames)
    kept: list[Image.Image] = []
    shown: list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]] = []
    for frame in frames:
        thumbnail = np.asarray(frame.resize(_THUMBNAIL, Image.Resampling.BOX), np.float32)
        if all(np.abs(thumbnail - other).mean() >= _SAME for other in shown):
            kept.append(frame)
            shown.append(thumbnail)
    return tuple(kept)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001  a broken EXIF block does not make the picture unreadable
        return 1
    return value if isinstance(value, int) else 1


def finish(image: Image.Image, turn: Image.Transpose | None, limits: Limits) -> Image.Image:
    """Return a decoded picture as models look at it: RGB, upright, shrunk if it is large."""
    factor = 1
    if image.width * image.height > limits.working:
        factor = max(1, min(image.size) // _SHORT_SIDE)
    flat = _flatten(image, factor)
    return flat if turn is None else flat.transpose(turn)


def _flatten(image: Image.Image, factor: int) -> Image.Image:
    """RGB of any mode: 16 bits become 8, alpha is laid on white, the rest is converted; shrunk on the way."""
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray((np.asarray(image).astype(np.float32) / 257).clip(0, 255).astype(np.uint8))
    elif image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image.alpha_composite(layer)
    if image.mode != "RGB":
        image = image.convert("RGB")
    return image.reduce(factor) if factor > 1 else image
