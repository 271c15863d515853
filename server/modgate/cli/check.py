"""`modgate check`, `explain` and `score`: single messages and files of lines."""

import asyncio
import json
import mimetypes
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import grpc
import typer
from google.protobuf.json_format import MessageToDict, MessageToJson
from rich.progress import Progress

from modgate.assembly import Engine, build_engine
from modgate.cli.errors import Failure, expected
from modgate.gate import Gate
from modgate.media.errors import MediaError
from modgate.media.limits import Limits as MediaLimits
from modgate.media.sniff import Kind, is_heif, kind_of, sniff
from modgate.rpc.translate import from_request, to_response
from modgate.rpc.validate import Limits, violations
from modgate.rules import load_document
from modgate.rules.conditions import TEXT_LABEL_ALIASES
from modgate.settings import Settings, load_settings
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import moderation_pb2_grpc as pb_grpc

__all__ = ["check", "explain", "message_request", "print_explained", "score"]

_SCORE_BATCH = 64
_SURROGATE = re.compile("[\ud800-\udfff]")
_PERSPECTIVE_NAMES = {label: name for name, label in TEXT_LABEL_ALIASES.items()}

TextArgument = Annotated[str | None, typer.Argument(help="The message; read from standard input if absent.")]
ImageOption = Annotated[list[Path] | None, typer.Option("--image", help="A picture to attach; may be repeated.")]
ServerOption = Annotated[str | None, typer.Option(help="Ask a running server instead of judging in process.")]
RulesOption = Annotated[str | None, typer.Option(help="Rule file; builtin:default if absent.")]
ConfigOption = Annotated[Path | None, typer.Option(help="Settings file, YAML.")]


def check(
    text: TextArgument = None,
    image: ImageOption = None,
    server: ServerOption = None,
    rules: RulesOption = None,
    config: ConfigOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ModerateResponse as JSON.")] = False,
) -> None:
    """Judge one message and print the verdict."""
    response = _respond(text, image or [], server, rules, config, explain=False)
    if as_json:
        typer.echo(MessageToJson(response, preserving_proto_field_name=True, ensure_ascii=False))
        return
    for line in [*_lines(response), *_unreadable(response, image or [])]:
        typer.echo(line)


def explain(
    text: TextArgument = None,
    image: ImageOption = None,
    server: ServerOption = None,
    rules: RulesOption = None,
    config: ConfigOption = None,
) -> None:
    """Judge one message and show how the verdict came about: every rule, every condition, every step undone."""
    response = _respond(text, image or [], server, rules, config, explain=True)
    print_explained(response)
    for line in _unreadable(response, image or []):
        typer.echo(line)


def print_explained(response: pb.ModerateResponse) -> None:
    """Print an answer with its explanation, for people."""
    for line in _lines(response):
        typer.echo(line)
    for step in response.explanation.steps:
        typer.echo(f"undone  {step.name}: {step.text!r}")
    for rule in response.explanation.rules:
        mode = " (shadow)" if rule.shadow else ""
        typer.echo(f"rule    {rule.rule_id}{mode}: {_outcome(rule.outcome)}")
        _print_condition(rule.when, 1)


def score(
    source: Annotated[Path, typer.Option("--in", help='JSON lines, each with a "text".')],
    target: Annotated[Path, typer.Option("--out", help="Where the same lines go, with their scores.")],
    bundle: Annotated[str | None, typer.Option(help="Text bundle; that of the settings if absent.")] = None,
    perspective: Annotated[
        bool, typer.Option("--perspective", help="Name scores as the Perspective API did: TOXICITY, INSULT and so on.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Score every line of a file by all labels of a text bundle."""
    with expected():
        # A bundle that was asked for by name scores everything; otherwise each language has its own, as in the server.
        models = {"images": (), "text": bundle, "multilingual": None} if bundle else {}
        settings = load_settings(config, {"models": models})
        engine = build_engine(settings.model_copy(update={"models": settings.models.model_copy(update={"images": ()})}))
    try:
        _score_file(engine, source, target, _PERSPECTIVE_NAMES if perspective else {})
    finally:
        engine.close()


def _score_file(engine: Engine, source: Path, target: Path, names: Mapping[str, str]) -> None:
    model = engine.text
    if model is None:
        raise Failure("no text bundle is configured", "models")
    scorer = engine.every_language or model
    try:
        rows = [_row(line, number) for number, line in enumerate(source.read_text("utf-8").split("\n"), 1) if line]
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"cannot read {source}: {error}", "usage") from error
    with Progress(transient=True) as progress, target.open("w", encoding="utf-8") as out:
        task = progress.add_task("scoring", total=len(rows))
        for start in range(0, len(rows), _SCORE_BATCH):
            batch = rows[start : start + _SCORE_BATCH]
            for row, scores in zip(batch, scorer.score_now([str(r["text"]) for r in batch]), strict=True):
                row["scores"] = {
                    names.get(label, label): round(float(scores.probabilities[i]), 6)
                    for label, i in model.labels.items()
                    if label in names or not names
                }
                out.write(_line(row) + "\n")
            progress.advance(task, len(batch))
    by = f"{model.name} {model.manifest.version}"
    if (routed := engine.every_language) is not None and routed.passed_on:
        by += f", {routed.passed_on} of them, in other languages or in doubt, by {routed.other}"
    typer.echo(f"{len(rows)} lines scored by {by}")


def _line(row: dict[str, object]) -> str:
    line = json.dumps(row, ensure_ascii=False)
    # A lone surrogate cannot be written as UTF-8, but JSON can spell it.
    return line if line.isascii() or not _SURROGATE.search(line) else json.dumps(row)


def _row(line: str, number: int) -> dict[str, object]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise Failure(f"line {number} is not JSON: {error}", "usage") from error
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise Failure(f'line {number} has no "text"; write e.g. {{"text": "hello"}}', "usage")
    return row


def _respond(
    text: str | None,
    images: list[Path],
    server: str | None,
    rules: str | None,
    config: Path | None,
    *,
    explain: bool,
) -> pb.ModerateResponse:
    request = message_request(text, images, explain=explain)
    if server:
        return _ask(server, request)
    with expected():
        settings = load_settings(config, {"rules": rules})
        return _judge(settings, request)


def message_request(text: str | None, images: list[Path], *, explain: bool) -> pb.ModerateRequest:
    """Return a request about one message of the person at the terminal.

    Args:
        text: The text; None reads standard input.
        images: Files to attach.
        explain: Whether the answer should say how it came about.
    """
    if text is None:
        text = "" if images and sys.stdin.isatty() else sys.stdin.read().removesuffix("\n")
    try:
        media = [
            pb.Media(id=path.name, mime_type=mimetypes.guess_type(path)[0] or "", data=path.read_bytes())
            for path in images
        ]
    except OSError as error:
        raise Failure(f"cannot read {error.filename}: {error.strerror}", "usage") from error
    if empty := next((path for path, medium in zip(images, media, strict=True) if not medium.data), None):
        raise Failure(f"{empty} is empty", "usage")
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return pb.ModerateRequest(
        message=pb.Message(text=text, media=media),
        sender=pb.Sender(id="cli"),
        conversation=pb.Conversation(id="cli", type=pb.CONVERSATION_TYPE_GROUP),
        explain=explain,
    )


def _unreadable(response: pb.ModerateResponse, images: list[Path]) -> list[str]:
    """Return why pictures were not looked at, as far as their headers tell: the answer only says that they were not."""
    if not response.HasField("fallback"):
        return []
    lines = []
    for path in images:
        data = path.read_bytes()
        if kind_of(data) is Kind.VIDEO:
            continue
        if is_heif(data):
            lines.append(f"picture {path.name}: HEIC needs modgate[heif] and models.heif: 1")
        try:
            MediaLimits().check(sniff(data))
        except MediaError as error:
            lines.append(f"picture {path.name} cannot be looked at: {error.detail or error.problem}")
    return lines


def _ask(server: str, request: pb.ModerateRequest) -> pb.ModerateResponse:
    with grpc.insecure_channel(server) as channel:
        try:
            response: pb.ModerateResponse = pb_grpc.ModerationServiceStub(channel).Moderate(request, timeout=5)
        except grpc.RpcError as error:
            reason = error.details() if isinstance(error, grpc.Call) else str(error)
            raise Failure(f"{server}: {reason}", "unreachable") from error
    return response


def _judge(settings: Settings, request: pb.ModerateRequest) -> pb.ModerateResponse:
    problems = violations(request, Limits(text_bytes=settings.limits.text_bytes))
    if problems:
        raise Failure("; ".join(f"{p.field}: {p.description}" for p in problems), "usage")
    engine = build_engine(settings)
    try:
        gate = Gate(engine.compile(load_document(settings.rules)))
        arrived = time.monotonic()
        deadline = arrived + (gate.ruleset.total_ms - settings.reserve_ms) / 1000
        decision = asyncio.run(
            gate.judge(from_request(request), arrived=arrived, deadline=deadline, explain=request.explain)
        )
        return to_response(decision, request.request_id, explain=request.explain)
    finally:
        engine.close()


def _lines(response: pb.ModerateResponse) -> list[str]:
    flagged = ", flagged for review" if response.flagged else ""
    lines = [f"{pb.Verdict.Name(response.verdict).removeprefix('VERDICT_')}{flagged}"]
    if response.verdict == pb.VERDICT_MASK:
        lines.append(f"deliver {response.masked_text}")
    for match in response.matches:
        places = " ".join(f"{span.start}-{span.end}" for span in match.spans)
        shadow = " (shadow)" if match.shadow else ""
        evidence = f" by {match.evidence}" if match.evidence else ""
        lines.append(
            f"match   {match.rule_id}{shadow}: {match.detector} {match.label} {match.score:.2f}"
            f" in {match.part} {places}".rstrip()
            + evidence
        )
    if response.HasField("fallback"):
        fallback = MessageToDict(response.fallback)
        lines.append(f"fallback {fallback['reason']}, {fallback['applied']}: {', '.join(fallback['unfinished'])}")
    lines.append(f"took    {response.timing.total.ToTimedelta().total_seconds() * 1000:.1f} ms")
    return lines


def _print_condition(node: pb.ConditionExplanation, depth: int) -> None:
    score = f" (score {node.score:.2f}, needs {node.threshold:.2f})" if not node.children and node.score else ""
    typer.echo(f"{'  ' * (depth + 3)}{node.text}: {_outcome(node.outcome)}{score}")
    for child in node.children:
        _print_condition(child, depth + 1)


def _outcome(outcome: "pb.Outcome.ValueType") -> str:
    return pb.Outcome.Name(outcome).removeprefix("OUTCOME_").lower().replace("_", " ")
