"""Health by named components: ready is the conjunction of all, and being asked to stop is one of them."""

from typing import Final

from grpc_health.v1 import health, health_pb2

__all__ = ["COMPONENTS", "Health"]

COMPONENTS: Final = ("rules", "models", "accepting")
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Keeps the standard health service in step with the components.

    Service names: `` and `readiness` and `modgate.v1.ModerationService` for the whole, `liveness` for the process,
    and every component by its own name.
    """

    def __init__(self) -> None:
        self.servicer = health.aio.HealthServicer()
        self._components = dict.fromkeys(COMPONENTS, False)

    @property
    def ready(self) -> bool:
        """Whether every component is."""
        return all(self._components.values())

    async def start(self) -> None:
        """Say that the process lives and nothing is ready."""
        await self.servicer.set("liveness", _SERVING)
        for component in COMPONENTS:
            await self.set(component, ready=False)

    async def set(self, component: str, *, ready: bool) -> None:
        """Change one component, and with it the whole."""
        self._components[component] = ready
        await self.servicer.set(component, _SERVING if ready else _NOT_SERVING)
        whole = _SERVING if self.ready else _NOT_SERVING
        for name in ("", "readiness", "modgate.v1.ModerationService"):
            await self.servicer.set(name, whole)
