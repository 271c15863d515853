"""The search for the highest rate, against servers of known capacity."""

import pytest
from benchmarks._phase import Phase
from benchmarks._search import highest_rate


def phase_of(rate: float, *, p99_ms: float) -> Phase:
    """Return a phase of a hundred calls that all took as long."""
    phase = Phase(rate, sent=100)
    phase.decided = 100
    for _ in range(100):
        phase.latency.record_value(round(p99_ms * 1000))
    return phase


@pytest.mark.parametrize("capacity", [150.0, 400.0, 900.0])
def test_the_search_ends_near_the_capacity(capacity: float) -> None:
    """From 400 on, up or down, the rate found is at most a twelfth below what the server bears, and never above."""
    rate, best = highest_rate(lambda r: phase_of(r, p99_ms=10 if r <= capacity else 90), 400.0, bound_ms=50)
    assert 0.92 * capacity < rate <= capacity
    assert best is not None
    assert best.rate == rate


def test_one_disturbance_does_not_lower_the_figure() -> None:
    """The first look at every rate is disturbed: the second counts."""
    seen: set[float] = set()

    def measure(rate: float) -> Phase:
        disturbed = rate not in seen
        seen.add(rate)
        return phase_of(rate, p99_ms=90 if disturbed or rate > 1000 else 10)

    assert highest_rate(measure, 400.0, bound_ms=50)[0] > 800


def test_a_server_that_never_holds_has_no_rate() -> None:
    """Zero, not the lowest rate tried."""
    assert highest_rate(lambda r: phase_of(r, p99_ms=90), 400.0, bound_ms=50) == (0.0, None)
