"""What every benchmark prints and keeps: the machine, the versions, a table, JSON, thresholds and a picture."""

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from modgate.inference.cores import cpu_quota

__all__ = ["check", "environment", "finish", "say", "table"]

_ROOT = Path(__file__).resolve().parents[1]
_THRESHOLDS = Path(__file__).parent / "thresholds.json"
_PACKAGES = ("modgate", "grpcio", "protobuf", "onnxruntime", "tokenizers", "numpy", "uvloop")


def environment() -> dict[str, Any]:
    """Return when and where: date, revision, machine, versions."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "revision": _revision(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "quota": cpu_quota(),
            "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
            "kernel": platform.release(),
            "load_before": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "from source"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _revision() -> str:
    git = shutil.which("git")
    if git is None or not (_ROOT / ".git").exists():
        return "unknown"
    done = subprocess.run(  # noqa: S603 - fixed arguments
        [git, "describe", "--always", "--dirty", "--abbrev=12"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def say(text: str) -> None:
    """Print a line at once, also when standard output is a file."""
    print(text, flush=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that is as wide as it needs to be."""
    grid = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(columns):
        grid.add_column(column, justify="left" if i == 0 else "right", no_wrap=True)
    for row in rows:
        grid.add_row(*("-" if cell is None else str(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() else 200).print(grid)


def check(benchmark: str, form: str, figures: Mapping[str, float]) -> list[str]:
    """Return which thresholds of thresholds.json do not hold.

    Args:
        benchmark: Its name.
        form: `full` or `smoke`.
        figures: By the names that the thresholds use.
    """
    failed = []
    for name, bounds in json.loads(_THRESHOLDS.read_text()).get(benchmark, {}).get(form, {}).items():
        value = figures.get(name)
        if value is None:
            # A full run may be asked for a part only; the smoke form always measures the same.
            if form == "smoke":
                failed.append(f"{name} was not measured")
        elif "at_most" in bounds and value > bounds["at_most"]:
            failed.append(f"{name} is {value:g}, at most {bounds['at_most']:g} is allowed")
        elif "at_least" in bounds and value < bounds["at_least"]:
            failed.append(f"{name} is {value:g}, at least {bounds['at_least']:g} is wanted")
    return failed


def finish(
    benchmark: str,
    report: dict[str, Any],
    figures: Mapping[str, float],
    *,
    smoke: bool,
    json_file: Path | None,
    plot_file: Path | None,
    draw: Callable[[Any, dict[str, Any]], None] | None = None,
) -> int:
    """Check the thresholds, write the files that were asked for, and return the exit status.

    Args:
        benchmark: Its name.
        report: Everything that was measured.
        figures: What the thresholds are about.
        smoke: Whether the smoke thresholds apply.
        json_file: Where the report goes.
        plot_file: Where the picture goes.
        draw: Draws the report on a matplotlib figure.
    """
    failed = check(benchmark, "smoke" if smoke else "full", figures)
    report["figures"] = {name: round(value, 5) for name, value in figures.items()}
    report["thresholds_failed"] = failed
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n")
    if plot_file and draw:
        # Imported late: drawing is the exception, and matplotlib takes a second to load.
        from matplotlib.figure import Figure  # noqa: PLC0415

        picture = Figure(figsize=(9, 5.5), layout="constrained")
        draw(picture, report)
        when, machine = report["environment"]["date"], report["environment"]["machine"]
        picture.supxlabel(
            f"{report['environment']['revision']}, {when[:10]}, {machine['processor']}, {machine['cores']} cores",
            fontsize=7,
        )
        picture.savefig(plot_file, dpi=120)
    for line in failed:
        say(f"FAILED: {line}")
    if not failed:
        say(f"{benchmark}: all thresholds hold")
    return 1 if failed else 0
