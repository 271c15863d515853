"""Text in pictures: finds lines, reads them, and stops when the time is over.

Two small models (PP-OCRv6 tiny): one marks where text is, one reads one line at a time. What is read goes to the same
text detectors as the message's own text, as parts named `ocr:<media id>`.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image

from modgate.inference.bundle import Bundle
from modgate.media.decode import Pixels
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.lines import Line, find_lines

__all__ = ["Box", "OcrLine", "OcrReader", "Reading"]

_HEIGHT = 48
"""Pixels: height of a line as the recogniser wants it."""
_NARROWEST, _WIDEST = 160, 1600
"""Pixels: shorter lines are padded, longer ones are squeezed."""
_GRID = 32
"""The detector's input sides are multiples of this."""
_UPRIGHT = 1.5
"""A line this much taller than long is turned by a quarter before it is read."""
_SURE = 0.6
"""Mean probability of its characters from which a line counts as read; textures score below."""


@dataclass(frozen=True, slots=True)
class Box:
    """Upright bounds of a line, as shares of the picture's width and height."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class OcrLine:
    """A line that was read.

    Attributes:
        text: What it says.
        box: Where it is.
        score: Mean probability of its characters.
    """

    text: str
    box: Box
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What a picture says.

    Attributes:
        lines: From top to bottom, and from left to right in one row.
        found: How many lines there are.
        complete: Whether all of them were read; if not, the smallest are missing.
    """

    lines: tuple[OcrLine, ...]
    found: int
    complete: bool

    @property
    def text(self) -> str:
        """All lines, one below the other."""
        return "\n".join(line.text for line in self.lines)


class OcrReader:
    """Reads text in pictures with one bundle. Safe for several threads.

    Args:
        bundle: A bundle of the task `text-recognition`.
        most: Lines that are read at most in one picture, the largest first.

    Raises:
        ValueError: If the bundle has no `ocr` section or its recogniser no list of characters.
    """

    def __init__(self, bundle: Bundle, *, most: int = 24) -> None:
        if bundle.manifest.ocr is None:
            raise ValueError(f"bundle {bundle.manifest.name} cannot read text: its manifest has no `ocr` section")
        self.manifest = bundle.manifest
        self._spec = bundle.manifest.ocr
        self._most = most
        self._detector = _session(bundle.file(self._spec.detector).read_bytes())
        self._recogniser = _session(bundle.model.read_bytes())
        characters = self._recogniser.get_modelmeta().custom_metadata_map.get("character")
        if not characters:
            raise ValueError(f"bundle {bundle.manifest.name}: the recogniser's metadata has no `character` list")
        # Class 0 is the blank of the alignment; the space is not in the list and comes last.
        self._alphabet = ["", *characters.split("\n"), " "]
        deviation = np.array(self._spec.deviation, np.float32)[:, np.newaxis, np.newaxis]
        self._slope = 1 / (255 * deviation)
        self._offset = -np.array(self._spec.mean, np.float32)[:, np.newaxis, np.newaxis] / deviation
        self._pace = _Pace()

    def read(self, image: Pixels, deadline: float) -> Reading:
        """Read a picture. Blocks for 30 to 150 ms: call it in a worker thread.

        Args:
            image: (height, width, 3), RGB, upright.
            deadline: `time.monotonic()` seconds. No step is begun that, going by the last ones, would not end in time.

        Raises:
            MediaError: DEADLINE if there is no time even to look for lines.
        """
        picture = Image.fromarray(image)
        lines = self._find(picture, deadline)
        read: list[tuple[Line, OcrLine]] = []
        complete = len(lines) <= self._most
        for line in lines[: self._most]:
            strips = _cut(picture, line)
            if not self._pace.fits("read", sum(strip.shape[3] for strip in strips), deadline):
                complete = False
                break
            text, score = max((self._spell(strip) for strip in strips), key=lambda pair: pair[1])
            if text and score >= _SURE:
                read.append((line, OcrLine(text, _bounds(line, picture.size), score)))
        return Reading(tuple(_in_order(read)), len(lines), complete)

    def _find(self, picture: Image.Image, deadline: float) -> list[Line]:
        """Return the lines in pixels of the picture."""
        scale = min(1.0, self._spec.side / max(picture.size))
        width, height = (max(_GRID, round(side * scale / _GRID) * _GRID) for side in picture.size)
        if not self._pace.fits("find", width * height, deadline):
            raise MediaError(MediaProblem.DEADLINE)
        with self._pace.timed("find", width * height):
            pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
            planes = np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1)).astype(np.float32)
            tensor = (planes * self._slope + self._offset)[np.newaxis]
            (output,) = self._detector.run(None, {self._detector.get_inputs()[0].name: tensor})
            lines = find_lines(output[0, 0])
        return [_scaled(line, picture.width / width, picture.height / height) for line in lines]

    def _spell(self, strip: npt.NDArray[np.float32]) -> tuple[str, float]:
        """Read one line by the most probable characters: repeated ones are one, blanks part them."""
        with self._pace.timed("read", strip.shape[3]):
            output = self._recogniser.run(None, {self._recogniser.get_inputs()[0].name: strip})[0][0]
        best = output.argmax(1)
        kept = (best != 0) & (best != np.concatenate(([0], best[:-1])))
        if not kept.any():
            return "", 0.0
        score = float(output[np.flatnonzero(kept), best[kept]].mean())
        return "".join(self._alphabet[index] for index in best[kept].tolist()).strip(), score


class _Pace:
    """How long steps take here and now, by the size of their input: a moving average."""

    def __init__(self) -> None:
        self._seconds_per_unit: dict[str, float] = {}

    def fits(self, step: str, size: int, deadline: float) -> bool:
        return time.monotonic() + self._seconds_per_unit.get(step, 0.0) * size < deadline

    def timed(self, step: str, size: int) -> "_Timing":
        return _Timing(self, step, size)

    def note(self, step: str, size: int, seconds: float) -> None:
        known = self._seconds_per_unit.get(step, seconds / size)
        self._seconds_per_unit[step] = 0.8 * known + 0.2 * seconds / size


class _Timing:
    def __init__(self, pace: _Pace, step: str, size: int) -> None:
        self._pace, self._step, self._size = pace, step, size

    def __enter__(self) -> None:
        self._begun = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._pace.note(self._step, self._size, time.monotonic() - self._begun)


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # One thread: pictures are read beside each other, and more threads make a busy machine slower.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _scaled(line: Line, x: float, y: float) -> Line:
    # Sides were rounded to the grid, so the two scales differ by a few per cent at most; the angle hardly changes.
    mean = math.sqrt(x * y)
    along, across = (x, y) if line.angle == 0.0 else (mean, mean)
    return Line(line.x * x, line.y * y, line.length * along, line.height * across, line.angle, line.score)


def _cut(picture: Image.Image, line: Line) -> list[npt.NDArray[np.float32]]:
    """Return a line as the recogniser's input, or two if it stands upright: nobody knows which way up it reads."""
    half_length, half_height = line.length / 2, line.height / 2
    if line.angle != 0.0:
        cos, sin = math.cos(line.angle), math.sin(line.angle)
        corners = [(-half_length, -half_height), (-half_length, half_height)]
        corners += [(half_length, half_height), (half_length, -half_height)]
        quad = [c for u, v in corners for c in (line.x + u * cos - v * sin, line.y + u * sin + v * cos)]
        native = (max(1, round(line.length)), max(1, round(line.height)))
        strip = picture.transform(native, Image.Transform.QUAD, quad, Image.Resampling.BILINEAR)
        return [_tensor(strip.resize((_width(line.length, line.height), _HEIGHT), Image.Resampling.BILINEAR))]
    box = (
        max(0.0, line.x - half_length),
        max(0.0, line.y - half_height),
        min(float(picture.width), line.x + half_length),
        min(float(picture.height), line.y + half_height),
    )
    length, height = box[2] - box[0], box[3] - box[1]
    if height <= _UPRIGHT * length:
        return [_tensor(picture.resize((_width(length, height), _HEIGHT), Image.Resampling.BILINEAR, box=box))]
    strip = picture.resize((_HEIGHT, _width(height, length)), Image.Resampling.BILINEAR, box=box)
    return [_tensor(strip.transpose(turn)) for turn in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270)]


def _tensor(strip: Image.Image) -> npt.NDArray[np.float32]:
    """Return (1, 3, 48, width), BGR, -1..1, padded with zeros."""
    pixels = np.asarray(strip, np.float32)[:, :, ::-1].transpose(2, 0, 1)
    tensor = np.zeros((1, 3, _HEIGHT, max(_NARROWEST, strip.width)), np.float32)
    tensor[0, :, :, : strip.width] = pixels / 127.5 - 1
    return tensor


def _width(length: float, height: float) -> int:
    return max(8, min(_WIDEST, math.ceil(_HEIGHT * length / max(1.0, height))))


def _bounds(line: Line, size: tuple[int, int]) -> Box:
    cos, sin = abs(math.cos(line.angle)), abs(math.sin(line.angle))
    half_x = (line.length * cos + line.height * sin) / 2
    half_y = (line.length * sin + line.height * cos) / 2
    return Box(
        max(0.0, (line.x - half_x) / size[0]),
        max(0.0, (line.y - half_y) / size[1]),
        min(1.0, (line.x + half_x) / size[0]),
        min(1.0, (line.y + half_y) / size[1]),
    )


def _in_order(read: Sequence[tuple[Line, OcrLine]]) -> list[OcrLine]:
    """Sort by rows: a line whose centre lies within half a height of a row's first line belongs to that row."""
    rows: list[list[tuple[Line, OcrLine]]] = []
    for entry in sorted(read, key=lambda pair: pair[0].y):
        line = entry[0]
        if rows and abs(line.y - rows[-1][0][0].y) <= 0.5 * min(line.height, rows[-1][0][0].height):
            rows[-1].append(entry)
        else:
            rows.append([entry])
    return [text for row in rows for _, text in sorted(row, key=lambda pair: pair[0].x)]
