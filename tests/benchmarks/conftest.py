"""A small gRPC server that the load generator is tried on: it echoes, refuses, stalls."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import grpc
import pytest


@dataclass(slots=True)
class Echo:
    """The server.

    Attributes:
        address: Where it listens.
        stall_s: How long the next call holds the only worker, once.
        asked: Calls that arrived.
    """

    address: str = ""
    stall_s: float = 0.0
    asked: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def one(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        with self.lock:
            self.asked += 1
            stall, self.stall_s = self.stall_s, 0.0
        time.sleep(stall)
        if request == b"refuse":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "as asked")
        return request

    def stream(self, requests: Iterator[bytes], _context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.max_concurrent_streams", 50)])
    service = Echo()
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Moderate": grpc.unary_unary_rpc_method_handler(service.one),
        "ModerateStream": grpc.stream_stream_rpc_method_handler(service.stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("modgate.v1.ModerationService", handlers),))
    service.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield service
    server.stop(0).wait()
