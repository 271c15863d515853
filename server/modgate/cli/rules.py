"""`modgate lint`: rule work on files."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modgate.assembly import build_engine
from modgate.cli.errors import EXIT_CODES, expected
from modgate.rules import RulesError, load_document
from modgate.settings import load_settings

__all__ = ["lint"]


def lint(
    file: Annotated[str, typer.Argument(help="Rule file.")],
    config: Annotated[Path | None, typer.Option(help="Settings file, YAML.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print problems as JSON.")] = False,
) -> None:
    """Check a rule file as the server would: every problem at once, with line, cause and a corrected example."""
    with expected():
        engine = build_engine(load_settings(config))
    try:
        ruleset = engine.compile(load_document(file))
    except RulesError as error:
        if as_json:
            typer.echo(json.dumps([asdict(problem) for problem in error.problems], ensure_ascii=False, indent=2))
        else:
            for problem in error.problems:
                typer.echo(str(problem))
        raise typer.Exit(EXIT_CODES["rules"]) from error
    finally:
        engine.close()
    if as_json:
        typer.echo(json.dumps([{"warning": warning} for warning in ruleset.warnings], ensure_ascii=False, indent=2))
        return
    for warning in ruleset.warnings:
        typer.echo(f"{file}: warning: {warning}")
    typer.echo(f"{file}: {len(ruleset.rules)} rules, revision {ruleset.revision}")
