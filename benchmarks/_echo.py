"""The ceiling of the stack: a server on grpc.aio and uvloop that answers every message with itself, unparsed.

`python -m benchmarks._echo` listens on a free port and says which; it runs until it is told to stop.
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import grpc
import uvloop

__all__ = ["serve"]


async def _one(request: bytes, _context: object) -> bytes:
    return request


async def _stream(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def serve() -> None:
    """Serve until cancelled."""
    server = grpc.aio.server(options=[("grpc.max_concurrent_streams", 1_000)])
    handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Moderate": grpc.unary_unary_rpc_method_handler(_one),
        "ModerateStream": grpc.stream_stream_rpc_method_handler(_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("modgate.v1.ModerationService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"echo ready: 127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
