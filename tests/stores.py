"""Fixtures: real stores, started once a session on free ports and stopped at its end."""

import contextlib
import os
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from benchmarks._stores import MissingServerError, postgres, valkey

__all__ = ["database_url", "postgres_url", "valkey_url"]

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
def postgres_url(pytestconfig: pytest.Config) -> str:
    """The address of an empty PostgreSQL database."""
    make = _start(pytestconfig, "postgres", postgres)
    assert callable(make)
    return str(make(f"t{uuid.uuid4().hex}"))


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
