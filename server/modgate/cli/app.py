"""The command's parts put together, and what every part does with errors. Exit codes are in docs/cli.md."""

import sys
from typing import Any

import typer

from modgate.cli import (
    check,
    history,
    lists,
    models,
    penalties,
    review,
    rules,
    sanctions,
    serving,
    testing,
)
from modgate.cli.errors import EXIT_CODES, Failure

__all__ = ["app", "main"]

# Some versions of Typer use Click, others bring their own: whose errors these are, Typer's say.
_Misuse: Any = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="An inline moderation gate for chat.",
    pretty_exceptions_enable=False,
)
app.command("serve")(serving.serve)
app.command("healthcheck")(serving.healthcheck)
app.command("check")(check.check)
app.command("explain")(check.explain)
app.command("score")(check.score)
app.command("lint")(testing.lint)
app.command("test")(testing.run_tests)
app.command("diff")(testing.diff)
app.add_typer(rules.app, name="rules")
app.add_typer(lists.app, name="lists")
app.add_typer(review.app, name="review")
app.add_typer(history.app, name="history")
app.add_typer(sanctions.app, name="sanctions")
app.add_typer(penalties.app, name="penalties")
app.add_typer(models.app, name="models")


def main() -> None:
    """Run the command; an expected failure is one clear line and a documented exit code."""
    try:
        # Without its standalone mode, typer returns the code of an Exit instead of raising it.
        code = app(standalone_mode=False)
    except Failure as failure:
        typer.echo(f"modgate: {failure}", err=True)
        sys.exit(failure.code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(EXIT_CODES["interrupted"])
    except _Misuse as error:
        error.show()
        sys.exit(EXIT_CODES["usage"])
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
