"""How commands reach the control plane of a running server, and how they show what it answers."""

import getpass
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import grpc
import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from rich.console import Console
from rich.table import Table

from modgate.cli.errors import Failure
from modgate.rules.values import parse_duration
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import review_pb2

__all__ = [
    "AsOption",
    "CaOption",
    "JsonOption",
    "LimitOption",
    "ServerOption",
    "TokenOption",
    "channel",
    "metadata",
    "moment",
    "paged",
    "print_json",
    "review_filter",
    "show",
    "when",
]

_SECONDS = 30.0
_PLAIN_TIME = re.compile(r"\d+[a-z]+")

ServerOption = Annotated[str, typer.Option(help="Control plane of a running server.")]
TokenOption = Annotated[
    str, typer.Option(envvar="MODGATE_CONTROL__TOKEN", help="Its bearer token.", show_default=False)
]
CaOption = Annotated[Path | None, typer.Option(help="PEM of the authority of its certificate; absent: no TLS.")]
AsOption = Annotated[str, typer.Option("--as", help="Your name, for the records; absent: your login.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
LimitOption = Annotated[int, typer.Option(min=1, help="At most so many.")]


@contextmanager
def channel(server: str, ca: Path | None) -> Iterator[grpc.Channel]:
    """Open a channel, and turn the errors of calls inside into failures: one line, or one for each field.

    A control plane that wants a client's certificate is shown the one in the files that `MODGATE_CLIENT_CERT` and
    `MODGATE_CLIENT_KEY` name.
    """
    try:
        credentials = None if ca is None else _credentials(ca)
    except OSError as error:
        raise Failure(f"cannot read {error.filename}: {error.strerror}", "usage") from error
    opened = grpc.insecure_channel(server) if credentials is None else grpc.secure_channel(server, credentials)
    with opened:
        try:
            yield opened
        except grpc.RpcError as error:
            code = error.code() if isinstance(error, grpc.Call) else None
            reason = _reason(error) if isinstance(error, grpc.Call) else str(error)
            away = code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED}
            raise Failure(f"{server}: {reason}", "unreachable" if away else "failed") from error


def _credentials(ca: Path) -> grpc.ChannelCredentials:
    cert, key = (os.environ.get(f"MODGATE_CLIENT_{part}") for part in ("CERT", "KEY"))
    return grpc.ssl_channel_credentials(
        ca.read_bytes(), Path(key).read_bytes() if key else None, Path(cert).read_bytes() if cert else None
    )


def _reason(error: grpc.Call) -> str:
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad) and len(bad.field_violations) > 1:
            return "\n".join(["refused:", *(f"  {v.field}: {v.description}" for v in bad.field_violations)])
    return error.details() or "no reason was given"


def metadata(token: str, moderator: str = "") -> tuple[tuple[str, str], ...]:
    """Return what a call shows: the token, and who is calling."""
    name = moderator or os.environ.get("MODGATE_MODERATOR") or getpass.getuser()
    shown = (("modgate-moderator", name),)
    return (*shown, ("authorization", f"Bearer {token}")) if token else shown


def paged(call: Any, request: Any, field: str, limit: int, **options: Any) -> Iterator[Any]:  # noqa: ANN401 - any list call
    """Yield the rows of all pages of a list call, up to a number.

    Args:
        call: The stub's method.
        request: Its request; `page_size` and `page_token` are set here.
        field: Name of the answer's rows.
        limit: Rows in all.
        options: For the call.
    """
    left = limit
    while left > 0:
        request.page_size = min(left, 500)
        answer = call(request, timeout=_SECONDS, **options)
        rows = getattr(answer, field)
        yield from rows
        left -= len(rows)
        if not answer.next_page_token or not rows:
            return
        request.page_token = answer.next_page_token


def review_filter(
    since: str = "",
    until: str = "",
    *,
    kind: str = "",
    **fields: str,
) -> review_pb2.ReviewFilter:
    """Return a filter of what the options say.

    Args:
        since: From this time on, see `moment`.
        until: Before this time.
        kind: `one_to_one`, `group` or `room`.
        fields: Other fields by name; empty ones are left out.
    """
    wanted = review_pb2.ReviewFilter()
    for name, value in fields.items():
        setattr(wanted, name, value)
    if kind:
        try:
            wanted.conversation_type = pb.ConversationType.Value(f"CONVERSATION_TYPE_{kind.upper()}")
        except ValueError as error:
            raise Failure(f'"{kind}" is no kind of conversation; use one_to_one, group or room', "usage") from error
    if since:
        getattr(wanted, "from").FromDatetime(moment(since))
    if until:
        wanted.until.FromDatetime(moment(until))
    return wanted


def moment(said: str) -> datetime:
    """Return the time that `2h` (ago) or `2026-11-21T18:00` (UTC unless it says otherwise) stands for."""
    try:
        if _PLAIN_TIME.match(said):
            return datetime.now(UTC) - parse_duration(said)
        at = datetime.fromisoformat(said)
    except ValueError as error:
        raise Failure(f'"{said}" is no time; write 2h, 7d or 2026-11-21T18:00', "usage") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def when(stamp: Any) -> str:  # noqa: ANN401 - a protobuf timestamp
    """Return a timestamp as people read it, in UTC."""
    at: datetime = stamp.ToDatetime(tzinfo=UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S")


def print_json(messages: Iterable[Message]) -> None:
    """Print messages as JSON lines."""
    for message in messages:
        typer.echo(json.dumps(MessageToDict(message, preserving_proto_field_name=True), ensure_ascii=False))


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; as plain lines with tabs if nobody looks at a terminal."""
    console = Console()
    if not console.is_terminal:
        typer.echo("\t".join(columns))
        for row in rows:
            typer.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*row)
    console.print(table)
