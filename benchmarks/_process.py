"""A server of its own for each benchmark: started on free ports, watched through /proc, stopped by its process id."""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import grpc
import yaml
from grpc_health.v1 import health_pb2

from benchmarks._stepped import VARIABLE

__all__ = ["Running", "Usage", "at_ease", "modgate", "program", "serving"]

_ROOT = Path(__file__).resolve().parents[1]
_READY = re.compile(r"^modgate ready: moderation on (\S+?)[,;]")
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage:
    """What a process and its children use, by /proc."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def family(self) -> list[int]:
        """Return the process and its children, by id."""
        parents: dict[int, list[int]] = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit() and (fields := _stat(int(folder.name))):
                parents.setdefault(int(fields[1]), []).append(int(folder.name))
        family = [self.pid]
        for pid in family:
            family += parents.get(pid, [])
        return family

    def cpu_s(self) -> float:
        """Seconds of processor time so far, children included."""
        ticks = 0
        for pid in self.family():
            if fields := _stat(pid):
                ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICK

    def rss_mb(self) -> float:
        """Resident memory in MB (10^6 bytes), children included."""
        pages = 0
        for pid in self.family():
            if fields := _stat(pid):
                pages += int(fields[21])
        return pages * _PAGE / 1e6

    def threads(self) -> int:
        """Threads of the process."""
        fields = _stat(self.pid)
        return int(fields[17]) if fields else 0

    def open_files(self) -> int:
        """Open file descriptors of the process."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


def _stat(pid: int) -> list[str]:
    """Return /proc/PID/stat from the state on: index 0 is the state, 1 the parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


class Running:
    """A server that runs, started here or elsewhere.

    Attributes:
        address: Where its data plane listens.
        usage: What it uses; None if it was not started here.
        cold_start_s: From being started to SERVING; None if it was not started here.
    """

    def __init__(self, address: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
        self.address = address
        self.process = process
        self.usage = Usage(process.pid) if process is not None else None
        self.cold_start_s: float | None = None

    def cpu_s(self) -> float | None:
        """Seconds of processor time, if known."""
        return self.usage.cpu_s() if self.usage else None

    def rss_mb(self) -> float | None:
        """Resident memory in MB, if known."""
        return round(self.usage.rss_mb(), 1) if self.usage else None

    def pause(self, seconds: float) -> None:
        """Freeze the whole process for a while."""
        if self.process is None:
            raise ValueError("only a server that was started here can be paused")
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def stop(self, *, family: bool = False) -> int | None:
        """End the process, with `family` its children that outlive it as well, and return its exit status."""
        if self.process is None:
            return None
        children = self.usage.family()[1:] if self.usage and family else []
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        return self.process.returncode

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def program(
    command: Sequence[str],
    ready: re.Pattern[str],
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    wait_s: float = 120.0,
) -> Running:
    """Start a program and wait for the line on standard output that says where it listens.

    Raises:
        RuntimeError: If it does not say so, with the end of what it wrote.
    """
    # Files, not pipes: nobody reads along while the load runs.
    said, errors = folder / "stdout.log", folder / "stderr.log"
    with said.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(  # noqa: S603 - programs of this repository and the peers
            at_ease(command), stdout=out, stderr=err, cwd=folder, env={**os.environ, **(environment or {})}
        )
    running = Running("", process)
    until = time.monotonic() + wait_s
    while time.monotonic() < until and process.poll() is None:
        for line in said.read_text(errors="replace").splitlines():
            if found := ready.search(line):
                running.address = found[1]
                return running
        time.sleep(0.01)
    running.stop()
    tail = said.read_text(errors="replace")[-500:] + errors.read_text(errors="replace")[-2_000:]
    raise RuntimeError(f"{' '.join(command[:4])} ... did not start:\n{tail}")


def at_ease(command: Sequence[str]) -> list[str]:
    """Return the command at ordinary niceness, however much the generator is favoured."""
    ahead = -os.getpriority(os.PRIO_PROCESS, 0)
    return ["nice", "-n", str(ahead), *command] if ahead > 0 else list(command)


@contextmanager
def modgate(
    settings: Mapping[str, Any] | None = None,
    *,
    rules: str | None = None,
    faults: Sequence[str] = (),
    address: str = "",
    clock: Path | None = None,
) -> Iterator[Running]:
    """Run `modgate serve` on a free port until the block ends, or use the server at an address.

    Args:
        settings: As in the settings file; the environment's MODGATE_* go before.
        rules: A rule file's content; the default rules if None.
        faults: Drills.
        address: A running server; nothing is started then.
        clock: The server's wall clock can be stepped through this file (`benchmarks._stepped`).
    """
    if address:
        yield Running(address)
        return
    with tempfile.TemporaryDirectory(prefix="modgate-benchmark-") as name:
        folder = Path(name)
        content: dict[str, Any] = {"listen": ["127.0.0.1:0"], "control_listen": "", "metrics_listen": ""}
        content["storage"] = {"folder": str(folder / "state")}
        content |= settings or {}
        if rules is not None:
            (folder / "rules.yaml").write_text(rules)
            content["rules"] = str(folder / "rules.yaml")
        (folder / "settings.yaml").write_text(yaml.safe_dump(content))
        module = "modgate" if clock is None else "benchmarks._stepped"
        command = [sys.executable, "-m", module, "serve", "--config", str(folder / "settings.yaml")]
        for fault in faults:
            command += ["--fault", fault]
        places = [str(_ROOT / "server"), str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {"PYTHONPATH": os.pathsep.join(places)}
        if clock is not None:
            environment[VARIABLE] = str(clock)
        begun = time.perf_counter()
        with program(command, _READY, folder=folder, environment=environment) as running:
            if not serving(running.address):
                raise RuntimeError(f"the server at {running.address} does not say SERVING")
            running.cold_start_s = round(time.perf_counter() - begun, 2)
            yield running


def serving(address: str, timeout: float = 5.0) -> bool:
    """Return whether the server's health service says SERVING."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = ask(health_pb2.HealthCheckRequest(), timeout=timeout, wait_for_ready=True)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
