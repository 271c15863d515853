"""`modgate history`: search, export and erase decisions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from google.protobuf.json_format import MessageToDict

from modgate.cli.control import (
    AsOption,
    CaOption,
    JsonOption,
    LimitOption,
    ServerOption,
    TokenOption,
    channel,
    metadata,
    paged,
    print_json,
    review_filter,
    show,
    when,
)
from modgate.cli.errors import Failure
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import review_pb2, review_pb2_grpc

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Search, export and erase what was decided.")

_SERVER = "127.0.0.1:50052"
_ALL = 1 << 62
_PARQUET_ROWS = 10_000

SinceOption = Annotated[str, typer.Option(help="From this time on: 2h, 7d or 2026-11-21T18:00.")]
UntilOption = Annotated[str, typer.Option(help="Before this time.")]
SenderOption = Annotated[str, typer.Option(help="Id of the sender.")]
VerdictOption = Annotated[Literal["", "allow", "mask", "block"], typer.Option(help="allow, mask or block.")]
RuleOption = Annotated[str, typer.Option(help="Id of a rule that matched.")]
AppOption = Annotated[str, typer.Option("--app", help="The tenant.")]


@app.command()
def search(
    since: SinceOption = "",
    until: UntilOption = "",
    sender: SenderOption = "",
    receiver: Annotated[str, typer.Option(help="Id of the receiver.")] = "",
    conversation: Annotated[str, typer.Option(help="Id of the conversation.")] = "",
    kind: Annotated[str, typer.Option(help="one_to_one, group or room.")] = "",
    message: Annotated[str, typer.Option(help="Id of the message.")] = "",
    verdict: VerdictOption = "",
    rule: RuleOption = "",
    label: Annotated[str, typer.Option(help="A label that matched.")] = "",
    app_id: AppOption = "",
    limit: LimitOption = 50,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show decisions, newest first."""
    wanted = review_filter(
        since,
        until,
        kind=kind,
        sender_id=sender,
        receiver_id=receiver,
        conversation_id=conversation,
        message_id=message,
        rule_id=rule,
        label=label,
        app_id=app_id,
    )
    with channel(server, ca) as opened:
        rows = _rows(review_pb2_grpc.ReviewServiceStub(opened), wanted, verdict, limit, token)
        if as_json:
            print_json(rows)
            return
        columns = ("decision", "at", "verdict", "sender", "conversation", "message", "why", "text")
        show("history", columns, map(_row, rows))


@app.command()
def export(
    target: Annotated[Path, typer.Option("--out", help="File to write.")],
    form: Annotated[Literal["jsonl", "parquet"], typer.Option("--format", help="jsonl or parquet.")] = "jsonl",
    since: SinceOption = "",
    until: UntilOption = "",
    sender: SenderOption = "",
    verdict: VerdictOption = "",
    rule: RuleOption = "",
    app_id: AppOption = "",
    limit: LimitOption = _ALL,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Write decisions into a file, newest first."""
    wanted = review_filter(since, until, sender_id=sender, rule_id=rule, app_id=app_id)
    with channel(server, ca) as opened:
        rows = _rows(review_pb2_grpc.ReviewServiceStub(opened), wanted, verdict, limit, token)
        # Whoever finds the file finds all of it.
        part = target.with_name(f"{target.name}.part")
        try:
            count = _write_parquet(part, rows) if form == "parquet" else _write_lines(part, rows)
            part.replace(target)
        except OSError as error:
            raise Failure(f"cannot write {target}: {error.strerror}", "usage") from error
        finally:
            part.unlink(missing_ok=True)
    typer.echo(f"{count} decisions in {target}")


@app.command()
def erase(
    user: Annotated[str, typer.Argument(help="Id of the user.")],
    app_id: AppOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    moderator: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove everything that is kept of a user, and print what was removed, with proof."""
    if not yes:
        typer.confirm(f"Erase everything of {user}? This cannot be undone", abort=True)
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        request = review_pb2.EraseUserRequest(app_id=app_id, user_id=user)
        erased = stub.EraseUser(request, metadata=metadata(token, moderator))
    if as_json:
        print_json([erased])
        return
    for kind, count in sorted(erased.removed.items()):
        typer.echo(f"{kind}: {count}")
    typer.echo(f"proof: {erased.proof}")


def _rows(
    stub: Any,  # noqa: ANN401 - the generated stub
    wanted: review_pb2.ReviewFilter,
    verdict: str,
    limit: int,
    token: str,
) -> Iterator[review_pb2.DecisionRecord]:
    request = review_pb2.SearchHistoryRequest(filter=wanted)
    if verdict:
        request.verdict = pb.Verdict.Value(f"VERDICT_{verdict.upper()}")
    return paged(stub.SearchHistory, request, "decisions", limit, metadata=metadata(token))


def _row(record: review_pb2.DecisionRecord) -> tuple[str, ...]:
    why = ", ".join(dict.fromkeys(f"{match.rule_id}: {match.label}" for match in record.matches))
    return (
        record.decision_id,
        when(record.decided_at),
        pb.Verdict.Name(record.verdict).removeprefix("VERDICT_") + (" flagged" if record.flagged else ""),
        record.sender_id,
        record.conversation_id,
        record.message_id,
        why or (f"sanction {record.sanction_id}" if record.sanction_id else ""),
        record.text or record.text_sha256,
    )


def _write_lines(target: Path, rows: Iterator[review_pb2.DecisionRecord]) -> int:
    count = 0
    with target.open("w", encoding="utf-8") as out:
        for record in rows:
            out.write(json.dumps(MessageToDict(record, preserving_proto_field_name=True), ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_parquet(target: Path, rows: Iterator[review_pb2.DecisionRecord]) -> int:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
        import pyarrow.parquet as pq  # noqa: PLC0415 - optional
    except ImportError as error:
        raise Failure("Parquet needs pyarrow: pip install 'modgate[parquet]'", "usage") from error
    text = ("decision_id", "app_id", "message_id", "sender_id", "receiver_id", "conversation_id")
    later = ("verdict", "conversation_type", "ruleset_revision", "text", "text_sha256", "details")
    schema = pa.schema(
        [("decided_at", pa.timestamp("ms", "UTC")), ("flagged", pa.bool_())]
        + [(name, pa.string()) for name in (*text, *later)]
    )
    count = 0
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        batch: list[dict[str, object]] = []
        for record in rows:
            batch.append({name: getattr(record, name) for name in (*text, *later[2:5])} | _typed(record))
            count += 1
            if len(batch) == _PARQUET_ROWS:
                writer.write_table(pa.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pa.Table.from_pylist(batch, schema))
    return count


def _typed(record: review_pb2.DecisionRecord) -> dict[str, object]:
    whole = MessageToDict(record, preserving_proto_field_name=True)
    nested = ("matches", "fallback", "penalties", "shadow_penalties", "sanction_id", "explanation")
    return {
        "decided_at": record.decided_at.ToMilliseconds(),
        "flagged": record.flagged,
        "verdict": pb.Verdict.Name(record.verdict).removeprefix("VERDICT_"),
        "conversation_type": pb.ConversationType.Name(record.conversation_type).removeprefix("CONVERSATION_TYPE_"),
        "details": json.dumps({name: whole[name] for name in nested if name in whole}, ensure_ascii=False),
    }
