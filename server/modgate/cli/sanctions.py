"""`modgate sanctions`: mutes and bans from a terminal."""

from typing import Annotated

import typer
from google.protobuf import duration_pb2

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
    show,
    when,
)
from modgate.cli.errors import Failure
from modgate.rules.ruleset import PenaltyType
from modgate.rules.values import parse_duration
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import sanctions_pb2, sanctions_pb2_grpc

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Impose, lift and list sanctions.")

_SERVER = "127.0.0.1:50052"


@app.command()
def impose(
    kind: Annotated[PenaltyType, typer.Argument(help="What to impose.")],
    user: Annotated[str, typer.Option(help="Id of the user; absent: the whole conversation, to be muted.")] = "",
    conversation: Annotated[str, typer.Option(help="Id of the conversation; absent: the whole app.")] = "",
    for_user: Annotated[str, typer.Option(help="Mute --user for this user alone: delivered, not pushed.")] = "",
    duration: Annotated[str, typer.Option("--for", help="How long, such as 1h or 7d; absent: until lifted.")] = "",
    exempt: Annotated[
        list[str] | None, typer.Option(help="Role that may post in a muted conversation; may be repeated.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for people.")] = "",
    app_id: Annotated[str, typer.Option("--app", help="The tenant.")] = "",
    moderator: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Put a sanction in force and print its id."""
    target = sanctions_pb2.SANCTION_TARGET_USER
    if for_user:
        target = sanctions_pb2.SANCTION_TARGET_USER_FOR_USER
    elif not user:
        target = sanctions_pb2.SANCTION_TARGET_CONVERSATION
    request = sanctions_pb2.ImposeSanctionRequest(
        sanction=sanctions_pb2.Sanction(
            app_id=app_id,
            target=target,
            user_id=user,
            conversation_id=conversation,
            for_user_id=for_user,
            type=pb.PenaltyType.Value(f"PENALTY_TYPE_{kind.name}"),
            reason=reason,
            exempt_roles=exempt or (),
        )
    )
    if duration:
        try:
            span = parse_duration(duration)
        except ValueError as error:
            raise Failure(str(error), "usage") from error
        request.duration.CopyFrom(duration_pb2.Duration(seconds=int(span.total_seconds())))
    with channel(server, ca) as opened:
        stub = sanctions_pb2_grpc.SanctionServiceStub(opened)
        typer.echo(stub.ImposeSanction(request, metadata=metadata(token, moderator)).sanction.id)


@app.command()
def lift(
    sanction: Annotated[str, typer.Argument(help="Id of the sanction.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    moderator: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """End a sanction before its time."""
    with channel(server, ca) as opened:
        stub = sanctions_pb2_grpc.SanctionServiceStub(opened)
        request = sanctions_pb2.LiftSanctionRequest(id=sanction, reason=reason)
        stub.LiftSanction(request, metadata=metadata(token, moderator))
    typer.echo("lifted")


@app.command("list")
def list_sanctions(
    user: Annotated[str, typer.Option(help="Id of the user.")] = "",
    conversation: Annotated[str, typer.Option(help="Id of the conversation.")] = "",
    app_id: Annotated[str, typer.Option("--app", help="The tenant.")] = "",
    ended: Annotated[bool, typer.Option(help="Those that ended as well.")] = False,
    limit: LimitOption = 100,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show sanctions in force, newest first."""
    request = sanctions_pb2.ListSanctionsRequest(
        app_id=app_id, user_id=user, conversation_id=conversation, include_ended=ended
    )
    with channel(server, ca) as opened:
        stub = sanctions_pb2_grpc.SanctionServiceStub(opened)
        rows = paged(stub.ListSanctions, request, "sanctions", limit, metadata=metadata(token))
        if as_json:
            print_json(rows)
            return
        columns = ("id", "type", "user", "conversation", "until", "author", "reason")
        show("sanctions", columns, map(_row, rows))


@app.command()
def events(
    sanction: Annotated[str, typer.Option(help="Id of the sanction; absent: all.")] = "",
    limit: LimitOption = 100,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the audit trail, newest first."""
    request = sanctions_pb2.ListSanctionEventsRequest(sanction_id=sanction)
    with channel(server, ca) as opened:
        stub = sanctions_pb2_grpc.SanctionServiceStub(opened)
        rows = paged(stub.ListSanctionEvents, request, "events", limit, metadata=metadata(token))
        if as_json:
            print_json(rows)
            return
        columns = ("at", "sanction", "event", "author", "reason")
        show("audit trail", columns, ((when(e.at), e.sanction_id, e.event, e.author, e.reason) for e in rows))


def _row(sanction: sanctions_pb2.Sanction) -> tuple[str, ...]:
    until = when(sanction.expires_at) if sanction.HasField("expires_at") else "lifted by hand"
    if sanction.HasField("lifted_at"):
        until = f"lifted {when(sanction.lifted_at)}"
    whom = sanction.user_id or "everybody"
    return (
        sanction.id,
        pb.PenaltyType.Name(sanction.type).removeprefix("PENALTY_TYPE_").lower(),
        f"{whom} for {sanction.for_user_id}" if sanction.for_user_id else whom,
        sanction.conversation_id or "everywhere",
        until,
        sanction.author,
        sanction.reason,
    )
