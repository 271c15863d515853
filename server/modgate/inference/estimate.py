"""How long a batch will take, learnt from those that ran."""

from collections.abc import Sequence

__all__ = ["ServiceTime"]

_SMOOTHING = 0.1
_MAX_DRIFT = 8.0
_FORGIVENESS = 0.02


class ServiceTime:
    """A line through measured batches, `base + per_unit * units`, times how much slower than that things run now.

    The line is fitted once, on warm-up runs; the drift follows load from neighbours. Written by worker threads and
    read by others: every field is replaced whole, so a reader sees an old or a new estimate, never half of one.
    """

    def __init__(self, samples: Sequence[tuple[float, float]] = ((1.0, 0.005),)) -> None:
        """Fit the line.

        Args:
            samples: Pairs of units and seconds, at least one.
        """
        n = len(samples)
        mean_u = sum(u for u, _ in samples) / n
        mean_s = sum(s for _, s in samples) / n
        spread = sum((u - mean_u) ** 2 for u, _ in samples)
        slope = sum((u - mean_u) * (s - mean_s) for u, s in samples) / spread if spread else 0.0
        self._per_unit = max(slope, 0.0)
        self._base = max(mean_s - self._per_unit * mean_u, 0.05 * mean_s)
        self._drift = 1.0

    def forgive(self) -> None:
        """Trust the warm-up a little more again: called when work was refused on the strength of the estimate.

        Without it, an estimate that one stall inflated would refuse everything, and never see that the stall is over.
        """
        self._drift += _FORGIVENESS * (1.0 - self._drift)

    @property
    def drift(self) -> float:
        """How many times longer than on warm-up a batch takes now."""
        return self._drift

    def predict(self, units: float) -> float:
        """Return the expected seconds for one batch of so many units."""
        return (self._base + self._per_unit * units) * self._drift

    def observe(self, units: float, seconds: float) -> None:
        """Learn from a batch that ran."""
        ratio = seconds / (self._base + self._per_unit * units)
        drift = self._drift + _SMOOTHING * (ratio - self._drift)
        self._drift = min(max(drift, 1 / _MAX_DRIFT), _MAX_DRIFT)
