"""Models in processes of their own, one for each worker, so that inference and the event loop share no interpreter.

In one process a worker that holds the interpreter's lock may be descheduled, and the event loop then waits for a thread
of lower priority (docs/decisions/model-processes.md). A model that crashes takes its process along, not the gate.
"""

import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from modgate.inference.model_process import receive, send
from modgate.inference.session import Array, SessionLike

__all__ = ["ModelError", "ModelProcesses", "ProcessError"]

_PATIENCE_S = 5.0
_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")


class ProcessError(RuntimeError):
    """A process that runs models has died or is not there."""


class ModelError(RuntimeError):
    """A model could not be loaded or run; the process that tried is well."""


@dataclass(frozen=True, slots=True)
class _Opened:
    path: Path
    threads: int
    arena: bool


@dataclass(slots=True)
class _Worker:
    """One process, used by one thread at a time."""

    nice: int
    process: "subprocess.Popen[bytes]" = field(init=False)
    line: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        mine, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "modgate.inference.model_process", str(theirs.fileno()), str(self.nice)]
            environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
            environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
            self.process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
                command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), env=environment
            )
        self.line = mine

    def ask(
        self, header: Mapping[str, object], arrays: Mapping[str, Array] | None = None
    ) -> tuple[dict[str, object], dict[str, Array]]:
        try:
            send(self.line, header, arrays)
            answer, results = receive(self.line)
        except (OSError, EOFError) as error:
            raise ProcessError("the process that runs the model has died") from error
        if "error" in answer:
            raise ModelError(str(answer["error"]))
        return answer, results

    def end(self) -> None:
        self.line.close()
        try:
            self.process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class ModelProcesses:
    """Some processes that all have the same models loaded. Thread-safe."""

    def __init__(self, count: int, *, nice: int = 0) -> None:
        """Start the processes.

        Args:
            count: As many as there are threads that run models at once.
            nice: How far below the gate they are scheduled (0..19).
        """
        self._nice = nice
        self._opened: list[_Opened] = []
        self._closed = False
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers = [_Worker(nice) for _ in range(count)]
        for worker in self._workers:
            self._idle.put(worker)

    @property
    def pids(self) -> list[int]:
        """Process ids of those that run."""
        return [worker.process.pid for worker in self._workers]

    def open(self, model: Path, *, threads: int = 1, arena: bool = False) -> SessionLike:
        """Load a model in every process. For the time of starting; the arguments are those of `Session`.

        Raises:
            ModelError: If the model cannot be loaded.
        """
        opened = _Opened(model, threads, arena)
        info: dict[str, object] = {}
        for worker in self._workers:
            info = _open(worker, opened)
        self._opened.append(opened)
        return _ProcessSession(self, len(self._opened) - 1, _names(info["inputs"]), _names(info["outputs"]))

    def run(self, model: int, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Run one model in a process that is free.

        Raises:
            ProcessError: If the process died; another one takes its place.
            ModelError: What the model raised.
        """
        try:
            worker = self._idle.get(timeout=_PATIENCE_S)
        except queue.Empty:
            raise ProcessError("no process that runs models is free") from None
        try:
            _, results = worker.ask({"run": model, "outputs": list(outputs)}, feeds)
        except ModelError:
            self._idle.put(worker)
            raise
        except BaseException:
            # Whatever else stopped the exchange may have left half a frame on the line: the next answer would be wrong.
            self._replace(worker)
            raise
        self._idle.put(worker)
        return [results[name] for name in outputs]

    def close(self) -> None:
        """End all processes."""
        self._closed = True
        for worker in self._workers:
            worker.end()

    def _replace(self, dead: _Worker) -> None:
        # Loading takes a second: not in the thread that has other models to run.
        threading.Thread(target=self._start_again, args=(dead,), name="modgate-model-restart", daemon=True).start()

    def _start_again(self, dead: _Worker) -> None:
        log = structlog.get_logger("modgate.models")
        with suppress(OSError):
            dead.end()
        if self._closed:
            return
        log.error("model_process_died", pid=dead.process.pid, status=dead.process.returncode)
        worker = _Worker(self._nice)
        self._workers[self._workers.index(dead)] = worker
        try:
            for opened in self._opened:
                _open(worker, opened)
        except RuntimeError as error:
            log.error("model_process_failed", error=str(error))  # noqa: TRY400 - the text says it all
            return
        self._idle.put(worker)


def _open(worker: _Worker, opened: _Opened) -> dict[str, object]:
    header = {"open": str(opened.path), "threads": opened.threads, "arena": opened.arena}
    return worker.ask(header)[0]


def _names(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


class _ProcessSession:
    """One model in all processes, with the face of a `Session`."""

    def __init__(
        self, processes: ModelProcesses, model: int, inputs: tuple[str, ...], outputs: tuple[str, ...]
    ) -> None:
        self._processes = processes
        self._model = model
        self.inputs = inputs
        self.outputs = outputs

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Return the named outputs for the given inputs."""
        return self._processes.run(self._model, outputs, feeds)
