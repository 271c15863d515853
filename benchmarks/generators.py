"""What a call costs the client, by load generator: the own one, grpcio with futures, grpc.aio, and h2load if installed.

All send the same encoded message to the same echo server, 32 calls in flight on one connection, and look at no answer.
"""

import asyncio
import resource
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from benchmarks._load import UNARY, closed_loop
from benchmarks._mix import requests
from benchmarks._options import common
from benchmarks._report import environment, finish, say, table
from benchmarks.throughput import echo_server

_IN_FLIGHT = 32


def main(argv: list[str]) -> int:
    """Run and print."""
    options = common("generators", __doc__, seconds=3, mix="words").parse_args(argv)
    seconds = min(options.seconds, 1.0) if options.smoke else options.seconds
    message = requests(options.mix, options.seed, 1)[0]
    report: dict[str, Any] = {"benchmark": "generators", "environment": environment(), "seconds": seconds}
    rows: dict[str, list[tuple[float, float]]] = {}
    with echo_server() as server:
        for _ in range(1 if options.smoke else 3):
            for name, run in _GENERATORS.items():
                if (measured := run(server.address, message, seconds)) is not None:
                    rows.setdefault(name, []).append(measured)
    report["rows"] = {
        name: {"calls_per_s": [round(c, 1) for c, _ in runs], "client_us_each": [round(u, 1) for _, u in runs]}
        for name, runs in rows.items()
    }
    say(f"{report['environment']['date']} load before {report['environment']['machine']['load_before']}")
    table(
        f"echo of {len(message)} bytes, {_IN_FLIGHT} in flight, median of the rounds",
        ["generator", "calls /s", "client CPU, microseconds a call"],
        [[name, f"{_median([c for c, _ in runs]):.0f}", f"{_median([u for _, u in runs]):.1f}"]
         for name, runs in rows.items()],
    )  # fmt: skip
    return finish("generators", report, {}, smoke=options.smoke, json_file=options.json, plot_file=None)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _own(address: str, message: bytes, seconds: float) -> tuple[float, float] | None:
    phase = closed_loop(
        address,
        [message] * round(20_000 * seconds),
        in_flight=_IN_FLIGHT,
        seconds=seconds,
        connections=1,
        classify=False,
    )
    return phase.answered / phase.seconds, 1e6 * phase.client_cpu_s / phase.answered


def _futures(address: str, message: bytes, seconds: float) -> tuple[float, float] | None:
    done, window = 0, threading.Semaphore(_IN_FLIGHT)

    def answered(_: object) -> None:
        nonlocal done
        done += 1
        window.release()

    with grpc.insecure_channel(address) as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UNARY)
        call(message)
        begun, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - begun < seconds:
            window.acquire()
            call.future(message).add_done_callback(answered)
        took, cost = time.perf_counter() - begun, time.process_time() - cpu
        for _ in range(_IN_FLIGHT):
            window.acquire()
    return done / took, 1e6 * cost / done


def _aio(address: str, message: bytes, seconds: float) -> tuple[float, float] | None:
    async def run() -> tuple[float, float]:
        done = 0
        async with grpc.aio.insecure_channel(address) as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(UNARY)
            await call(message)
            begun, cpu = time.perf_counter(), time.process_time()

            async def caller() -> None:
                nonlocal done
                while time.perf_counter() - begun < seconds:
                    await call(message)
                    done += 1

            await asyncio.gather(*(caller() for _ in range(_IN_FLIGHT)))
            return done / (time.perf_counter() - begun), 1e6 * (time.process_time() - cpu) / done

    return asyncio.run(run())


def _h2load(address: str, message: bytes, seconds: float) -> tuple[float, float] | None:
    program = shutil.which("h2load")
    if program is None:
        return None
    with tempfile.NamedTemporaryFile() as body:
        Path(body.name).write_bytes(b"\0" + len(message).to_bytes(4) + message)
        command = [
            program, "-c", "1", "-m", str(_IN_FLIGHT), "-D", str(max(1, round(seconds))), "-d", body.name,
            "-H", "content-type: application/grpc", "-H", "te: trailers", f"http://{address}{UNARY}",
        ]  # fmt: skip
        before = _children_cpu()
        said = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - fixed arguments
        cost = _children_cpu() - before
    done = next(int(line.split()[5]) for line in said.stdout.splitlines() if line.startswith("requests:"))
    return done / max(1, round(seconds)), 1e6 * cost / max(1, done)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


_GENERATORS: dict[str, Callable[[str, bytes, float], tuple[float, float] | None]] = {
    "benchmarks/_wire.py": _own,
    "grpcio, futures": _futures,
    "grpc.aio": _aio,
    "h2load (C)": _h2load,
}
