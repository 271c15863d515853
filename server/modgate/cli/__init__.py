"""The `modgate` command."""
