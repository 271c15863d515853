"""Writes the Python code of the contract: `python tools/generate_protos.py`; `--check` fails if it is stale."""

import filecmp
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
PACKAGE = ROOT / "server" / "modgate" / "v1"


def generate(out: Path) -> None:
    """Write message, stub and type files of all protos below `out`."""
    sources = sorted(str(p.relative_to(PROTOS)) for p in PROTOS.glob("modgate/v1/*.proto"))
    well_known = resources.files("grpc_tools") / "_proto"
    flags = [f"--{plugin}_out={out}" for plugin in ("python", "grpc_python", "mypy", "mypy_grpc")]
    # The mypy plugins are found beside the interpreter that runs this script.
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", f"-I{well_known}", *flags, *sources]
    subprocess.run(command, check=True, env=path)  # noqa: S603 - fixed command, no user input


def stale(fresh: Path) -> list[str]:
    """Return the names of committed files that differ from those in `fresh`, either way."""
    names = {p.name for p in fresh.iterdir()} | {p.name for p in PACKAGE.glob("*_pb2*")}
    return sorted(n for n in names if not _same(fresh / n, PACKAGE / n))


def _same(left: Path, right: Path) -> bool:
    return left.exists() and right.exists() and filecmp.cmp(left, right, shallow=False)


def main(argv: list[str]) -> int:
    """Generate, or check."""
    if argv == ["--check"]:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder))
            changed = stale(Path(folder) / "modgate" / "v1")
        if changed:
            print(f"stale: {', '.join(changed)}; run `make protos` and commit", file=sys.stderr)
        return 1 if changed else 0
    generate(ROOT / "server")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
