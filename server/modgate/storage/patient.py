"""A connection to PostgreSQL that waits no longer than it should, whatever the server does.

PostgreSQL stops its own statements (`statement_timeout`), and the kernel notices a machine that is gone. Neither helps
against a server that is frozen: its kernel goes on to acknowledge what is sent. So every wait is bounded here as well.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

from psycopg import Connection, OperationalError
from sqlalchemy import Engine, event

__all__ = ["bound_waits"]

_PATIENCE = 5.0


class _PatientConnection(Connection[Any]):
    """Adds a bound to every wait for the server.

    Attributes:
        patience: Seconds that a wait may take.
        give_up_at: Tells the monotonic second at which all waiting ends.
    """

    patience = _PATIENCE
    give_up_at: Callable[[], float] = staticmethod(lambda: float("inf"))

    def wait(self, gen: Generator[Any, Any, Any], *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the library has it
        return super().wait(self._bounded(gen), *args, **options)

    def _bounded(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        until = time.monotonic() + self.patience
        try:
            state = next(gen)
            while True:
                # Resumed every 100 ms also if nothing comes.
                ready = yield state
                if not ready and time.monotonic() > min(until, self.give_up_at()):
                    # What is still to come would be taken for the answer to the next question.
                    self.pgconn.finish()
                    raise OperationalError("the server does not answer")
                state = gen.send(ready)
        except StopIteration as done:
            return done.value


def bound_waits(engine: Engine, give_up_at: Callable[[], float]) -> None:
    """Make an engine open connections whose waits are bounded.

    Args:
        engine: Of psycopg, without connections.
        give_up_at: Tells the monotonic second at which all waiting ends, of connections in use as well.
    """

    def connect(_dialect: object, _record: object, args: list[Any], options: dict[str, Any]) -> _PatientConnection:
        opened = _PatientConnection.connect(*args, **options)
        opened.give_up_at = give_up_at
        return opened

    event.listen(engine, "do_connect", connect)
