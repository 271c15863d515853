"""The highest rate that a server bears within a bound of its p99."""

from collections.abc import Callable

from benchmarks._phase import Phase

__all__ = ["highest_rate"]

_CLOSE = 1.06
_STEPS = 8


def highest_rate(measure: Callable[[float], Phase], start: float, *, bound_ms: float) -> tuple[float, Phase | None]:
    """Return the highest Poisson rate with p99 within the bound, no error and (almost) no fallback, and its phase.

    A rate that fails is measured once more before it counts as too high: one disturbed second says nothing about a
    server. The rate is 0 if none held.

    Args:
        measure: Sends at a rate, calls a second.
        start: The rate to begin with.
        bound_ms: Of p99.
    """
    low, high, best = 0.0, 0.0, None
    rate = start
    for _ in range(_STEPS):
        held = next((phase for phase in map(measure, (rate, rate)) if _holds(phase, bound_ms)), None)
        if held is not None:
            low, best = rate, held
        else:
            high = rate
        if low and high and high / low < _CLOSE:
            break
        rate = (low + high) / 2 if low and high else rate * 1.3 if not high else rate * 0.7
    return low, best


def _holds(phase: Phase, bound_ms: float) -> bool:
    return phase.ms(99) <= bound_ms and not phase.errors and phase.decided >= 0.999 * phase.sent
