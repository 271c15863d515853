"""One bundle's scores on another's scale, so that a rule's threshold means as much for both."""

import numpy as np
import numpy.typing as npt

from modgate.inference.manifest import Label, Manifest

__all__ = ["Alignment"]


class Alignment:
    """Puts scores of one bundle in the order and on the scale of another.

    A score at the one's default threshold becomes the other's default threshold, and so does a strict one; between them
    the way is straight. So `at_least: strict` stays what blocks nobody by mistake, whichever bundle read the message. A
    label that is experimental in the first bundle only may flag, never block: it stays below the strict threshold.
    """

    def __init__(self, of: Manifest, to: Manifest) -> None:
        """Compare two manifests.

        Args:
            of: Whose scores will come.
            to: Whose labels and thresholds the rules were written for. Labels that `of` lacks score 0.
        """
        theirs = {label.name: (i, label) for i, label in enumerate(of.labels)}
        self._lines: list[tuple[int, int, tuple[list[float], list[float]] | None]] = []
        self._size = len(to.labels)
        for i, label in enumerate(to.labels):
            if label.name in theirs:
                source, given = theirs[label.name]
                self._lines.append((i, source, _line(given, label)))

    def __call__(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return aligned scores.

        Args:
            probabilities: Of one text, of shape (labels of the first bundle,).
        """
        out = np.zeros(self._size, np.float32)
        for i, source, line in self._lines:
            score = probabilities[source]
            out[i] = score if line is None else np.interp(score, *line)
        return out


def _line(given: Label, wanted: Label) -> tuple[list[float], list[float]] | None:
    """Return the corners of the line from one scale to the other, or None where there is nothing to align."""
    if given.group is not None or given.threshold is None or wanted.threshold is None:
        return None
    corners = [(0.0, 0.0), (given.threshold, wanted.threshold)]
    high, strict = given.strict_threshold, wanted.strict_threshold
    if high is not None and strict is not None and high > given.threshold:
        corners.append((high, strict))
    highest = 1.0
    if given.experimental and not wanted.experimental and strict is not None:
        highest = float(np.nextafter(np.float32(max(strict, wanted.threshold)), np.float32(0)))
        corners = [(x, min(y, highest)) for x, y in corners]
    if corners[-1][0] < 1.0:
        corners.append((1.0, highest))
    return [x for x, _ in corners], [y for _, y in corners]
