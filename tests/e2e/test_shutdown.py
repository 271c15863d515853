"""SIGTERM: nothing that was asked stays without an answer."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2
from tests.e2e.serving import Server, request

from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import moderation_pb2_grpc as pb_grpc

pytestmark = pytest.mark.e2e

SLOW = ("--fault", "pii=delay:150ms")


def test_every_call_in_flight_gets_its_verdict(tmp_path: Path) -> None:
    """Calls that arrived before SIGTERM are answered; the process ends with 0 in less than two seconds."""
    with Server(tmp_path, args=SLOW) as server, server.channel() as channel:
        stub = pb_grpc.ModerationServiceStub(channel)
        stub.Moderate(request("slurword"))
        calls = [stub.Moderate.future(request(f"hello {i}"), timeout=5) for i in range(50)]
        time.sleep(0.08)
        code, seconds = server.terminate()
        assert [call.result(1).verdict for call in calls] == [pb.VERDICT_ALLOW] * 50
        assert (code, seconds < 2) == (0, True)
        assert '"event": "stopped"' in server.log()


def test_not_serving_is_said_first(tmp_path: Path) -> None:
    """Whoever watches health learns that the server goes while calls are still in flight."""
    with Server(tmp_path, args=SLOW) as server, server.channel() as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )(health_pb2.HealthCheckRequest(service="readiness"), timeout=10)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        call = pb_grpc.ModerationServiceStub(channel).Moderate.future(request("hello"), timeout=5)
        time.sleep(0.03)
        waiting = threading.Thread(target=server.terminate)
        waiting.start()
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not call.done()
        assert call.result(2).verdict == pb.VERDICT_ALLOW
        waiting.join(5)


def test_a_stream_is_answered_to_its_end(tmp_path: Path) -> None:
    """Everything that a stream's reader had taken in is answered before the stream ends."""
    asked = threading.Event()

    def requests() -> Iterator[pb.ModerateRequest]:
        yield pb.ModerateRequest(frame=[request(f"hello {i}", request_id=str(i)) for i in range(200)])
        asked.set()
        time.sleep(3)

    with Server(tmp_path, args=SLOW) as server, server.channel() as channel:
        pb_grpc.ModerationServiceStub(channel).Moderate(request("slurword"))
        answers = pb_grpc.ModerationServiceStub(channel).ModerateStream(requests(), timeout=10)
        assert asked.wait(5)
        time.sleep(0.08)
        waiting = threading.Thread(target=server.terminate)
        waiting.start()
        ids = []
        try:
            ids = [int(inner.request_id) for answer in answers for inner in answer.frame]
        finally:
            waiting.join(5)
        assert sorted(ids) == list(range(200))
        assert server.process.returncode == 0


def test_a_call_after_the_end_is_refused(tmp_path: Path) -> None:
    """A gateway that calls a server that has gone gets UNAVAILABLE, and can send by its own fallback."""
    with Server(tmp_path) as server:
        assert server.terminate()[0] == 0
        with pytest.raises(grpc.RpcError) as refused:
            server.ask(timeout=1)
        assert isinstance(refused.value, grpc.Call)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_stop_while_it_starts_is_heeded(tmp_path: Path) -> None:
    """SIGTERM before the server is ready ends it too, with 0 and without an answer left to give."""
    server = Server(tmp_path)
    with (tmp_path / "log").open("wb") as log:
        server.process = subprocess.Popen(
            server._command, stdout=subprocess.PIPE, stderr=log, env=server._environment, text=True
        )
    deadline = time.monotonic() + 20
    while "loading" not in server.log() and time.monotonic() < deadline:
        time.sleep(0.005)
    code, seconds = server.terminate()
    assert server.process.stdout is not None
    server.process.stdout.close()
    assert (code, seconds < 10) == (0, True)


@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare for a PID namespace"
)
def test_it_stops_as_process_1(tmp_path: Path) -> None:
    """As PID 1 of a container, for which the kernel has no default, SIGTERM drains just so."""
    with Server(tmp_path, args=SLOW, prefix=("unshare", "--fork", "--pid", "--mount-proc")) as server:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        inner = int(children[0])
        assert "NSpid:" in Path(f"/proc/{inner}/status").read_text()
        with server.channel() as channel:
            stub = pb_grpc.ModerationServiceStub(channel)
            stub.Moderate(request("slurword"))
            calls = [stub.Moderate.future(request(f"hello {i}"), timeout=5) for i in range(10)]
            time.sleep(0.05)
            code, seconds = server.terminate(inner)
            assert [call.result(1).verdict for call in calls] == [pb.VERDICT_ALLOW] * 10
            assert (code, seconds < 2) == (0, True)
