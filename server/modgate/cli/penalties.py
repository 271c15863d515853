"""`modgate penalties`: try a penalty on what happened, before it is put live."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf.json_format import MessageToDict

from modgate.cli.control import (
    CaOption,
    JsonOption,
    ServerOption,
    TokenOption,
    channel,
    metadata,
    paged,
    review_filter,
    show,
)
from modgate.cli.errors import Failure, expected
from modgate.penalties.simulate import Outcome, Violation, simulate
from modgate.rules import load_document
from modgate.rules.compile import penalty_clause
from modgate.rules.ruleset import PenaltyClause, PenaltyType, SanctionScope
from modgate.rules.values import parse_duration
from modgate.v1 import review_pb2, review_pb2_grpc

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Try penalties on a recorded history.")

_ALL = 1 << 62


@app.callback()
def _group() -> None:
    """Keep `simulate` a command of its own, also while it is the only one."""


@app.command("simulate")
def simulate_penalties(
    rules: Annotated[str | None, typer.Option(help="Rule file whose penalties are tried.")] = None,
    rule: Annotated[str, typer.Option(help="Id of the rule, to try a penalty given here.")] = "",
    after: Annotated[int, typer.Option(min=2, help="Violations that earn it.")] = 5,
    within: Annotated[str, typer.Option(help="Window, such as 1m.")] = "1m",
    scope: Annotated[SanctionScope, typer.Option(help="Where violations add up.")] = SanctionScope.CONVERSATION,
    cooldown: Annotated[str, typer.Option(help="Least time between two penalties.")] = "0s",
    source: Annotated[Path | None, typer.Option("--in", help="JSON lines of `modgate history export`.")] = None,
    since: Annotated[str, typer.Option(help="From this time on: 7d or 2026-11-21.")] = "30d",
    server: ServerOption = "127.0.0.1:50052",
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell how many users each penalty would have punished, and how often users violate within its window."""
    with expected():
        if rules is not None:
            clauses = [(r.id, penalty_clause(p)) for r in load_document(rules).model.rules for p in r.penalties]
        elif rule:
            clause = PenaltyClause(
                after,
                parse_duration(within),
                PenaltyType.MUTE,
                scope,
                duration=parse_duration("1h"),
                cooldown=parse_duration(cooldown),
            )
            clauses = [(rule, clause)]
        else:
            raise Failure("say what to try: --rules FILE, or --rule ID with --after and --within", "usage")
    if source is not None:
        outcomes = simulate(_violations(_lines(source)), clauses)
    else:
        with channel(server, ca) as opened:
            stub = review_pb2_grpc.ReviewServiceStub(opened)
            found = []
            for identity in dict.fromkeys(rule_id for rule_id, _ in clauses):
                request = review_pb2.SearchHistoryRequest(filter=review_filter(since, rule_id=identity))
                rows = paged(stub.SearchHistory, request, "decisions", _ALL, metadata=metadata(token))
                found += list(_violations(MessageToDict(r, preserving_proto_field_name=True) for r in rows))
            outcomes = simulate(found, clauses)
    _print(outcomes, as_json=as_json)


def _lines(source: Path) -> Iterator[dict[str, Any]]:
    try:
        with source.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, ValueError) as error:
        raise Failure(f"cannot read {source}: {error}", "usage") from error


def _violations(records: Iterable[dict[str, Any]]) -> Iterator[Violation]:
    for record in records:
        for rule_id in dict.fromkeys(match["rule_id"] for match in record.get("matches", ())):
            yield Violation(
                at=datetime.fromisoformat(record["decided_at"]).timestamp(),
                rule_id=rule_id,
                app_id=record.get("app_id", ""),
                sender_id=record.get("sender_id", ""),
                conversation_id=record.get("conversation_id", ""),
                message_id=record.get("message_id", ""),
            )


def _print(outcomes: list[Outcome], *, as_json: bool) -> None:
    if as_json:
        for outcome in outcomes:
            clause = outcome.clause
            figures = {
                "rule_id": outcome.rule_id,
                "impose": str(clause.impose),
                "after": clause.after,
                "within_seconds": clause.within.total_seconds(),
                "violations": outcome.violations,
                "violators": outcome.violators,
                "punished": len(outcome.punished),
                "penalties": outcome.penalties,
                "most_in_a_window": {str(count): users for count, users in sorted(outcome.most.items())},
            }
            typer.echo(json.dumps(figures))
        return
    rows = [
        (
            outcome.rule_id,
            f"{outcome.clause.impose} after {outcome.clause.after} in {outcome.clause.within}",
            str(outcome.violations),
            str(outcome.violators),
            str(len(outcome.punished)),
            str(outcome.penalties),
            ", ".join(f"{users} had {count}" for count, users in sorted(outcome.most.items())),
        )
        for outcome in outcomes
    ]
    columns = ("rule", "penalty", "violations", "violators", "punished users", "penalties", "most in one window")
    show("what would have happened", columns, rows)
