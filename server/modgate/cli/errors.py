"""Failures that a command expects, each with its exit code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from modgate.inference.bundle import BundleError
from modgate.rpc.server import ListenError
from modgate.rules import RulesError
from modgate.settings import SettingsError
from modgate.storage.journal import JournalError

__all__ = ["EXIT_CODES", "Failure", "expected"]

EXIT_CODES: Final[Mapping[str, int]] = {
    "ok": 0,
    "failed": 1,
    "usage": 2,
    "rules": 3,
    "models": 4,
    "unreachable": 5,
    "interrupted": 130,
}
"""What the exit status says; docs/cli.md explains each."""


class Failure(Exception):  # noqa: N818 - what the user sees is not a defect of the program
    """One line for the user, and an exit code."""

    def __init__(self, message: str, kind: str = "failed") -> None:
        super().__init__(message)
        self.code = EXIT_CODES[kind]


@contextmanager
def expected() -> Iterator[None]:
    """Turn the errors that settings, rules, bundles and addresses raise into failures."""
    try:
        yield
    except RulesError as error:
        raise Failure("\n".join(["the rules cannot be used:", *(f"  {p}" for p in error.problems)]), "rules") from error
    except BundleError as error:
        raise Failure(str(error), "models") from error
    except (SettingsError, ListenError, JournalError, ValueError) as error:
        raise Failure(str(error), "usage") from error
