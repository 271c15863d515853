"""Open and closed loops: what they count, and that a stall of the server is not omitted."""

from typing import Any

import pytest
from benchmarks._load import closed_loop, open_loop


def messages(count: int) -> list[bytes]:
    """Return messages whose first field is a request id that ends in their index, as streams need it."""
    ids = [f"t-{i:x}".encode() for i in range(count)]
    return [bytes((0x0A, len(each))) + each for each in ids]


@pytest.mark.parametrize("streamed", [False, True])
def test_everything_is_sent_and_answered(echo: Any, *, streamed: bool) -> None:
    """Every message is sent once and its answer counted once, unary or streamed."""
    phase = open_loop(
        echo.address, messages(200), 2_000, streamed=streamed, connections=1, timeout=None, classify=False, drain_s=20
    )
    assert (phase.sent, phase.answered, phase.errors) == (200, 200, 0)
    assert phase.latency.get_total_count() == 200


def test_a_stall_is_not_omitted(echo: Any) -> None:
    """A server that stands still shows in every call that was due meanwhile, not only in the one that it held."""
    echo.stall_s = 0.6
    phase = open_loop(echo.address, messages(150), 500, timeout=None, classify=False, drain_s=20)
    assert phase.answered == 150
    # 300 ms worth of arrivals were due while more than 200 ms of the stall were still to come.
    assert phase.late >= 100
    assert phase.ms(50) > 200


def test_errors_are_counted_by_code(echo: Any) -> None:
    """An answer that is an error counts as such and is not decided."""
    calls = [b"refuse" if i % 4 == 0 else b"fine" for i in range(40)]
    phase = open_loop(echo.address, calls, 1_000, timeout=None, classify=False, drain_s=20)
    assert phase.codes == {0: 30, 3: 10}
    assert (phase.errors, phase.decided) == (10, 30 - phase.late)


def test_cancelled_calls_are_neither_late_nor_errors(echo: Any) -> None:
    """Calls that the generator cancels are counted apart."""
    echo.stall_s = 0.1
    phase = open_loop(echo.address, messages(100), 1_000, timeout=None, classify=False, cancel_share=0.5, drain_s=20)
    assert phase.cancelled > 0
    assert phase.errors == 0
    assert phase.answered == 100


def test_a_closed_loop_never_exceeds_its_window(echo: Any) -> None:
    """So many calls are in flight and no more; what is still out at the end is not counted."""
    phase = closed_loop(echo.address, messages(5_000), in_flight=3, seconds=0.3, classify=False)
    assert phase.answered == phase.sent
    assert echo.asked <= phase.sent + 3


def test_a_silent_server_is_late(echo: Any) -> None:
    """Calls that were never answered count as late."""
    echo.stall_s = 1.0
    phase = open_loop(echo.address, messages(5), 1_000, timeout=None, classify=False, drain_s=0.3)
    assert (phase.answered, phase.late, phase.codes[-2]) == (0, 5, 5)
