"""Fixtures: real stores, started once a session on free ports and stopped at its end."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from benchmarks._stores import MissingServerError, Postgres, ToxicProxy, postgres, valkey

__all__ = [
    "MakeProxy",
    "Postgres",
    "database_url",
    "eventually",
    "postgres_server",
    "postgres_url",
    "toxic_proxy",
    "valkey_url",
]

MakeProxy = Callable[[str], Awaitable[tuple[ToxicProxy, str]]]

_running: dict[str, object] = {}


def _start(config: pytest.Config, name: str, server: Callable[[], AbstractContextManager[object]]) -> object:
    if name not in _running:
        context = server()
        try:
            _running[name] = context.__enter__()
        except MissingServerError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        stack = contextlib.ExitStack()
        stack.push(context)
        config.add_cleanup(stack.close)
    return _running[name]


@pytest.fixture
def postgres_server(pytestconfig: pytest.Config) -> Postgres:
    """PostgreSQL itself, which can be frozen."""
    server = _start(pytestconfig, "postgres", postgres)
    assert isinstance(server, Postgres)
    return server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    """The address of an empty PostgreSQL database."""
    return postgres_server(f"t{uuid.uuid4().hex}")


@pytest.fixture
def valkey_url(pytestconfig: pytest.Config) -> str:
    """The address of a Valkey or Redis server; give every test its own prefix."""
    return str(_start(pytestconfig, "valkey", valkey))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty store, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/modgate.db"
    url: str = request.getfixturevalue("postgres_url")
    return url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
async def toxic_proxy() -> AsyncIterator[MakeProxy]:
    """Makes proxies in front of a store; each comes with the address that goes through it."""
    proxies: list[ToxicProxy] = []

    async def make(url: str) -> tuple[ToxicProxy, str]:
        port = urlsplit(url).port
        assert port is not None
        proxy = ToxicProxy(port)
        await proxy.start()
        proxies.append(proxy)
        return proxy, url.replace(f":{port}", f":{proxy.port}")

    yield make
    for proxy in proxies:
        await proxy.cut()


async def eventually(holds: Callable[[], bool | Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait until something holds, or fail."""
    async with asyncio.timeout(seconds):
        while True:
            value = holds()
            if value if isinstance(value, bool) else await value:
                return
            await asyncio.sleep(0.02)
