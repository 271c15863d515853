"""Models in processes of their own answer as those in this one do, and a dead process is replaced."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from modgate.inference.model_process import receive, send
from modgate.inference.processes import ModelProcesses, ProcessError
from modgate.inference.session import Array, Session


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that adds its two inputs."""
    kinds = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in ("a", "b", "sum")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["sum"])], "adding", kinds[:2], kinds[2:])
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def processes() -> Iterator[ModelProcesses]:
    """Yield one process, and see it end."""
    started = ModelProcesses(1)
    yield started
    pids = started.pids
    started.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


FEEDS = {"a": np.array([1, 2], np.float32), "b": np.array([10, 20], np.float32)}


def test_it_answers_as_a_session_here_does(model: Path, processes: ModelProcesses) -> None:
    """Names, values and types are those of a session in this process."""
    here, there = Session(model), processes.open(model)
    assert (there.inputs, there.outputs) == (here.inputs, here.outputs)
    (mine,), (theirs,) = here.run(["sum"], FEEDS), there.run(["sum"], FEEDS)
    assert theirs.dtype == mine.dtype
    assert theirs.tolist() == mine.tolist() == [11, 22]


def test_what_the_model_raises_is_the_callers(model: Path, processes: ModelProcesses) -> None:
    """An error of one request is told to who asked, and the process goes on."""
    there = processes.open(model)
    with pytest.raises(RuntimeError, match=r"(?i)missing|required"):
        there.run(["sum"], {"a": FEEDS["a"]})
    assert there.run(["sum"], FEEDS)[0].tolist() == [11, 22]


def test_a_model_that_cannot_be_loaded_is_an_error(processes: ModelProcesses, tmp_path: Path) -> None:
    """A broken file is told at once."""
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(RuntimeError, match=r"model\.onnx"):
        processes.open(broken)


def test_a_process_that_died_is_replaced(model: Path, processes: ModelProcesses) -> None:
    """Whoever asked gets an error, whoever asks later an answer from a new process."""
    there = processes.open(model)
    (first,) = processes.pids
    os.kill(first, signal.SIGKILL)
    with pytest.raises(ProcessError):
        there.run(["sum"], FEEDS)
    for _ in range(100):
        if processes.pids != [first]:
            break
        time.sleep(0.1)
    assert there.run(["sum"], FEEDS)[0].tolist() == [11, 22]


def test_signals_to_the_group_leave_it_to_the_gate(model: Path, processes: ModelProcesses) -> None:
    """Ctrl-C reaches every process of a terminal; answers in flight must still be made."""
    there = processes.open(model)
    (pid,) = processes.pids
    os.kill(pid, signal.SIGINT)
    os.kill(pid, signal.SIGTERM)
    assert there.run(["sum"], FEEDS)[0].tolist() == [11, 22]


@pytest.mark.parametrize(
    ("rows", "piece"), [(0, 1), (3, 1), (1_000, 1), (3, 100_000), (20_000, 7_000), (20_000, 100_000)]
)
def test_a_frame_may_come_in_pieces_of_any_size(rows: int, piece: int) -> None:
    """Byte by byte or at once, empty or larger than usual: what was sent is what is read, and then comes the end."""
    sent: dict[str, Array] = {
        "scores": np.arange(rows * 15, dtype=np.float32).reshape(rows, 15),
        "rows": np.array([rows], np.int64),
    }
    writes, copies = socket.socketpair()
    deals, reads = socket.socketpair()

    def deal() -> None:
        with copies, deals:
            while data := copies.recv(piece):
                deals.sendall(data)

    def write() -> None:
        with writes:
            send(writes, {"run": 1}, sent)

    threads = [threading.Thread(target=work) for work in (deal, write)]
    for thread in threads:
        thread.start()
    with reads:
        header, arrays = receive(reads)
        assert header["run"] == 1
        assert all(np.array_equal(arrays[name], array) for name, array in sent.items())
        with pytest.raises(EOFError):
            receive(reads)
    for thread in threads:
        thread.join()
