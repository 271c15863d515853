"""Text lines from a probability map: every blob gets its rectangle, noise gets none."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from modgate.media.lines import Line, find_lines


def _map(*bars: tuple[int, int, int, int], turned: float = 0.0) -> npt.NDArray[np.float32]:
    image = Image.new("L", (320, 192), 0)
    draw = ImageDraw.Draw(image)
    for bar in bars:
        draw.rectangle(bar, fill=230)
    pixels = np.asarray(image.rotate(turned, Image.Resampling.BILINEAR))
    return (pixels / 255).astype(np.float32)


def _around(line: Line) -> tuple[float, float, float, float]:
    return line.x - line.length / 2, line.y - line.height / 2, line.x + line.length / 2, line.y + line.height / 2


def test_bars_become_rectangles() -> None:
    """Each bar is one line, grown on all sides by about half of its height, the largest first."""
    lines = find_lines(_map((20, 20, 219, 29), (20, 100, 99, 105)))
    assert [(line.x, line.y) for line in lines] == [(120.0, 25.0), (60.0, 103.0)]
    left, top, right, bottom = _around(lines[0])
    assert (top, bottom) == pytest.approx((25 - 5 - 6.7, 25 + 5 + 6.7), abs=0.5)
    assert left < 15
    assert right > 225
    assert lines[0].angle == 0.0
    assert lines[0].score == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("degrees", [-40, -15, 8, 30])
def test_tilted_bars_keep_their_tilt(degrees: int) -> None:
    """A tilted line is fitted along its tilt, not by the box around it."""
    (line,) = find_lines(_map((100, 91, 219, 100), turned=degrees))
    assert math.degrees(line.angle) == pytest.approx(-degrees, abs=1.5)
    assert line.height < 30
    assert line.length > 120


def test_shapes_that_touch_are_one() -> None:
    """Runs that join further down, as in a U or a ring, are one component."""
    u = _map((50, 50, 59, 100), (150, 50, 159, 100), (50, 101, 159, 110))
    assert len(find_lines(u)) == 1
    ring = _map((50, 50, 149, 99)) - _map((60, 60, 139, 89))
    assert len(find_lines(ring)) == 1


def test_specks_and_doubts_are_dropped() -> None:
    """Specks, faint areas, an empty map and pure noise give nothing."""
    assert find_lines(_map((10, 10, 11, 11))) == []
    assert find_lines(_map((10, 10, 200, 30)) * 0.4) == []
    assert find_lines(np.zeros((64, 64), np.float32)) == []
    noise = (np.arange(640 * 640).reshape(640, 640) % 2).astype(np.float32)
    assert find_lines(noise) == []


def test_a_full_map_is_one_line() -> None:
    """A map that is text from edge to edge is one component."""
    (line,) = find_lines(np.ones((64, 96), np.float32))
    assert (line.x, line.y) == (48.0, 32.0)
