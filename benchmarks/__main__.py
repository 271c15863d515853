"""`python -m benchmarks NAME [options]`: runs one benchmark and exits with its status."""

import importlib
import pkgutil
import sys
from pathlib import Path

import benchmarks


def names() -> list[str]:
    """Return the benchmarks there are: every public module of this package."""
    folder = Path(benchmarks.__file__).parent
    return sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_"))


def run(argv: list[str]) -> int:
    """Dispatch to `benchmarks.NAME.main(options)`."""
    if not argv or argv[0] not in names():
        print(f"usage: python -m benchmarks NAME [options]\nNAME is one of: {', '.join(names())}", file=sys.stderr)
        return 0 if argv and argv[0] in ("-h", "--help") else 2
    status: int = importlib.import_module(f"benchmarks.{argv[0]}").main(argv[1:])
    return status


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
