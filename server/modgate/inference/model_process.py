"""A process that runs models for the gate: `python -m modgate.inference.model_process FD NICE`.

It answers one request after the other on a socket that it inherits, until that is closed. Both directions carry
frames: the lengths of a header and of a body, the header as JSON, the body with the bytes of all arrays one behind the
other. Nothing is pickled.

| header of a request | of its answer |
|---|---|
| `{"open": path, "threads": n, "arena": bool}` | `{"model": number, "inputs": [...], "outputs": [...]}` |
| `{"run": number, "outputs": [...], "arrays": [[name, type, shape], ...]}` | `{"arrays": [[name, type, shape], ...]}` |

An answer of `{"error": text}` says what went wrong.
"""

import json
import math
import os
import signal
import socket
import struct
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modgate.inference.session import Array, Session

__all__ = ["main", "receive", "send"]

_LENGTHS = struct.Struct("<II")
_USUAL_BYTES = 32 * 1024
"""What a batch of chat lines takes, with embeddings."""


def send(line: socket.socket, header: Mapping[str, object], arrays: Mapping[str, Array] | None = None) -> None:
    """Write a frame.

    Args:
        line: A stream socket.
        header: What JSON can say; `arrays` is added to it.
        arrays: Goes into the body.
    """
    solid = {name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    layout = [[name, array.dtype.str, array.shape] for name, array in solid.items()]
    told = json.dumps({**header, "arrays": layout}).encode()
    body = b"".join(array.tobytes() for array in solid.values())
    line.sendall(_LENGTHS.pack(len(told), len(body)) + told + body)


def receive(line: socket.socket) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read a frame: its header and its arrays by name.

    The other side sends nothing more until it is answered, so whatever comes is this frame. Nearly always it comes in
    one piece: each further read would hand over the interpreter once more, and the event loop waits to get it back.

    Raises:
        EOFError: The other side has gone.
    """
    data, have = bytearray(_USUAL_BYTES), 0
    size = _LENGTHS.size
    while have < size:
        count = line.recv_into(memoryview(data)[have:])
        if not count:
            raise EOFError("the other side closed the connection")
        have += count
        if have >= _LENGTHS.size:
            told, body = _LENGTHS.unpack_from(data)
            size = _LENGTHS.size + told + body
            data.extend(bytes(max(0, size - len(data))))
    header: dict[str, Any] = json.loads(data[_LENGTHS.size : _LENGTHS.size + told])
    arrays: dict[str, Array] = {}
    place = _LENGTHS.size + told
    for name, kind, shape in header.get("arrays", ()):
        count = math.prod(shape)
        arrays[name] = np.frombuffer(data, kind, count, place).reshape(shape)
        place += arrays[name].nbytes
    return header, arrays


def main(argv: list[str]) -> None:
    """Serve until the socket is closed."""
    # Who stops the gate stops this process by closing the socket, after the last answer.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(int(argv[1]))
    models: list[Session] = []
    with socket.socket(fileno=int(argv[0])) as line:
        while True:
            try:
                header, arrays = receive(line)
            except (EOFError, ConnectionError):
                return
            try:
                answer, results = _answer(models, header, arrays)
            except Exception as error:  # noqa: BLE001 - whatever a model raises is that request's answer
                answer, results = {"error": f"{type(error).__name__}: {error}"}, {}
            send(line, answer, results)


def _answer(
    models: list[Session], header: dict[str, Any], arrays: dict[str, Array]
) -> tuple[dict[str, object], dict[str, Array]]:
    if "open" in header:
        model = Session(Path(header["open"]), threads=header["threads"], arena=header["arena"])
        models.append(model)
        return {"model": len(models) - 1, "inputs": model.inputs, "outputs": model.outputs}, {}
    outputs: list[str] = header["outputs"]
    return {}, dict(zip(outputs, models[header["run"]].run(outputs, arrays), strict=True))


if __name__ == "__main__":
    main(sys.argv[1:])
