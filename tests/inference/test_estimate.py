"""How long a batch will take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modgate.inference.estimate import ServiceTime


def test_the_line_goes_through_the_samples() -> None:
    """Base and slope come out of what was measured."""
    line = ServiceTime([(10.0, 0.003), (20.0, 0.005), (40.0, 0.009)])
    assert line.predict(30.0) == pytest.approx(0.007)


def test_one_sample_is_a_constant() -> None:
    """Without a second size nothing is known of the slope."""
    assert ServiceTime([(1.0, 0.02)]).predict(5.0) == pytest.approx(0.02)


def test_slower_batches_raise_the_estimate_and_it_recovers() -> None:
    """The drift follows neighbours that take the CPU, in both directions, within bounds."""
    line = ServiceTime([(1.0, 0.01)])
    for _ in range(100):
        line.observe(1.0, 0.03)
    assert line.drift == pytest.approx(3.0, rel=0.01)
    for _ in range(100):
        line.observe(1.0, 0.01)
    assert line.drift == pytest.approx(1.0, rel=0.01)
    for _ in range(1_000):
        line.observe(1.0, 10.0)
    assert line.drift == 8.0


@given(st.lists(st.tuples(st.floats(1, 512), st.floats(1e-4, 1)), min_size=1, max_size=8), st.floats(1, 5_000))
def test_estimates_are_positive_and_grow_with_the_work(samples: list[tuple[float, float]], units: float) -> None:
    """Whatever was measured, more work never takes less time, and no work takes none."""
    line = ServiceTime(samples)
    assert 0 < line.predict(units) <= line.predict(units * 2)
