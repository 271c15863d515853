"""From a map of text probabilities to the rectangles of text lines: connected components, fitted, and grown.

The detector was trained on shrunken lines (differentiable binarisation), so what it finds is grown again. Written with
numpy alone: the map is cut into horizontal runs, and a few hundred runs are joined in Python, in about a millisecond.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Line", "find_lines"]

_TEXT, _SURE = 0.2, 0.45
"""Probability of a pixel that belongs to a line, and the least mean over a line."""
_GROWTH = 1.4
"""Area over perimeter times this is the distance by which the shrunken line grows."""
_ENDS = 0.15
"""Share of its height by which a line is longer than that."""
_RUNS = 20_000
"""Runs that are looked at; noise has more, text has not."""
_LEAST = 3.0
"""Pixels of the map: thinner or shorter lines are specks."""
_TILT = math.radians(4)
"""Lines that are tilted by less are read as they are."""
_SLENDER = 4.0
"""Ratio of the variances along and across from which the tilt of a component means anything."""


@dataclass(frozen=True, slots=True)
class Line:
    """A rectangle around a line of text, in pixels of the map that it was found in.

    Attributes:
        x: Centre.
        y: Centre.
        length: Along the line.
        height: Across the line.
        angle: Of the line against the horizontal, in radians, clockwise as seen.
        score: Mean probability of its pixels.
    """

    x: float
    y: float
    length: float
    height: float
    angle: float
    score: float


def find_lines(probabilities: npt.NDArray[np.float32]) -> list[Line]:
    """Return the text lines in a map of shape (height, width), the largest first."""
    height, width = probabilities.shape
    mask = np.zeros((height, width + 2), np.int8)
    mask[:, 1:-1] = probabilities > _TEXT
    steps = np.diff(mask, axis=1)
    rows, starts = np.nonzero(steps > 0)
    _, ends = np.nonzero(steps < 0)
    if not 0 < len(rows) <= _RUNS:
        return []
    labels = _join(rows, starts, ends)
    order = np.argsort(labels, kind="stable")
    rows, starts, ends, labels = rows[order], starts[order], ends[order], labels[order]
    first = np.flatnonzero(np.diff(labels, prepend=-1))
    total = np.concatenate(([0.0], np.cumsum(probabilities, dtype=np.float64)))
    sums = total[rows * width + ends] - total[rows * width + starts]
    return sorted(_fit(rows, starts, ends, sums, first), key=lambda line: -line.length * line.height)


def _join(rows: npt.NDArray[np.intp], starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Give runs that touch, also at a corner, the same number: union-find over neighbouring rows."""
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    row_of, start_of, end_of = rows.tolist(), starts.tolist(), ends.tolist()
    above = 0
    for run, row in enumerate(row_of):
        while row_of[above] < row - 1:
            above += 1
        # Runs of one row come in order: those above that end before this one begins also end before its successors.
        while row_of[above] == row - 1 and end_of[above] < start_of[run]:
            above += 1
        other = above
        while row_of[other] == row - 1 and start_of[other] <= end_of[run]:
            parent[root(other)] = root(run)
            other += 1
    return np.array([root(run) for run in range(len(parent))], np.intp)


def _fit(
    rows: npt.NDArray[np.intp],
    starts: npt.NDArray[np.intp],
    ends: npt.NDArray[np.intp],
    sums: npt.NDArray[np.float64],
    first: npt.NDArray[np.intp],
) -> list[Line]:
    """Fit a rectangle to each component: runs `first[i]` to `first[i + 1]`."""
    y, x0, x1 = rows.astype(np.float64), starts.astype(np.float64), ends.astype(np.float64)
    n = x1 - x0
    middle = (x0 + x1) / 2

    def add(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.add.reduceat(values, first)

    area = add(n)
    mean_x, mean_y = add(n * middle) / area, add(n * (y + 0.5)) / area
    var_x = add(n * middle**2 + n**3 / 12) / area - mean_x**2
    var_y = add(n * (y + 0.5) ** 2) / area - mean_y**2 + 1 / 12
    mixed = add(n * middle * (y + 0.5)) / area - mean_x * mean_y
    angle = 0.5 * np.arctan2(2 * mixed, var_x - var_y)
    spread = np.hypot(var_x - var_y, 2 * mixed)
    slender = (var_x + var_y + spread) > _SLENDER * np.maximum(1e-9, var_x + var_y - spread)
    # Along a side of the picture, the exact bounds are better than the fitted angle.
    off_axis = np.abs(np.remainder(angle + math.pi / 4, math.pi / 2) - math.pi / 4)
    angle = np.where(slender & (off_axis > _TILT), angle, 0.0)

    counts = np.diff(np.append(first, len(rows)))
    cos, sin = np.repeat(np.cos(angle), counts), np.repeat(np.sin(angle), counts)
    corners = [(x, y + dy) for x in (x0, x1) for dy in (0.0, 1.0)]
    along = np.stack([x * cos + v * sin for x, v in corners])
    across = np.stack([v * cos - x * sin for x, v in corners])
    low_u, high_u = np.minimum.reduceat(along.min(0), first), np.maximum.reduceat(along.max(0), first)
    low_v, high_v = np.minimum.reduceat(across.min(0), first), np.maximum.reduceat(across.max(0), first)
    length, height = high_u - low_u, high_v - low_v
    growth = length * height * _GROWTH / (2 * (length + height))
    centre_u, centre_v = (low_u + high_u) / 2, (low_v + high_v) / 2
    centre_x = centre_u * np.cos(angle) - centre_v * np.sin(angle)
    centre_y = centre_u * np.sin(angle) + centre_v * np.cos(angle)
    scores = add(sums) / area
    # The ends of a line are where its last letter is cut: they grow a little more.
    ends = 2 * growth + _ENDS * np.minimum(length, height)
    grown_length = length + np.where(length >= height, ends, 2 * growth)
    grown_height = height + np.where(length >= height, 2 * growth, ends)
    kept = np.flatnonzero((scores >= _SURE) & (np.minimum(length, height) >= _LEAST))
    fields = np.stack([centre_x, centre_y, grown_length, grown_height, angle, scores], axis=1)
    return [Line(*values) for values in fields[kept].tolist()]
