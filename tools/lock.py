"""Pins everything that pyproject.toml allows, with hashes: `python tools/lock.py`. Needs `uv` (in the dev group)."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_HEADER = "# Written by `make lock` from pyproject.toml. Hashes are checked on installation.\n"


def main() -> int:
    """Write requirements/run.txt and requirements/dev.txt."""
    for name, extra in (("run", []), ("dev", ["--group", "dev"])):
        target = ROOT / "requirements" / f"{name}.txt"
        command = [
            str(Path(sys.executable).parent / "uv"),
            "pip",
            "compile",
            "pyproject.toml",
            *extra,
            "--universal",
            "--python-version",
            "3.11",
            "--generate-hashes",
            "--no-header",
            "--quiet",
            "--no-annotate",
            "--output-file",
            str(target),
        ]
        subprocess.run(command, check=True, cwd=ROOT)  # noqa: S603 - fixed command, no user input
        target.write_text(_HEADER + target.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
