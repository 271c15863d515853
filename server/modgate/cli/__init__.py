"""The `modgate` command."""

from modgate.cli.app import main

__all__ = ["main"]
