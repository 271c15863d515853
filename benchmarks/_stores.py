"""Real PostgreSQL and Valkey (or Redis) servers on free ports, and a proxy that misbehaves between them and us."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._process import Usage

__all__ = ["MissingServerError", "Postgres", "ToxicProxy", "free_port", "postgres", "valkey"]

_START_SECONDS = 30.0


class MissingServerError(Exception):
    """The server's program is not installed; the message says what to install."""


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A PostgreSQL that runs; called with a name, it makes an empty database and returns its address."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, psql: list[str]) -> None:
        self._process = process
        self._port = port
        self._psql = psql

    def __call__(self, name: str) -> str:
        """Make a database."""
        if not self.ask(f"CREATE DATABASE {name}"):
            raise RuntimeError(f"cannot make the database {name}")
        return f"postgresql://modgate@127.0.0.1:{self._port}/{name}"

    def ask(self, query: str) -> bool:
        """Run a query of this repository and return whether that worked."""
        command = [*self._psql, query, "postgres"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - fixed

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server and all that serve its connections: the kernel takes what is sent, nobody answers."""
        family = Usage(self._process.pid).family()
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in reversed(family):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Run PostgreSQL and yield it.

    Raises:
        MissingServerError: It is not installed.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        raise MissingServerError("PostgreSQL is missing: apt-get install postgresql")
    programs = Path(initdb).parent
    with _folder() as folder:
        data, port = folder / "data", free_port()
        _run(initdb, "-D", str(data), "-A", "trust", "-U", "modgate", "--no-sync", "-E", "UTF8")
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder)]
        settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60"]
        with _server([*command, *settings], port, signal.SIGINT) as process:
            psql = [str(programs / "psql"), "-h", "127.0.0.1", "-p", str(port), "-U", "modgate", "-qAtc"]
            server = Postgres(process, port, psql)
            _until(lambda: server.ask("SELECT 1"))
            yield server


@contextmanager
def valkey() -> Iterator[str]:
    """Run Valkey, or Redis if that is what there is, without persistence, and yield its address.

    Raises:
        MissingServerError: Neither is installed.
    """
    program = shutil.which("valkey-server") or shutil.which("redis-server")
    if program is None:
        raise MissingServerError("Valkey is missing: apt-get install redis-server")
    with _folder() as folder:
        port = free_port()
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with _server([*command, "--dir", str(folder)], port, signal.SIGTERM):
            yield f"redis://127.0.0.1:{port}/0"


class ToxicProxy:
    """Forwards TCP connections; can delay answers, refuse connections and cut those that exist.

    Attributes:
        port: Where it listens.
        delay: Seconds that every piece of an answer is held back.
    """

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._forwarding: set[asyncio.Task[None]] = set()
        self.port = free_port()
        self.delay = 0.0

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)

    async def cut(self) -> None:
        """Refuse new connections and break the others."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            self._server = None
            await asyncio.gather(*self._forwarding, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._forwarding.add(task)
            task.add_done_callback(self._forwarding.discard)
        self._open.add(writer)
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            self._open.discard(writer)
            return
        self._open.add(there_writer)
        try:
            await asyncio.gather(self._pump(reader, there_writer, 0.0), self._pump(there_reader, writer, None))
        finally:
            for end in (writer, there_writer):
                self._open.discard(end)
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float | None) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                pause = self.delay if delay is None else delay
                if pause:
                    await asyncio.sleep(pause)
                writer.write(data)
                await writer.drain()
        writer.close()


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="modgate-store-"))
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unprivileged(command: list[str]) -> list[str]:
    # Neither server wants to be root, and PostgreSQL refuses.
    if os.geteuid() != 0:
        return command
    user = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *command]


def _run(*command: str) -> None:
    subprocess.run(_unprivileged(list(command)), check=True, capture_output=True, cwd="/")  # noqa: S603 - fixed


@contextmanager
def _server(command: list[str], port: int, stop: signal.Signals) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(  # noqa: S603 - fixed
        _unprivileged(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/"
    )
    try:
        _until(lambda: _listens(port))
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("a store did not start")
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


async def _serve_proxy(port: int, target: int) -> None:
    proxy = ToxicProxy(target)
    proxy.port = port
    await proxy.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    # A proxy in a process of its own can be frozen: connections then hang, which is worse than being refused.
    asyncio.run(_serve_proxy(int(sys.argv[1]), int(sys.argv[2])))
