"""The connection to Valkey or Redis: short time-outs, no retries, keys of one user in one slot."""

import hashlib
from typing import Any

from valkey.asyncio import BlockingConnectionPool, Valkey
from valkey.exceptions import ValkeyError

__all__ = ["AWAY", "connect", "user_tag"]

AWAY = (ValkeyError, OSError, TimeoutError)
"""What a call raises if the server is away, slow or answers with an error."""

_CONNECT_SECONDS = 0.5
_ANSWER_SECONDS = 1.0
_CONNECTIONS = 32


def connect(url: str) -> Valkey:
    """Return a client; nothing is connected until it is used."""
    # `redis://` is understood as it is; only the library's own scheme differs by name.
    pool: Any = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_ANSWER_SECONDS,
        socket_connect_timeout=_CONNECT_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        decode_responses=True,
    )
    return Valkey.from_pool(pool)


def user_tag(app_id: str, user_id: str) -> str:
    """Return the part of a key in braces: everything about one user is in one slot of a cluster."""
    return hashlib.sha256(f"{app_id}\x00{user_id}".encode()).hexdigest()[:32]
