"""`modgate lint`, `test` and `diff`: work on rule files, before they go anywhere."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from modgate.cli.control import show
from modgate.cli.errors import EXIT_CODES, expected
from modgate.cli.judging import judges
from modgate.offered import offered_detectors
from modgate.rules import Problem, RulesError, compile_ruleset, load_document
from modgate.rules.cases import Judge, Outcome, load_cases, run_cases, run_everyday
from modgate.rules.diff import Difference, compare
from modgate.rules.lint import lint_document
from modgate.settings import Settings, load_settings

__all__ = ["diff", "lint", "run_tests"]

_SHOWN = 50

ConfigOption = Annotated[Path | None, typer.Option(help="Settings file, YAML.")]
RulesArgument = Annotated[str, typer.Argument(metavar="RULES", help="Rule file, or builtin:default.")]


def lint(
    file: Annotated[str, typer.Argument(help="Rule file.")],
    config: ConfigOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print problems and warnings as JSON.")] = False,
) -> None:
    """Check a rule file as the server would: every problem at once, with line, cause and a corrected example.

    No model is loaded: what labels there are is read from the bundles' manifests. Exits with 3 if the file cannot be
    used, and with --strict with 1 if there are warnings.
    """
    with expected():
        offered = offered_detectors(load_settings(config))
    try:
        document = load_document(file)
        ruleset = compile_ruleset(document, offered)
    except RulesError as error:
        _print_problems(error.problems, (), as_json=as_json)
        raise typer.Exit(EXIT_CODES["rules"]) from error
    warnings = [*lint_document(document), *(Problem(file, 0, 0, "", warning) for warning in ruleset.warnings)]
    _print_problems((), warnings, as_json=as_json)
    if not as_json:
        typer.echo(f"{file}: {len(ruleset.rules)} rules, revision {ruleset.revision}")
    if strict and warnings:
        raise typer.Exit(EXIT_CODES["failed"])


def _print_problems(problems: tuple[Problem, ...], warnings: list[Problem] | tuple[()], *, as_json: bool) -> None:
    told = [("error", problem) for problem in problems] + [("warning", warning) for warning in warnings]
    if as_json:
        rows = [{"severity": severity, **asdict(problem)} for severity, problem in told]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for severity, problem in told:
        place, _, rest = str(problem).partition(": ")
        typer.echo(f"{place}: {'warning: ' if severity == 'warning' else ''}{rest}")


def run_tests(
    rules: RulesArgument,
    cases: Annotated[list[Path], typer.Argument(metavar="CASES...", help="Case files, YAML.")],
    config: ConfigOption = None,
    everyday: Annotated[
        bool, typer.Option(help="Judge everyday lines as well, none of which may be masked or blocked.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print every outcome as JSON.")] = False,
) -> None:
    """Judge the messages of case files and compare with what they expect; exits with 1 if anything differs.

    Only the models that the rules ask are loaded. On top of the cases come lines of everyday chat that no rule set
    should touch: a rule that blocks "good morning" fails, whatever its author wrote.
    """
    with expected():
        settings = load_settings(config)
        document = load_document(rules)
        files = [load_cases(file)[0] for file in cases]
        pictures = any(case.images for file in files for case in file.cases)
        offered = offered_detectors(settings)
        # A judge for each file, so that the floods of one do not reach another.
        with judges(settings, [document] * (len(cases) + 1), pictures=pictures) as judging:
            found = asyncio.run(_run(cases, judging, tuple(offered), everyday=everyday))
    total = sum(len(file.cases) for file in files)
    _report(found, total, as_json=as_json)
    if any(not outcome.passed for _, outcomes in found for outcome in outcomes):
        raise typer.Exit(EXIT_CODES["failed"])


async def _run(
    cases: list[Path], judging: list[Judge], offered: tuple[str, ...], *, everyday: bool
) -> list[tuple[str, list[Outcome]]]:
    found = [(str(file), await run_cases(file, judge, offered)) for file, judge in zip(cases, judging, strict=False)]
    if everyday:
        found.append(("everyday", await run_everyday(judging[-1])))
    return found


def _report(found: list[tuple[str, list[Outcome]]], total: int, *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"file": file, "line": o.line, "name": o.name, "passed": o.passed, "differences": o.differences}
            for file, outcomes in found
            for o in outcomes
        ]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for file, outcomes in found:
        for outcome in outcomes:
            for difference in outcome.differences:
                place = f"{file}:{outcome.line}" if outcome.line else file
                typer.echo(f"{place}: {outcome.name!r}: {difference}")
    cases = [outcome for file, outcomes in found for outcome in outcomes if outcome.line]
    lines = [outcome for file, outcomes in found for outcome in outcomes if not outcome.line]
    failed, touched = (sum(not outcome.passed for outcome in some) for some in (cases, lines))
    left_out = f", {total - len(cases)} left out for want of models" if total > len(cases) else ""
    typer.echo(f"{len(cases)} cases, {failed} failed{left_out}; {len(lines)} everyday lines, {touched} touched")


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The rules in force.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The rules that are proposed.")],
    corpus: Annotated[Path, typer.Option("--on", help='Messages: JSON lines, such as {"text": "hello"}.')],
    config: ConfigOption = None,
    limit: Annotated[int, typer.Option(min=0, help="Changed messages to show.")] = _SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print every change as JSON.")] = False,
) -> None:
    """Show which messages of a corpus two rule files judge differently, by line; texts are not printed."""
    with expected():
        settings = load_settings(config)
        difference = _compare(settings, old, new, corpus)
    if as_json:
        typer.echo(json.dumps(asdict(difference), ensure_ascii=False, indent=2))
        return
    rows = [
        (str(c.line), c.before, c.after, " ".join(c.rules_before), " ".join(c.rules_after))
        for c in difference.changes[:limit]
    ]
    if rows:
        show("messages judged differently", ("line", "before", "after", "rules before", "rules after"), rows)
    if len(difference.changes) > len(rows):
        typer.echo(f"and {len(difference.changes) - len(rows)} more")
    for (before, after), count in sorted(difference.counts().items(), key=lambda item: -item[1]):
        typer.echo(f"{before} -> {after}: {count}")
    typer.echo(f"{difference.messages} messages, {len(difference.changes)} judged differently")


def _compare(settings: Settings, old: str, new: str, corpus: Path) -> Difference:
    try:
        with judges(settings, [load_document(old), load_document(new)], pictures=False) as (before, after):
            return asyncio.run(compare(corpus, before, after))
    except OSError as error:
        raise ValueError(f"cannot read {corpus}: {error.strerror or error}") from error
