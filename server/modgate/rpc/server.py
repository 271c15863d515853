"""The listeners of both planes: what they serve, with what limits, and how they drain."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from modgate.rpc.auth import BearerInterceptor
from modgate.rpc.health import Health
from modgate.rpc.moderation_service import ModerationService
from modgate.settings import ControlSettings, LimitSettings

__all__ = ["ListenError", "Listeners", "Register", "caught_signal"]

Register = Callable[[grpc.aio.Server], None]

_HEALTH = "grpc.health.v1.Health"
_MODERATION = "modgate.v1.ModerationService"


class ListenError(Exception):
    """An address cannot be listened on."""


class Listeners:
    """The data plane and the control plane, each a gRPC server of its own on the same event loop."""

    def __init__(self, service: ModerationService, health: Health, limits: LimitSettings) -> None:
        self._service = service
        self._health = health
        self._options = _options(limits)
        self._log = structlog.get_logger("modgate.server")
        self._data = grpc.aio.server(options=self._options)
        self._data.add_generic_rpc_handlers((service.handlers(),))
        _add_standard(self._data, health, (_MODERATION,))
        self._control: grpc.aio.Server | None = None

    async def listen(self, addresses: Sequence[str]) -> list[str]:
        """Start the data plane and return the addresses with the ports that were chosen for port 0."""
        bound = [_bind(self._data, address, None) for address in addresses]
        await self._data.start()
        return bound

    async def listen_control(
        self, address: str, settings: ControlSettings, services: Sequence[tuple[str, Register]]
    ) -> str:
        """Start the control plane and return its address.

        Args:
            address: Where.
            settings: Who may call.
            services: Full name of each service, and the function that adds it to a server.
        """
        interceptor = BearerInterceptor(settings.token, trust_client_certificates=settings.tls_client_ca is not None)
        self._control = grpc.aio.server(interceptors=(interceptor,), options=self._options)
        for _, register in services:
            register(self._control)
        _add_standard(self._control, self._health, tuple(name for name, _ in services))
        bound = _bind(self._control, address, _credentials(settings))
        await self._control.start()
        return bound

    async def stop(self, grace: float) -> None:
        """Drain: say NOT_SERVING, take no new calls, give those in flight `grace` seconds for their verdict."""
        await self._health.set("accepting", ready=False)
        self._service.drain()
        stopping = [self._data.stop(grace)]
        if self._control is not None:
            stopping.append(self._control.stop(grace))
        await asyncio.gather(*stopping)


@contextmanager
def caught_signal() -> Iterator[Callable[[], Awaitable[str]]]:
    """Catch SIGTERM and SIGINT, and give what waits for the first and returns its name.

    Works as PID 1 too, for which the kernel has no default.
    """
    loop = asyncio.get_running_loop()
    caught: asyncio.Future[str] = loop.create_future()

    def catch(name: str) -> None:
        if not caught.done():
            caught.set_result(name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, catch, number.name)
    try:
        yield lambda: caught
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _options(limits: LimitSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.message_bytes),
        ("grpc.max_send_message_length", limits.message_bytes),
        ("grpc.max_concurrent_streams", limits.streams_per_connection),
        # What the event loop has not read yet it cannot refuse, and its wait is on nobody's clock. gRPC refuses such
        # calls itself, in some 50 us and without the interpreter.
        ("grpc.server.max_pending_requests", limits.unread_calls),
        ("grpc.server.max_pending_requests_hard_limit", limits.unread_calls * 3 // 2),
        # A gateway may ping every 10 s, also between calls, to notice a dead sidecar soon; more often is abuse.
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # A gateway that went away without a word is noticed within 40 s.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        # Two processes on one port would share connections at random; better to fail at start.
        ("grpc.so_reuseport", 0),
    ]


def _add_standard(server: grpc.aio.Server, health: Health, names: Sequence[str]) -> None:
    health_pb2_grpc.add_HealthServicer_to_server(health.servicer, server)
    reflection.enable_server_reflection((*names, _HEALTH, reflection.SERVICE_NAME), server)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    path = Path(address.removeprefix("unix:")) if address.startswith("unix:") else None
    if path is not None and path.is_socket():
        path.unlink()  # left by a process that was killed
    try:
        port = (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
    except RuntimeError as error:
        raise ListenError(f"cannot listen on {address}: is it in use, or not an address of this machine?") from error
    if path is not None:
        # Whoever may write to the socket may ask; nobody else on the host.
        path.chmod(0o660)
        return address
    return f"{address.rpartition(':')[0]}:{port}"


def _credentials(settings: ControlSettings) -> grpc.ServerCredentials | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    authority = settings.tls_client_ca.read_bytes() if settings.tls_client_ca else None
    return grpc.ssl_server_credentials(
        [(settings.tls_key.read_bytes(), settings.tls_cert.read_bytes())],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )
