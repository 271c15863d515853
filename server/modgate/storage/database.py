"""The store: SQLite beside the gate, or a PostgreSQL that a fleet shares. Never touched on the event loop."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from modgate.storage.breaker import CircuitBreaker

__all__ = ["Database", "StoreAwayError", "StoreError", "StoreTimeoutError"]

T = TypeVar("T")

_MIGRATION_LOCK = 7_032_416_850_911
_POSTGRES_PAUSE = 2
_BEYOND_SERVER = 1.0
"""Seconds that PostgreSQL has to say that it stopped a statement."""
_SQLITE_STEPS = 20_000
_VACUUM_PAGES = 2_000


class StoreError(Exception):
    """The store did not do what it was asked."""


class StoreAwayError(StoreError):
    """The store cannot be reached, or was not a moment ago."""


class StoreTimeoutError(StoreError):
    """The question took longer than its deadline and was stopped."""


class Database:
    """Opens connections and transactions, each with a deadline.

    Synchronous methods are for threads of their own; `call` runs work in one for the event loop.

    Args:
        url: As SQLAlchemy reads it: `sqlite:///path` or `postgresql+psycopg://...`.
        deadline: Seconds that a piece of work may take if its caller says nothing else.
        threads: Pieces of work of the control plane at once.

    Raises:
        ValueError: The address is none, or its driver is not installed; the message never quotes the address.
    """

    def __init__(self, url: str, *, deadline: float = 5.0, threads: int = 4) -> None:
        try:
            self._url = make_url(url)
        except ArgumentError as error:
            # Never quoted: it may hold a password.
            raise ValueError("storage.database must look like postgresql://user:password@host/name") from error
        self._deadline = deadline
        self._give_up_at = float("inf")
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        try:
            self._engine = _engine(self._url, threads, lambda: self._give_up_at)
        except (ModuleNotFoundError, NoSuchModuleError) as error:
            missing = "psycopg: pip install 'modgate[postgres]'" if "psycopg" in str(error) else "SQLite or PostgreSQL"
            raise ValueError(f"storage.database needs {missing}") from error
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="modgate-store")
        self.breaker = CircuitBreaker(monotonic=time.monotonic)

    @property
    def dialect(self) -> Dialect:
        """What tells SQLite and PostgreSQL apart where they differ."""
        return self._engine.dialect

    def migrate(self) -> None:
        """Bring the tables up to date; gates that start at once wait for each other."""
        if self.is_sqlite and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        config = Config()
        with resources.as_file(resources.files("modgate.storage") / "migrations") as folder:
            config.set_main_option("script_location", str(folder).replace("%", "%%"))
            with self.transaction(deadline=600.0) as connection:
                if not self.is_sqlite:
                    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
                config.attributes["connection"] = connection
                command.upgrade(config, "head")

    @contextlib.contextmanager
    def transaction(self, *, deadline: float | None = None, write: bool = True) -> Iterator[Connection]:
        """Open a transaction that is committed at the end, or undone by an exception.

        Args:
            deadline: Seconds after which a statement is stopped.
            write: Whether SQLite should take its one write lock at the beginning.

        Raises:
            StoreAwayError: It cannot be reached, or the connection broke.
            StoreTimeoutError: The deadline passed.
        """
        seconds = deadline or self._deadline
        try:
            with self._engine.connect() as bare:
                connection = bare.execution_options(modgate_write=write)
                with connection.begin(), self._limit(connection, seconds):
                    yield connection
        except DBAPIError as error:
            self._translate(error)
            raise

    async def call(self, work: Callable[[Connection], T], *, deadline: float | None = None, write: bool = False) -> T:
        """Run work in a transaction in a thread and return its result.

        Raises:
            StoreAwayError: At once while the breaker is open; otherwise if it cannot be reached.
            StoreTimeoutError: The deadline passed, waiting for a thread included.
        """
        if not self.breaker.allows():
            raise StoreAwayError("the store is away")
        seconds = deadline or self._deadline

        def run() -> T:
            with self.transaction(deadline=seconds, write=write) as connection:
                return work(connection)

        future = asyncio.get_running_loop().run_in_executor(self._pool, run)
        try:
            async with asyncio.timeout(seconds + 0.5):
                result = await asyncio.shield(future)
        except TimeoutError:
            self.breaker.failed()
            raise StoreTimeoutError("the store did not answer in time") from None
        except StoreAwayError:
            self.breaker.failed()
            raise
        except Exception:
            # It answered, if with an error.
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()
        return result

    def checkpoint(self) -> None:
        """Move SQLite's write-ahead log into the file and empty it, so that what was erased is not in it either."""
        with self._bare() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").all()

    def give_back_space(self) -> None:
        """Return free pages of SQLite to the file system; PostgreSQL does so by itself."""
        if self.is_sqlite:
            with self._bare() as connection:
                # It frees a page a step and shows no rows: only the driver's own cursor goes on to the end.
                cursor = connection.connection.cursor()
                cursor.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")
                cursor.fetchall()

    @contextlib.contextmanager
    def _bare(self) -> Iterator[Connection]:
        # Outside of any transaction, where these commands have to be.
        with self._engine.connect() as connection:
            yield connection.execution_options(modgate_bare=True)

    def give_up(self, after: float = 0.0) -> None:
        """Let no question wait for an answer of PostgreSQL beyond so many seconds from now: the process is ending."""
        self._give_up_at = min(self._give_up_at, time.monotonic() + after)

    def close(self) -> None:
        """Let go of threads and connections, of questions under way as well."""
        self.give_up()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._engine.dispose()

    @contextlib.contextmanager
    def _limit(self, connection: Connection, seconds: float) -> Iterator[None]:
        raw: Any = connection.connection.dbapi_connection
        if not self.is_sqlite:
            raw.patience = seconds + _BEYOND_SERVER
            try:
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}")
                yield
            finally:
                raw.patience = self._deadline
            return
        until = time.monotonic() + seconds
        raw.set_progress_handler(lambda: time.monotonic() > until, _SQLITE_STEPS)
        try:
            yield
        finally:
            raw.set_progress_handler(None, 0)

    @staticmethod
    def _translate(error: DBAPIError) -> None:
        words = str(error.orig)
        if "interrupted" in words or "statement timeout" in words:
            raise StoreTimeoutError("the store did not answer in time") from error
        if error.connection_invalidated or isinstance(error, InterfaceError | OperationalError):
            # The driver names host, user and what is wrong, such as a wrong password, and never the password.
            raise StoreAwayError(f"the store is away: {_first_line(words)}") from error


def _first_line(words: str) -> str:
    return next(iter(words.strip().splitlines()), "")[:200]


def _engine(url: URL, threads: int, give_up_at: Callable[[], float]) -> Engine:
    if url.get_backend_name() != "sqlite":
        keepalive = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 2, "tcp_user_timeout": 5000}
        engine = create_engine(
            url,
            pool_size=threads + 2,
            max_overflow=0,
            pool_timeout=_POSTGRES_PAUSE,
            pool_pre_ping=True,
            connect_args={"connect_timeout": _POSTGRES_PAUSE, **keepalive},
        )
        # Imported late: the driver is an extra of the package.
        from modgate.storage.patient import bound_waits  # noqa: PLC0415

        bound_waits(engine, give_up_at)
        return engine
    engine = create_engine(url, pool_size=threads + 2, max_overflow=0, connect_args={"timeout": 5.0})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(raw: Any, _record: object) -> None:  # noqa: ANN401 - the driver's connection has no common type
    # The driver must not begin transactions by itself: it would take the write lock too late, and fail then.
    raw.isolation_level = None
    for pragma in (
        "auto_vacuum = INCREMENTAL",
        "journal_mode = WAL",
        "synchronous = NORMAL",
        # Small: moving the log into the file ends with a sync, for which appends to the journal wait on the same disk.
        "wal_autocheckpoint = 1000",
        # Deleted content is overwritten, so that erasing a user leaves nothing in free pages.
        "secure_delete = ON",
        "temp_store = MEMORY",
        "cache_size = -32000",
    ):
        raw.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("modgate_bare"):
        return
    write = options.get("modgate_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
