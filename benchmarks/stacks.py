"""Echo calls a second of the ways to serve gRPC from Python, asked by a client that is not Python: h2load.

Decides what the server is built on (docs/decisions/grpc-stack.md). Needs `h2load` (Debian package nghttp2-client).
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import uvloop

from benchmarks._process import program
from benchmarks._report import environment, say, table

__all__ = ["main"]

_SERVICE = "modgate.v1.ModerationService"
_READY = re.compile(r"^echo ready: (\S+)")
_RATE = re.compile(r"finished in \S+, ([\d.]+) req/s")
_STACKS = ("aio-uvloop", "aio-asyncio", "sync-2", "sync-4", "sync-16")
_PAYLOAD = b"a chat line of about fifty bytes, with who and where in it"


def main(argv: list[str]) -> int:
    """Measure all stacks in turn, several times, and print the median rates and their ratio to the first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks stacks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--serve", choices=_STACKS, help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=8_000, help="calls of one measurement (default 8000)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each stack (default 3)")
    parser.add_argument("--in-flight", type=int, default=32, help="calls in flight on one connection (default 32)")
    parser.add_argument("--smoke", action="store_true", help="one short round")
    parser.add_argument("--json", type=Path, metavar="F", help="write the report here")
    options = parser.parse_args(argv)
    if options.serve:
        _serve(options.serve)
        return 0
    h2load = shutil.which("h2load")
    if h2load is None:
        say("h2load is missing: install Debian's nghttp2-client or your system's package of nghttp2's tools")
        return 1
    calls, rounds = (1_000, 1) if options.smoke else (options.calls, options.rounds)
    rates: dict[str, list[float]] = {name: [] for name in _STACKS}
    for _ in range(rounds):
        for name in _STACKS:
            rates[name].append(_measure(h2load, name, calls, options.in_flight))
    medians = {name: statistics.median(found) for name, found in rates.items()}
    first = medians[_STACKS[0]]
    rows = [(n, f"{m:,.0f}", f"{m / first:.2f}", " ".join(f"{r:,.0f}" for r in rates[n])) for n, m in medians.items()]
    table(f"echo calls a second, {options.in_flight} in flight", ("stack", "median", "ratio", "rounds"), rows)
    report = {"environment": environment(), "calls_per_second": rates}
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _measure(h2load: str, name: str, calls: int, in_flight: int) -> float:
    root = Path(__file__).resolve().parents[1]
    path = os.pathsep.join([str(root), str(root / "server")])
    with tempfile.TemporaryDirectory(prefix="modgate-benchmark-") as folder:
        body = Path(folder) / "request"
        body.write_bytes(b"\0" + struct.pack(">I", len(_PAYLOAD)) + _PAYLOAD)
        command = [*_pinned(0), sys.executable, "-m", "benchmarks", "stacks", "--serve", name]
        with program(command, _READY, folder=Path(folder), environment={"PYTHONPATH": path}) as running:
            ask = [*_pinned(1), h2load, "-n", str(calls), "-c", "1", "-m", str(in_flight), "-d", str(body)]
            ask += ["-H", "content-type: application/grpc", "-H", "te: trailers"]
            ask += [f"http://{running.address}/{_SERVICE}/Moderate"]
            done = subprocess.run(ask, capture_output=True, text=True, check=True)  # noqa: S603 - fixed command
    found = _RATE.search(done.stdout)
    if found is None:
        raise RuntimeError(f"h2load gave no rate: {done.stdout[-300:]}")
    return float(found[1])


def _pinned(core: int) -> list[str]:
    """Return what keeps a program on one core, so that server and client never share one."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


def _serve(name: str) -> None:
    kind, _, detail = name.partition("-")
    if kind == "aio":
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if detail == "uvloop" else None) as runner:
            runner.run(_serve_aio())
        return
    server = grpc.server(ThreadPoolExecutor(int(detail)))
    server.add_generic_rpc_handlers((_handlers(lambda request, _context: request),))
    _announce(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


async def _serve_aio() -> None:
    async def echo(request: bytes, _context: object) -> bytes:
        return request

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_handlers(echo),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _announce(port)
    await server.wait_for_termination()


def _handlers(behaviour: object) -> grpc.GenericRpcHandler:
    method: Any = grpc.unary_unary_rpc_method_handler(behaviour)  # type: ignore[arg-type]  # sync or async, by server
    return grpc.method_handlers_generic_handler(_SERVICE, {"Moderate": method})


def _announce(port: int) -> None:
    sys.stdout.write(f"echo ready: 127.0.0.1:{port}\n")
    sys.stdout.flush()
