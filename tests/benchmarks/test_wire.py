"""The load generator's own gRPC against grpcio's server."""

import select
from typing import Any

import pytest
from benchmarks._load import STREAM, UNARY
from benchmarks._wire import Connection, WireError

Answers = dict[int, list[tuple[int, bytes]]]


def collect(connection: Connection, wanted: int) -> Answers:
    """Drive a connection until so many answers have come."""
    answers: Answers = {}

    def done(tag: int, _now: float, status: int, payload: bytes) -> None:
        answers.setdefault(tag, []).append((status, payload))

    while sum(map(len, answers.values())) < wanted:
        connection.flush()
        writers = [connection.socket] if connection.wants_to_write else []
        ready, _, _ = select.select([connection.socket], writers, [], 10)
        assert ready or writers, f"silence after {answers}"
        if ready:
            connection.receive(done)
    return answers


def test_answers_carry_status_and_payload(echo: Any) -> None:
    """Every call comes back under its tag with its own payload, or with the status that the server gave."""
    connection = Connection(echo.address, UNARY)
    for tag in range(20):
        connection.call(tag, b"refuse" if tag == 7 else f"message {tag}".encode())
    answers = collect(connection, 20)
    connection.close()
    assert answers.pop(7) == [(3, b"")]
    assert answers == {tag: [(0, f"message {tag}".encode())] for tag in range(20) if tag != 7}


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 70_000, 3_000_000])
def test_messages_of_any_size(echo: Any, size: int) -> None:
    """Messages beyond a frame and beyond the server's windows arrive whole."""
    connection = Connection(echo.address, UNARY, timeout=None)
    message = bytes(i % 251 for i in range(size))
    for tag in range(2):
        connection.call(tag, message)
    answers = collect(connection, 2)
    connection.close()
    assert answers == {0: [(0, message)], 1: [(0, message)]}


def test_calls_beyond_the_servers_limit_wait(echo: Any) -> None:
    """More calls than the server takes at once are kept and sent as others end; none is lost."""
    connection = Connection(echo.address, UNARY, timeout=None)
    for tag in range(300):
        connection.call(tag, str(tag).encode())
    assert connection.in_flight == 300
    answers = collect(connection, 300)
    connection.close()
    assert answers == {tag: [(0, str(tag).encode())] for tag in range(300)}


def test_a_stream_carries_many_messages(echo: Any) -> None:
    """Messages of one stream come back one by one, and its end with the status."""
    connection = Connection(echo.address, STREAM, timeout=None)
    stream = connection.open_stream(5)
    for i in range(200):
        connection.send(stream, f"m{i}".encode())
    connection.close_stream(stream)
    answers = collect(connection, 201)
    connection.close()
    assert answers == {5: [(0, f"m{i}".encode()) for i in range(200)] + [(0, b"")]}


def test_a_cancelled_call_is_not_answered(echo: Any) -> None:
    """A call that was cancelled says nothing more, and the others are answered."""
    echo.stall_s = 0.2
    connection = Connection(echo.address, UNARY, timeout=None)
    connection.call(0, b"first")
    connection.call(1, b"second")
    connection.call(2, b"third")
    assert connection.cancel(1)
    assert not connection.cancel(9)
    answers = collect(connection, 2)
    connection.close()
    assert answers == {0: [(0, b"first")], 2: [(0, b"third")]}


def test_no_server() -> None:
    """Without a server there is an error, not a wait."""
    with pytest.raises(OSError, match="refused"):
        Connection("127.0.0.1:1", UNARY)


def test_a_connection_that_ends(echo: Any) -> None:
    """A connection that the server ends is an error that says so."""
    connection = Connection(echo.address, UNARY)
    connection.socket.shutdown(0)

    def read() -> None:
        for _ in range(100):  # what had arrived before is read first
            connection.receive(lambda *_: None)

    with pytest.raises(WireError, match="closed"):
        read()
    connection.close()
