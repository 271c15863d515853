"""`modgate rules`: the rules of a running server, through its control plane."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from modgate.cli.check import message_request, print_explained
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
from modgate.v1 import rules_pb2 as pb
from modgate.v1 import rules_pb2_grpc

__all__ = ["app", "read_text"]

app = typer.Typer(no_args_is_help=True, help="Read, change, try and roll back the rules of a running server.")

_SERVER = "127.0.0.1:50052"
_MOST = 10_000

RuleArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the rule.")]
FileArgument = Annotated[str, typer.Argument(metavar="FILE", help="The rule as YAML; - for standard input.")]
EtagOption = Annotated[str, typer.Option(help="Of the revision you have read: fails if there is a newer one.")]


def read_text(file: str) -> str:
    """Return the content of a text file, or of standard input for `-`."""
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read {file}: {error}", "usage") from error


@app.command("list")
def list_rules(
    mode: Annotated[Literal["", "draft", "shadow", "live"], typer.Option(help="Only rules in this mode.")] = "",
    limit: LimitOption = _MOST,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rules in order of their ids."""
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        rules = paged(stub.ListRules, pb.ListRulesRequest(mode=mode), "rules", limit, metadata=metadata(token))
        if as_json:
            print_json(rules)
            return
        columns = ("id", "mode", "revision", "changed", "author")
        show("rules", columns, ((r.id, r.mode, str(r.revision), _changed(r), r.author) for r in rules))


@app.command("get")
def get_rule(
    rule: RuleArgument,
    revision: Annotated[int, typer.Option(min=0, help="An older revision; the current one if 0.")] = 0,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a rule as YAML; with --json also its etag, author and time."""
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        request = pb.GetRuleRequest(id=rule, revision=revision)
        _print_rule(stub.GetRule(request, metadata=metadata(token)).rule, as_json=as_json)


@app.command()
def create(
    file: FileArgument,
    author: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a rule; it is in force when the command returns."""
    request = pb.CreateRuleRequest(rule=pb.Rule(yaml=read_text(file)))
    with channel(server, ca) as opened:
        answer = rules_pb2_grpc.RuleServiceStub(opened).CreateRule(request, metadata=metadata(token, author))
    _print_changed("created", answer, as_json=as_json)


@app.command()
def update(
    rule: RuleArgument,
    file: FileArgument,
    etag: EtagOption = "",
    author: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replace a rule; it is in force when the command returns."""
    text = read_text(file)
    shown = metadata(token, author)
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        known = etag or stub.GetRule(pb.GetRuleRequest(id=rule), metadata=shown).rule.etag
        request = pb.UpdateRuleRequest(rule=pb.Rule(id=rule, yaml=text, etag=known))
        answer = stub.UpdateRule(request, metadata=shown)
    _print_changed("updated", answer, as_json=as_json)


@app.command()
def delete(
    rule: RuleArgument,
    etag: EtagOption = "",
    author: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
) -> None:
    """Remove a rule; its revisions are kept, and `rollback` brings it back."""
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        answer = stub.DeleteRule(pb.DeleteRuleRequest(id=rule, etag=etag), metadata=metadata(token, author))
    typer.echo(f"deleted {rule}; ruleset {answer.ruleset_revision} is in force")


@app.command()
def revisions(
    rule: RuleArgument,
    limit: LimitOption = 100,
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a rule has been, newest first."""
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        request = pb.ListRuleRevisionsRequest(id=rule)
        found = paged(stub.ListRuleRevisions, request, "revisions", limit, metadata=metadata(token))
        if as_json:
            print_json(found)
            return
        columns = ("revision", "mode", "changed", "author", "etag")
        rows = ((str(r.revision), "deleted" if r.deleted else r.mode, _changed(r), r.author, r.etag) for r in found)
        show(f"revisions of {rule}", columns, rows)


@app.command()
def rollback(
    rule: RuleArgument,
    revision: Annotated[int, typer.Argument(min=1, metavar="REVISION", help="The revision to go back to.")],
    etag: EtagOption = "",
    author: AsOption = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an older revision the newest, also of a rule that was deleted."""
    shown = metadata(token, author)
    with channel(server, ca) as opened:
        stub = rules_pb2_grpc.RuleServiceStub(opened)
        newest = pb.ListRuleRevisionsRequest(id=rule, page_size=1)
        known = etag or stub.ListRuleRevisions(newest, metadata=shown).revisions[0].etag
        answer = stub.RollbackRule(pb.RollbackRuleRequest(id=rule, revision=revision, etag=known), metadata=shown)
    _print_changed("rolled back", answer, as_json=as_json)


@app.command("try")
def try_rules(
    text: Annotated[str | None, typer.Argument(help="The message; read from standard input if absent.")] = None,
    image: Annotated[list[Path] | None, typer.Option(help="A picture to attach; may be repeated.")] = None,
    rule: Annotated[str, typer.Option(help="Judge by this rule alone, whatever its mode.")] = "",
    file: Annotated[str, typer.Option(help="Judge by the rule in this file alone, without saving it.")] = "",
    server: ServerOption = _SERVER,
    token: TokenOption = "",
    ca: CaOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a message by the server's rules, or by one, and explain; nothing is counted or recorded."""
    request = pb.TestRulesRequest(
        request=message_request(text, image or [], explain=True), rule_id=rule, yaml=read_text(file) if file else ""
    )
    with channel(server, ca) as opened:
        answer = rules_pb2_grpc.RuleServiceStub(opened).TestRules(request, metadata=metadata(token)).response
    if as_json:
        print_json([answer])
    else:
        print_explained(answer)


def _changed(rule: pb.Rule) -> str:
    return when(rule.changed_at) if rule.HasField("changed_at") else ""


def _print_rule(rule: pb.Rule, *, as_json: bool) -> None:
    if as_json:
        print_json([rule])
    else:
        typer.echo(rule.yaml, nl=not rule.yaml.endswith("\n"))


def _print_changed(
    what: str, answer: pb.CreateRuleResponse | pb.UpdateRuleResponse | pb.RollbackRuleResponse, *, as_json: bool
) -> None:
    if as_json:
        print_json([answer])
        return
    rule = answer.rule
    in_force = f"ruleset {answer.ruleset_revision} is in force"
    typer.echo(f"{what} {rule.id}, revision {rule.revision}, {rule.mode}; {in_force}")
