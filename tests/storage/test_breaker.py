"""The circuit breaker."""

from modgate.storage import CircuitBreaker


def test_it_opens_after_failures_and_lets_one_try_after_the_pause() -> None:
    """Three failures in a row open it; after the pause exactly one call may try; success closes it."""
    now = [0.0]
    breaker = CircuitBreaker(failures=3, pause=1.0, longest=4.0, monotonic=lambda: now[0])
    for _ in range(3):
        assert breaker.allows()
        breaker.failed()
    assert breaker.open
    assert not breaker.allows()
    now[0] = 1.0
    assert breaker.allows()
    assert not breaker.allows()
    breaker.succeeded()
    assert breaker.allows()
    assert breaker.allows()


def test_the_pause_grows_to_its_bound() -> None:
    """Every failed try doubles the pause, up to the longest."""
    now = [0.0]
    breaker = CircuitBreaker(failures=1, pause=1.0, longest=4.0, monotonic=lambda: now[0])
    waits = []
    for _ in range(5):
        breaker.failed()
        start = now[0]
        while not breaker.allows():
            now[0] += 0.5
        waits.append(now[0] - start)
    assert waits == [1.0, 2.0, 4.0, 4.0, 4.0]


def test_single_failures_among_successes_do_not_open_it() -> None:
    """Only failures in a row count."""
    breaker = CircuitBreaker(failures=2, monotonic=lambda: 0.0)
    for _ in range(5):
        breaker.failed()
        breaker.succeeded()
    assert breaker.allows()
