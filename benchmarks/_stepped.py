"""modgate with a wall clock that a drill can step: `python -m benchmarks._stepped serve ...`.

What the server reads of the wall clock it reads through `time.time` and `time.time_ns`. Both are replaced before
anything of it is loaded, and add the seconds (a float64) that stand in the file named by `MODGATE_BENCHMARK_CLOCK`.
The machine's own clock stays as it is: others live by it. So does gRPC's, which compares the clock with what its C code
read, and would see a step in one of the two only.
"""

import mmap
import os
import runpy
import struct
import time
from pathlib import Path
from types import SimpleNamespace

from grpc._cython import cygrpc  # type: ignore[attr-defined]  # no types for C

__all__ = ["VARIABLE", "step"]

VARIABLE = "MODGATE_BENCHMARK_CLOCK"
_SECONDS = struct.Struct("<d")


def step(clock: Path, seconds: float) -> None:
    """Set the offset that every server reads that was started with this file."""
    # In place: the servers have it mapped.
    with clock.open("r+b" if clock.exists() else "w+b") as file:
        file.write(_SECONDS.pack(seconds))


def _follow(clock: Path) -> None:
    with clock.open("rb") as file:
        offset = mmap.mmap(file.fileno(), _SECONDS.size, access=mmap.ACCESS_READ)
    seconds, nanoseconds = time.time, time.time_ns
    cygrpc.time = SimpleNamespace(time=seconds)
    time.time = lambda: seconds() + _SECONDS.unpack_from(offset)[0]
    time.time_ns = lambda: nanoseconds() + int(_SECONDS.unpack_from(offset)[0] * 1e9)


if __name__ == "__main__":
    _follow(Path(os.environ[VARIABLE]))
    runpy.run_module("modgate", run_name="__main__", alter_sys=True)
