"""`modgate lists`: the lists of a running server, through its control plane."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
import yaml
from rich.console import Console
from rich.progress import Progress

from modgate.cli.control import (
    AsOption,
    CaOption,
    JsonOption,
    ServerOption,
    TokenOption,
    channel,
    metadata,
    print_json,
    show,
    when,
)
from modgate.cli.errors import Failure
from modgate.cli.rules import EtagOption, read_text
from modgate.rules.schema import ListKind
from modgate.v1 import rules_pb2 as pb
from modgate.v1 import rules_pb2_grpc

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Read and change the lists of a running server.")

_SERVER = "127.0.0.1:50052"
_CHUNK = 256 * 1024

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the list.")]
EntriesArgument = Annotated[list[str], typer.Argument(metavar="ENTRY...", help="The entries.")]


@app.command("list")
def list_lists(
    server: ServerOption = _SERVER, token: TokenOption = "", ca: CaOption = None, as_json: JsonOption = False
) -> None:
    """Show the lists in order of their names."""
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        found = stub.ListLists(pb.ListListsRequest(), metadata=metadata(token)).lists
    if as_json:
        print_json(found)
        return
    show("lists", ("name", "kind", "entries", "revision", "changed", "author", "description"), map(_row, found))


def _row(item: pb.List) -> tuple[str, ...]:
    settings = yaml.safe_load(item.yaml)
    changed = when(item.changed_at) if item.HasField("changed_at") else ""
    told = (f"{item.entry_count:,}", str(item.revision), changed, item.author)
    return item.name, str(settings.get("kind", "")), *told, str(settings.get("description", ""))


@app.command()
def upload(
    name: NameArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Text file with one entry a line.")],
    kind: Annotated[ListKind | None, typer.Option(help="What the entries are; words for a new list.")] = None,
    settings: Annotated[str, typer.Option(help="File with the list's settings as YAML, instead of --kind.")] = "",
    etag: EtagOption = "",
    author: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a list from a file, or replace all its entries."""
    if kind is not None and settings:
        raise Failure("--kind is one of the settings: put it into the file", "usage")
    text = read_text(settings) if settings else f"kind: {kind}\n" if kind is not None else ""
    target = pb.List(name=name, yaml=text, etag=etag)
    try:
        with (
            file.open("rb") as stream,
            channel(server, ca) as opened,
            Progress(console=Console(stderr=True), transient=True) as progress,
        ):
            chunks = _chunks(target, stream, progress, file.stat().st_size)
            stub = rules_pb2_grpc.RuleServiceStub(opened)
            answer = stub.UploadList(chunks, metadata=metadata(token, author))
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror}", "usage") from error
    _print_changed("uploaded", answer, as_json=as_json)


def _chunks(target: pb.List, stream: BinaryIO, progress: Progress, size: int) -> Iterator[pb.UploadListRequest]:
    task = progress.add_task(f"uploading {target.name}", total=size)
    yield pb.UploadListRequest(list=target)
    while chunk := stream.read(_CHUNK):
        yield pb.UploadListRequest(chunk=chunk)
        progress.advance(task, len(chunk))
    progress.update(task, description="putting it in force")


@app.command("get")
def get_list(
    name: NameArgument,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output if absent.")] = None,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the entries of a list, one a line, as `upload` takes them; with --json the list itself."""
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        answers = stub.GetList(pb.GetListRequest(name=name), metadata=metadata(token))
        if as_json:
            print_json([next(answers).list])
            answers.cancel()
            return
        if out is None:
            for answer in answers:
                typer.echo("\n".join(answer.entries))
            return
        lines = [entry for answer in answers for entry in answer.entries]
    try:
        out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise Failure(f"cannot write {out}: {error.strerror}", "usage") from error
    typer.echo(f"{out}: {len(lines):,} entries")


@app.command()
def add(
    name: NameArgument,
    entries: EntriesArgument,
    etag: EtagOption = "",
    author: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Add single entries to a list."""
    request = pb.UpdateListEntriesRequest(name=name, etag=etag, add=entries)
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        answer = stub.UpdateListEntries(request, metadata=metadata(token, author))
    _print_changed("changed", answer, as_json=False)


@app.command()
def remove(
    name: NameArgument,
    entries: EntriesArgument,
    etag: EtagOption = "",
    author: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Remove single entries from a list."""
    request = pb.UpdateListEntriesRequest(name=name, etag=etag, remove=entries)
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        answer = stub.UpdateListEntries(request, metadata=metadata(token, author))
    _print_changed("changed", answer, as_json=False)


@app.command()
def delete(
    name: NameArgument,
    etag: EtagOption = "",
    author: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Remove a list that no rule uses."""
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        answer = stub.DeleteList(pb.DeleteListRequest(name=name, etag=etag), metadata=metadata(token, author))
    typer.echo(f"deleted {name}; ruleset {answer.ruleset_revision} is in force")


def _print_changed(what: str, answer: pb.UploadListResponse | pb.UpdateListEntriesResponse, *, as_json: bool) -> None:
    if as_json:
        print_json([answer])
        return
    item = answer.list
    in_force = f"ruleset {answer.ruleset_revision} is in force"
    typer.echo(f"{what} {item.name}, {item.entry_count:,} entries, revision {item.revision}; {in_force}")
