"""Real servers for end-to-end tests: `python -m modgate serve` in a process of its own, on free ports."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import yaml
from grpc_health.v1 import health_pb2

from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import moderation_pb2_grpc as pb_grpc

__all__ = ["REPOSITORY", "WORDS_ONLY", "Server", "bundles", "health", "needs_models", "request"]

REPOSITORY = Path(__file__).parents[2]
WORDS_ONLY: dict[str, Any] = {"models": {"text": "", "images": []}}
"""Settings of a server that needs no model and starts in a second."""
START_SECONDS = 60.0

RULES = """\
version: 1
lists:
  slurs: {kind: words, entries: [slurword]}
  profanity: {kind: words, entries: [fuck]}
rules:
  - {id: slurs, when: {words: {list: slurs}}, then: {action: block, flag: true}}
  - {id: profanity, when: {words: {list: profanity}}, then: {action: mask}}
  - {id: contact, when: {pii: [email]}, then: {action: block}}
"""


def bundles() -> list[str]:
    """Return the folders of bundles that the server would use by itself."""
    said = os.environ.get("MODGATE_MODELS__BUNDLES")
    return yaml.safe_load(said) if said else [str(REPOSITORY / "models" / "bundles")]


def needs_models(*names: str) -> str:
    """Return why a test that needs models cannot run; empty if it can."""
    for name in names:
        folder = next((Path(b) / name for b in bundles() if (Path(b) / name / "manifest.json").is_file()), None)
        if folder is None or not list(folder.glob("*.onnx")):
            return f"weights are missing: modgate models fetch {name}"
    return ""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One server process, from its start until it has stopped.

    Args:
        folder: Where its settings, rules and logs are.
        settings: The settings file.
        rules: The rule file's text, or None for the built-in rules.
        args: More arguments.
        prefix: Command to run it under, such as `unshare`.
    """

    def __init__(
        self,
        folder: Path,
        settings: dict[str, Any] | None = None,
        *,
        rules: str | None = RULES,
        args: Sequence[str] = (),
        prefix: Sequence[str] = (),
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.rules = folder / "rules.yaml"
        self.metrics = f"127.0.0.1:{free_port()}"
        self.socket = f"unix:{folder / 'gate.sock'}"
        config = folder / "settings.yaml"
        config.write_text(yaml.safe_dump({"recent_seconds": 0, "storage": None, **(settings or WORDS_ONLY)}))
        command = [*prefix, sys.executable, "-m", "modgate", "serve", "--config", str(config)]
        command += ["--listen", "127.0.0.1:0", "--listen", self.socket, "--control", "127.0.0.1:0"]
        command += ["--metrics", self.metrics, *args]
        if rules is not None:
            self.rules.write_text(rules)
            command += ["--rules", str(self.rules)]
        self._command = command
        self._environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "server"), **(environment or {})}
        self.address = self.control = self.ready = ""

    def __enter__(self) -> Self:
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=log, env=self._environment, text=True
            )
        assert self.process.stdout is not None
        self.ready = self.process.stdout.readline()
        if not self.ready:
            self.process.wait(10)
            self.process.stdout.close()
            raise AssertionError(f"the server did not start: {self.log()}")
        self.address, self.control = re.findall(r"127\.0\.0\.1:\d+", self.ready)[:2]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def log(self) -> str:
        """Return what it wrote to standard error."""
        return (self.folder / "log").read_text()

    def terminate(self, pid: int | None = None) -> tuple[int, float]:
        """Send SIGTERM; return the exit code and the seconds until it came."""
        started = time.monotonic()
        os.kill(pid or self.process.pid, signal.SIGTERM)
        code = self.process.wait(30)
        return code, time.monotonic() - started

    def channel(self, address: str = "") -> grpc.Channel:
        """Return a channel to the data plane."""
        return grpc.insecure_channel(address or self.address)

    def ask(self, text: str = "hello", *, timeout: float | None = 5.0, **fields: Any) -> pb.ModerateResponse:
        """Return the answer to one message."""
        with self.channel() as channel:
            answer: pb.ModerateResponse = pb_grpc.ModerationServiceStub(channel).Moderate(
                request(text, **fields), timeout=timeout
            )
            return answer


def health(channel: grpc.Channel, name: str = "") -> int:
    """Return what the standard health service says of a component."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    status: int = check(health_pb2.HealthCheckRequest(service=name), timeout=5).status
    return status


def request(text: str = "hello", **fields: Any) -> pb.ModerateRequest:
    """Return a request that is complete."""
    message = pb.Message(text=text, media=fields.pop("media", ()))
    return pb.ModerateRequest(
        message=message,
        sender=pb.Sender(id="ann"),
        conversation=pb.Conversation(id="lobby", type=pb.CONVERSATION_TYPE_GROUP),
        **fields,
    )
