"""HTTP/1.1 for the peers that speak it, as light as benchmarks/_wire.py: keep-alive, one request a connection."""

import socket
import time
from collections import deque

from benchmarks._wire import Done, WireError

__all__ = ["HttpLine", "http_lines", "post"]


def post(path: str, body: bytes) -> bytes:
    """Return an encoded POST of JSON."""
    fields = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*fields, "", ""]).encode() + body


class HttpLine:
    """One of several connections that share a queue. `call` may put a request on any of them."""

    def __init__(self, address: str, idle: "list[HttpLine]", waiting: "deque[tuple[int, bytes]]") -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self._idle, self._waiting = idle, waiting
        self._tag = -1
        self._in = b""
        self._out = b""
        idle.append(self)

    def call(self, tag: int, message: bytes) -> None:
        """Queue a request; `tag` comes back with its answer."""
        if self._idle:
            self._idle.pop()._start(tag, message)  # noqa: SLF001 - another of the same kind
        else:
            self._waiting.append((tag, message))

    @property
    def wants_to_write(self) -> bool:
        """Whether bytes wait for the socket."""
        return bool(self._out)

    def flush(self) -> None:
        """Write what the socket takes."""
        try:
            self._out = self._out[self.socket.send(self._out) :]
        except BlockingIOError:
            return

    def receive(self, done: Done) -> None:
        """Read what has come and tell `done(tag, now, status, body)`; status 0 for HTTP 200, else the HTTP status."""
        try:
            chunk = self.socket.recv(65_536)
        except BlockingIOError:
            return
        now = time.perf_counter()
        if not chunk:
            raise WireError("the server closed the connection")
        self._in += chunk
        end = self._in.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._in[:end].lower()
        place = head.find(b"content-length:")
        if place < 0:
            raise WireError("an answer without Content-Length")
        size = int(head[place + 15 :].split(b"\r\n", 1)[0])
        if len(self._in) < end + 4 + size:
            return
        status = int(head[9:12])
        body = self._in[end + 4 : end + 4 + size]
        tag, self._in = self._tag, b""
        if self._waiting:
            self._start(*self._waiting.popleft())
        else:
            self._idle.append(self)
        done(tag, now, 0 if status == 200 else status, body or b"-")

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _start(self, tag: int, message: bytes) -> None:
        self._tag = tag
        self._out = message
        self.flush()


def http_lines(address: str, count: int) -> list[HttpLine]:
    """Open connections that share a queue."""
    idle: list[HttpLine] = []
    waiting: deque[tuple[int, bytes]] = deque()
    return [HttpLine(address, idle, waiting) for _ in range(count)]
