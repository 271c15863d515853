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
from PIL import Image

from modgate.inference.bundle import Bundle
from modgate.inference.estimate import ServiceTime
from modgate.inference.session import Session
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
        found: How many lines there are; more than the reader reads at most are left out, the smallest ones.
        late: Whether lines are missing because time ran out.
    """

    lines: tuple[OcrLine, ...]
    found: int
    late: bool = False

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
        self._detector = Session(bundle.file(self._spec.detector))
        self._recogniser = Session(bundle.model)
        characters = self._recogniser.metadata.get("character")
        if not characters:
            raise ValueError(f"bundle {bundle.manifest.name}: the recogniser's metadata has no `character` list")
        # Class 0 is the blank of the alignment; the space is not in the list and comes last.
        self._alphabet = ["", *characters.split("\n"), " "]
        deviation = np.array(self._spec.deviation, np.float32)[:, np.newaxis, np.newaxis]
        self._slope = 1 / (255 * deviation)
        self._offset = -np.array(self._spec.mean, np.float32)[:, np.newaxis, np.newaxis] / deviation
        self._finding, self._reading = self._warm_up()

    def read(self, picture: Image.Image, deadline: float) -> Reading:
        """Read a picture. Blocks for 30 to 150 ms: call it in a worker thread.

        Args:
            picture: RGB, upright.
            deadline: `time.monotonic()` seconds. No step is begun that, going by the last ones, would not end in time.

        Raises:
            MediaError: DEADLINE if there is no time even to look for lines.
        """
        lines = self._find(picture, deadline)
        read: list[tuple[Line, OcrLine]] = []
        late = False
        for line in lines[: self._most]:
            strips = _cut(picture, line)
            units = float(sum(strip.shape[3] for strip in strips))
            if time.monotonic() + self._reading.predict(units) >= deadline:
                late = True
                break
            text, score = max((self._spell(strip) for strip in strips), key=lambda pair: pair[1])
            if text and score >= _SURE:
                read.append((line, OcrLine(text, _bounds(line, picture.size), score)))
        return Reading(tuple(_in_order(read)), len(lines), late)

    def _find(self, picture: Image.Image, deadline: float) -> list[Line]:
        """Return the lines in pixels of the picture."""
        scale = min(1.0, self._spec.side / max(picture.size))
        width, height = (max(_GRID, round(side * scale / _GRID) * _GRID) for side in picture.size)
        begun = time.monotonic()
        if begun + self._finding.predict(width * height) >= deadline:
            raise MediaError(MediaProblem.DEADLINE)
        pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
        planes = np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1)).astype(np.float32)
        lines = find_lines(self._detect((planes * self._slope + self._offset)[np.newaxis])[0, 0])
        self._finding.observe(width * height, time.monotonic() - begun)
        return [_scaled(line, picture.width / width, picture.height / height) for line in lines]

    def _detect(self, tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        (output,) = self._detector.run(self._detector.outputs, {self._detector.inputs[0]: tensor})
        return np.asarray(output, np.float32)

    def _recognise(self, strip: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        begun = time.monotonic()
        (output,) = self._recogniser.run(self._recogniser.outputs, {self._recogniser.inputs[0]: strip})
        self._reading.observe(strip.shape[3], time.monotonic() - begun)
        return np.asarray(output, np.float32)

    def _warm_up(self) -> tuple[ServiceTime, ServiceTime]:
        """Run both models on empty input of two sizes, and learn how long they take by pixels and by columns."""
        self._reading = ServiceTime()
        finding, reading = [], []
        for side in (_GRID, _GRID, self._spec.side):
            begun = time.monotonic()
            self._detect(np.zeros((1, 3, side, side), np.float32))
            finding.append((float(side * side), time.monotonic() - begun))
        for width in (_NARROWEST, _NARROWEST, 4 * _NARROWEST):
            begun = time.monotonic()
            self._recognise(np.zeros((1, 3, _HEIGHT, width), np.float32))
            reading.append((float(width), time.monotonic() - begun))
        # The first run of each sets things up and says nothing about the next.
        return ServiceTime(finding[1:]), ServiceTime(reading[1:])

    def _spell(self, strip: npt.NDArray[np.float32]) -> tuple[str, float]:
        """Read one line by the most probable characters: repeated ones are one, blanks part them."""
        output = self._recognise(strip)[0]
        best = output.argmax(1)
        kept = (best != 0) & (best != np.concatenate(([0], best[:-1])))
        if not kept.any():
            return "", 0.0
        score = float(output[np.flatnonzero(kept), best[kept]].mean())
        return "".join(self._alphabet[index] for index in best[kept].tolist()).strip(), score


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
