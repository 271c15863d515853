"""`modgate review`: the flagged queue from a terminal."""

from collections.abc import Iterable
from typing import Annotated

import typer

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
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import review_pb2, review_pb2_grpc

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look at what was flagged, and decide.")

_SERVER = "127.0.0.1:50052"
_SHOWN_TEXT = 60

ItemArgument = Annotated[str, typer.Argument(help="Id of the item.")]
NoteOption = Annotated[str, typer.Option(help="What to remember.")]
SinceOption = Annotated[str, typer.Option(help="From this time on: 2h, 7d or 2026-11-21T18:00.")]
UntilOption = Annotated[str, typer.Option(help="Before this time.")]


@app.command("list")
def list_flagged(
    since: SinceOption = "",
    until: UntilOption = "",
    sender: Annotated[str, typer.Option(help="Id of the sender.")] = "",
    receiver: Annotated[str, typer.Option(help="Id of the receiver.")] = "",
    conversation: Annotated[str, typer.Option(help="Id of the conversation.")] = "",
    kind: Annotated[str, typer.Option(help="one_to_one, group or room.")] = "",
    rule: Annotated[str, typer.Option(help="Id of a rule that matched.")] = "",
    label: Annotated[str, typer.Option(help="A label that matched.")] = "",
    reason: Annotated[str, typer.Option(help="Reason that a report gave.")] = "",
    limit: LimitOption = 50,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for a moderator, oldest first."""
    wanted = review_filter(
        since,
        until,
        kind=kind,
        sender_id=sender,
        receiver_id=receiver,
        conversation_id=conversation,
        rule_id=rule,
        label=label,
        reason=reason,
    )
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        request = review_pb2.ListFlaggedRequest(filter=wanted)
        _print("flagged", paged(stub.ListFlagged, request, "items", limit, metadata=metadata(token)), as_json=as_json)


@app.command()
def watch(
    server: ServerOption = _SERVER, token: TokenOption = "", ca: CaOption = None, as_json: JsonOption = False
) -> None:
    """Show new flags as they come, until Ctrl-C."""
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        for answer in stub.WatchFlagged(review_pb2.WatchFlaggedRequest(), metadata=metadata(token)):
            if as_json:
                print_json([answer.item])
            else:
                typer.echo("  ".join(_row(answer.item)))


@app.command()
def reviewed(
    moderator: Annotated[str, typer.Option(help="Only what this moderator decided.")] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    limit: LimitOption = 50,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was decided, newest first."""
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        request = review_pb2.ListReviewedRequest(filter=review_filter(since, until), moderator=moderator)
        items = paged(stub.ListReviewed, request, "items", limit, metadata=metadata(token))
        _print("reviewed", items, as_json=as_json)


@app.command()
def approve(
    item: ItemArgument,
    note: NoteOption = "",
    moderator: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Decide that an item is fine."""
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        stub.Approve(review_pb2.ApproveRequest(id=item, note=note), metadata=metadata(token, moderator))
    typer.echo("approved")


@app.command()
def block(
    item: ItemArgument,
    note: NoteOption = "",
    moderator: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Decide that an item must go."""
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        answer = stub.Block(review_pb2.BlockRequest(id=item, note=note), metadata=metadata(token, moderator))
    typer.echo("blocked; withdraw the message" if answer.withdraw else "blocked")


@app.command()
def ask(
    item: ItemArgument,
    note: Annotated[str, typer.Option(help="The question.")],
    moderator: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Ask the sender about an item, which stays open."""
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        stub.AskSender(review_pb2.AskSenderRequest(id=item, note=note), metadata=metadata(token, moderator))
    typer.echo("asked")


@app.command()
def report(
    reason: Annotated[str, typer.Option(help="One of `modgate review reasons`.")],
    reporter: Annotated[str, typer.Option(help="Id of the user who complains.")],
    message: Annotated[str, typer.Option(help="Id of the message; or --user.")] = "",
    user: Annotated[str, typer.Option(help="Id of the user complained about.")] = "",
    text: Annotated[str, typer.Option(help="The message's text, for moderators.")] = "",
    note: Annotated[str, typer.Option(help="In the reporter's words.")] = "",
    app_id: Annotated[str, typer.Option("--app", help="The tenant.")] = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Report a message or a user."""
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        shown = metadata(token)
        if message:
            request = review_pb2.ReportMessageRequest(
                app_id=app_id, message_id=message, text=text, reporter_id=reporter, reason=reason, note=note
            )
            item = stub.ReportMessage(request, metadata=shown).item
        else:
            about = review_pb2.ReportUserRequest(
                app_id=app_id, user_id=user, reporter_id=reporter, reason=reason, note=note
            )
            item = stub.ReportUser(about, metadata=shown).item
    typer.echo(item.id)


@app.command()
def reasons(server: ServerOption = _SERVER, token: TokenOption = "", ca: CaOption = None) -> None:
    """Show the reasons that a report may give."""
    with channel(server, ca) as opened:
        stub = review_pb2_grpc.ReviewServiceStub(opened)
        for reason in stub.ListReportReasons(review_pb2.ListReportReasonsRequest(), metadata=metadata(token)).reasons:
            typer.echo(reason)


def _print(title: str, items: Iterable[review_pb2.ReviewItem], *, as_json: bool) -> None:
    if as_json:
        print_json(items)
        return
    show(title, ("id", "flagged", "state", "why", "sender", "conversation", "text", "moderator"), map(_row, items))


def _row(item: review_pb2.ReviewItem) -> tuple[str, ...]:
    record = item.decision
    why = item.reason or ", ".join(dict.fromkeys(f"{match.rule_id}: {match.label}" for match in record.matches))
    verdict = pb.Verdict.Name(record.verdict).removeprefix("VERDICT_") if record.verdict else ""
    state = review_pb2.ReviewState.Name(item.state).removeprefix("REVIEW_STATE_").lower()
    text = record.text if len(record.text) <= _SHOWN_TEXT else record.text[: _SHOWN_TEXT - 1] + "…"
    return (
        item.id,
        when(item.flagged_at),
        state,
        f"{item.origin} {verdict} {why}".replace("  ", " "),
        item.reported_user_id or record.sender_id,
        record.conversation_id,
        text,
        item.moderator,
    )
