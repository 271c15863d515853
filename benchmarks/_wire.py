"""gRPC over HTTP/2, exactly as much as a load generator needs, so that the generator is not the bottleneck.

Requests arrive encoded and answers stay encoded; one thread, one socket, no event loop. The server is told that this
peer keeps no header table, so every header block stands for itself and the status can be read without an HPACK
decoder. What it costs next to grpcio and others: docs/decisions/load-generator.md.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Final

__all__ = ["CANCELLED", "Connection", "Done", "WireError"]

_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 0x1, 0x1, 0x4
_REFUSED = 7
_MAX_WINDOW = 0x7FFF_FFFF
_FRAME = 16_384
_HEAD = struct.Struct("!HBBBL")  # length (24 bits in two parts), type, flags, stream
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

CANCELLED: Final = -1  # no status of gRPC's: the stream was reset

Done = Callable[[int, float, int, bytes], None]


class WireError(ConnectionError):
    """The server closed the connection or broke the protocol."""


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    size = len(payload)
    return _HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def _literal(name: bytes, value: bytes, prefix: bytes = b"\x40") -> bytes:
    named = prefix if len(prefix) > 1 or prefix != b"\x40" else prefix + bytes((len(name),)) + name
    return named + bytes((len(value),)) + value


class Connection:
    """One HTTP/2 connection. `call` and `send` only queue; `flush` and `receive` do the work."""

    def __init__(self, address: str, path: str, *, timeout: float | None = 0.2, timeout_s: float = 5.0) -> None:
        """Connect and shake hands.

        Args:
            address: `host:port` or `unix:path`.
            path: The method, as `/package.Service/Method`.
            timeout: Seconds sent as every call's deadline; None for none.
            timeout_s: Seconds to wait for the handshake.
        """
        self.socket = _connect(address, timeout_s)
        self._out = bytearray(_PREFACE)
        # No header table here, no limit to what may be sent here.
        settings = struct.pack("!HLHLHL", 1, 0, 2, 0, 4, _MAX_WINDOW)
        self._out += _frame(_SETTINGS, 0, 0, settings)
        self._out += _frame(_WINDOW, 0, 0, struct.pack("!L", _MAX_WINDOW - 65_535))
        self._in = b""
        self._buffer = bytearray(1 << 18)
        self._next = 1
        self._first = True
        self._block = self._headers(address, path, timeout)
        self._window = 65_535
        self._initial = 65_535
        self.limit = 100
        self._windows: dict[int, int] = {}
        self._streams: set[int] = set()
        self._open: dict[int, tuple[int, bytes]] = {}  # stream -> the caller's tag, what was asked
        self._kept: deque[tuple[int, bytes]] = deque()  # calls beyond the server's limit of streams
        self._held: deque[tuple[int, bytes, int]] = deque()  # data beyond its windows
        self._partial: dict[int, bytes] = {}
        self._eaten = 0
        self.gone = False
        self._handshake(timeout_s)

    def _headers(self, address: str, path: str, timeout: float | None) -> tuple[bytes, bytes]:
        authority = b"localhost" if address.startswith("unix:") else address.encode()
        # Inserted into the server's table by the first call, referred to by one byte each ever after.
        first = (
            b"\x83\x86"
            + _literal(b"", path.encode(), b"\x44")
            + _literal(b"", authority, b"\x41")
            + _literal(b"", b"application/grpc", b"\x5f")
            + _literal(b"te", b"trailers")
        )
        count = 4
        if timeout is not None:
            first += _literal(b"grpc-timeout", f"{round(timeout * 1e6)}u".encode())
            count = 5
        return first, b"\x83\x86" + bytes(0x80 | (61 + count - i) for i in range(count))

    def _handshake(self, timeout_s: float) -> None:
        self._settled = False
        until = time.monotonic() + timeout_s
        while not self._settled and time.monotonic() < until:
            self.flush()
            self.receive(_ignore)
        if not self._settled:
            raise WireError("no HTTP/2 settings from the server")
        self.socket.settimeout(0)

    @property
    def in_flight(self) -> int:
        """Calls sent or waiting to be sent."""
        return len(self._open) + len(self._kept)

    def call(self, tag: int, message: bytes) -> None:
        """Queue a unary call; `tag` comes back with its answer."""
        if len(self._open) >= self.limit:
            self._kept.append((tag, message))
            return
        self._begin(tag, message, _END_STREAM)

    def open_stream(self, tag: int) -> int:
        """Queue the beginning of a streaming call and return its stream."""
        stream = self._begin(tag, None, 0)
        self._streams.add(stream)
        return stream

    def send(self, stream: int, message: bytes) -> None:
        """Queue one message of a stream."""
        self._data(stream, message, 0)

    def close_stream(self, stream: int) -> None:
        """Say that no more messages come."""
        self._out += _frame(_DATA, _END_STREAM, stream, b"")

    def cancel(self, tag: int) -> bool:
        """Cancel a call by its tag; whether it was still there."""
        for stream, (known, _) in self._open.items():
            if known == tag:
                self._out += _frame(_RST, 0, stream, struct.pack("!L", 8))
                self._forget(stream)
                return True
        return False

    @property
    def wants_to_write(self) -> bool:
        """Whether bytes wait for the socket."""
        return bool(self._out)

    def flush(self) -> None:
        """Write what the socket takes."""
        while self._out:
            try:
                sent = self.socket.send(self._out)
            except BlockingIOError:
                return
            except OSError as error:
                self.gone = True
                raise WireError(str(error)) from error
            del self._out[:sent]

    def receive(self, done: Done) -> None:
        """Read what has come. `done(tag, now, status, payload)` for each answer, payload b"" at the end of a call.

        A unary call is told once, with payload and status; a stream once a message (status 0) and once at its end.
        """
        try:
            count = self.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self.gone = True
            raise WireError(str(error)) from error
        now = time.perf_counter()
        if not count:
            self.gone = True
            raise WireError("the server closed the connection")
        data = self._in + bytes(memoryview(self._buffer)[:count])
        position, size = 0, len(data)
        unpack = _HEAD.unpack_from
        while size - position >= 9:
            high, low, kind, flags, stream = unpack(data, position)
            end = position + 9 + (high << 8 | low)
            if end > size:
                break
            self._on_frame((kind, flags, stream & _MAX_WINDOW), data[position + 9 : end], now, done)
            position = end
        self._in = data[position:]

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()

    def _begin(self, tag: int, message: bytes | None, end: int) -> int:
        stream = self._next
        self._next += 2
        first, later = self._block
        block = first if self._first else later
        self._first = False
        self._open[stream] = (tag, message or b"")
        self._out += _HEAD.pack(0, len(block), _HEADERS, _END_HEADERS, stream) + block
        if message is not None:
            self._data(stream, message, end)
        return stream

    def _data(self, stream: int, message: bytes, end: int) -> None:
        body = b"\0" + len(message).to_bytes(4) + message
        if self._held:
            self._held.append((stream, body, end))
            return
        self._held.append((stream, body, end))
        self._release()

    def _release(self) -> None:
        while self._held:
            stream, body, end = self._held.popleft()
            if end and stream not in self._open:
                continue  # cancelled meanwhile
            window = self._windows.get(stream, self._initial)
            room = min(window, self._window, _FRAME)
            if room <= 0:
                self._held.appendleft((stream, body, end))
                return
            part = body[:room]
            rest = body[room:]
            self._window -= len(part)
            if rest or not end:
                self._windows[stream] = window - len(part)
            self._out += _frame(_DATA, 0 if rest else end, stream, part)
            if rest:
                self._held.appendleft((stream, rest, end))

    def _on_frame(self, head: tuple[int, int, int], payload: bytes, now: float, done: Done) -> None:
        kind, flags, stream = head
        if kind == _DATA:
            self._on_data(stream, payload, now, done)
            if flags & _END_STREAM:
                self._finish(stream, now, CANCELLED, done)
        elif kind == _HEADERS:
            if flags & _END_STREAM:
                self._finish(stream, now, _status(payload), done)
        elif kind == _RST:
            if int.from_bytes(payload) == _REFUSED and stream in self._open and stream not in self._streams:
                # The server had not yet counted off a call that is over here: by the standard, nothing was processed.
                self._kept.appendleft(self._open[stream])
                self._forget(stream)
                self._next_kept()
                return
            self._finish(stream, now, CANCELLED, done)
        else:
            self._on_control(kind, flags, stream, payload)

    def _on_control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _WINDOW:
            self._on_window(stream, int.from_bytes(payload) & _MAX_WINDOW)
        elif kind == _SETTINGS and not flags & _ACK:
            self._on_settings(payload)
        elif kind == _PING and not flags & _ACK:
            self._out += _frame(_PING, _ACK, 0, payload)
        elif kind == _GOAWAY:
            self.gone = True

    def _on_data(self, stream: int, payload: bytes, now: float, done: Done) -> None:
        self._eaten += len(payload)
        if self._eaten > 1 << 28:
            self._out += _frame(_WINDOW, 0, 0, struct.pack("!L", self._eaten))
            self._eaten = 0
        if stream not in self._open:
            return  # cancelled meanwhile
        known = self._partial.get(stream)
        if stream in self._streams:  # every whole message counts at once
            known = known + payload if known else payload
            while len(known) >= 5 and len(known) >= 5 + (size := int.from_bytes(known[1:5])):
                done(self._open[stream][0], now, 0, known[5 : 5 + size])
                known = known[5 + size :]
            self._partial[stream] = known
        elif known is None:
            self._partial[stream] = payload
        else:
            self._partial[stream] = known + payload

    def _finish(self, stream: int, now: float, status: int, done: Done) -> None:
        if stream not in self._open:
            return
        tag, _ = self._open[stream]
        body = b"" if stream in self._streams else self._partial.get(stream, b"")
        self._forget(stream)
        done(tag, now, status, body[5:])
        self._next_kept()

    def _next_kept(self) -> None:
        while self._kept and len(self._open) < self.limit:
            tag, message = self._kept.popleft()
            self._begin(tag, message, _END_STREAM)

    def _forget(self, stream: int) -> None:
        self._open.pop(stream, None)
        self._windows.pop(stream, None)
        self._streams.discard(stream)
        self._partial.pop(stream, None)

    def _on_window(self, stream: int, more: int) -> None:
        if stream == 0:
            self._window += more
        elif stream in self._open:
            self._windows[stream] = self._windows.get(stream, self._initial) + more
        self._release()

    def _on_settings(self, payload: bytes) -> None:
        for key, value in struct.iter_unpack("!HL", payload):
            if key == 3:
                self.limit = value
            elif key == 4:
                for stream in self._windows:
                    self._windows[stream] += value - self._initial
                self._initial = value
        self._settled = True
        self._out += _frame(_SETTINGS, _ACK, 0, b"")
        self._release()


def _connect(address: str, timeout_s: float) -> socket.socket:
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(timeout_s)
        connection.connect(address.removeprefix("unix:"))
        return connection
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout_s)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _status(block: bytes) -> int:
    """Return the grpc-status of a header block without a table: the value stands behind the name as it is."""
    place = block.find(b"grpc-status")
    if place < 0:
        return 2  # UNKNOWN, as gRPC says for an answer without a status
    start = place + len(b"grpc-status")
    size = block[start] & 0x7F
    if block[start] & 0x80:
        raise WireError("the server sent a Huffman-coded status, which this client does not read")
    return int(block[start + 1 : start + 1 + size])


def _ignore(_tag: int, _now: float, _status: int, _payload: bytes) -> None:
    """Answers are not expected during the handshake."""
