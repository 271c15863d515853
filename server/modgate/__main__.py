"""`python -m modgate`: the same as the `modgate` command."""

from modgate.cli import main

main()
