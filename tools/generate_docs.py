"""Writes the generated parts of docs/*.md: `python tools/generate_docs.py`; `--check` fails if one is stale.

A page is written by hand but for the blocks between `<!-- generated: NAME -->` and `<!-- end -->`.
"""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import typer
from pydantic import BaseModel

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "server"))

from modgate.cli.app import app  # noqa: E402 - found by the line above
from modgate.media.limits import Limits as MediaLimits  # noqa: E402
from modgate.rpc import validate  # noqa: E402
from modgate.settings import LimitSettings, Settings  # noqa: E402
from modgate.telemetry import METRICS  # noqa: E402

DOCS = ROOT / "docs"
BLOCK = re.compile(r"(<!-- generated: (?P<name>[a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
PROTO = ROOT / "protos" / "modgate" / "v1" / "moderation.proto"
KINDS = {"tally": "histogram", "read": "counter", "level": "gauge"}


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def metrics() -> str:
    """Return every metric with its kind, labels, meaning and what to do."""
    rows = [
        (
            f"`{metric.name}{'_total' if KINDS.get(metric.kind, metric.kind) == 'counter' else ''}`",
            KINDS.get(metric.kind, metric.kind),
            ", ".join(f"`{label}`" for label in metric.labels),
            metric.help,
            metric.moves,
        )
        for metric in METRICS
    ]
    return table(("metric", "kind", "labels", "what it says", "when it moves"), rows)


def settings_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield name, environment variable, default and description of every setting."""
    for name, field in model.model_fields.items():
        group = next((t for t in (field.annotation, *get_args(field.annotation)) if is_model(t)), None)
        path = f"{prefix}{name}"
        if group is not None:
            if field.description:
                yield f"`{path}`", "", "", field.description
            yield from settings_of(group, f"{path}.")
            continue
        bounds = [str(m) for m in field.metadata if type(m).__name__ in {"Ge", "Le", "Gt", "Lt"}]
        said = re.sub(r"\w+\((\w+)=([\d.]+)\)", lambda m: f"{SIGNS[m[1]]} {m[2]}", ", ".join(bounds))
        choices = [str(choice) for choice in get_args(field.annotation) if isinstance(choice, str)]
        allowed = f" ({said})" if said else f" ({', '.join(choices)})" if choices else ""
        variable = f"MODGATE_{path.upper().replace('.', '__')}"
        default = "required" if field.is_required() else shown(field.default)
        yield f"`{path}`", f"`{variable}`", default, f"{field.description}{allowed}"


SIGNS = {"ge": "≥", "le": "≤", "gt": ">", "lt": "<"}


def is_model(kind: object) -> bool:
    """Whether a type is a group of settings."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def shown(value: Any) -> str:  # noqa: ANN401 - settings have many types
    """Return a default as YAML would say it, without a path of this machine."""
    if value is None or value in ("", ()):
        return "empty"
    if isinstance(value, tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, Path):
        inside = value.is_relative_to(ROOT)
        return f"`{value.relative_to(ROOT)}`" if inside else f"`{value}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def settings() -> str:
    """Return every setting."""
    return table(("setting", "environment variable", "default", "what it does"), list(settings_of(Settings)))


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Typer's own copy of Click's types
    """Yield every command below one, with what to type for it."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
    for name, child in (children or {}).items():
        yield from commands(child, f"{path} {name}")


def commandline() -> str:
    """Return every command with its arguments and options."""
    parts = []
    for path, command in commands(typer.main.get_command(app), "modgate"):
        rows = []
        for parameter in command.params:
            if parameter.param_type_name == "option":
                names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
                default = parameter.default if parameter.default not in (None, False, ()) else ""
            else:
                names = f"`{(parameter.name or '').upper()}`"
                default = parameter.default if parameter.default is not None else ""
            help_text = " ".join(str(getattr(parameter, "help", "") or "").split())
            rows.append((names, help_text, f"`{default}`" if default != "" and not callable(default) else ""))
        said = " ".join((command.help or "").split())
        parts.append(f"\n### `{path}`\n\n{said}\n\n{table(('argument or option', 'what it does', 'default'), rows)}")
    return "".join(parts) + "\n"


def limits() -> str:
    """Return what is accepted of a request, with the setting that changes it."""
    fixed, media, default = validate.Limits(), MediaLimits(), LimitSettings()
    rows = [
        ("ids (`request_id`, `app_id`, `message.id`, `sender.id`, ...)", f"{validate._ID_BYTES} bytes", ""),  # noqa: SLF001
        ("names (`sender.name`, `conversation.name`, `receiver.name`)", f"{validate._NAME_BYTES} bytes", ""),  # noqa: SLF001
        ("roles and tags", f"{validate._TAGS} of each, {validate._ID_BYTES} characters an entry", ""),  # noqa: SLF001
        ("`message.text`", f"{default.text_bytes:,} bytes of UTF-8", "`limits.text_bytes`"),
        ("`message.media`", f"{default.media} items", "`limits.media`"),
        ("one item's `data`", f"{default.media_bytes:,} bytes", "`limits.media_bytes`"),
        ("`message.custom`", f"{fixed.custom_depth} levels, {fixed.custom_values:,} values", ""),
        ("times", "years 1 to 9999", ""),
        ("one request as encoded", f"{default.message_bytes:,} bytes", "`limits.message_bytes`"),
        ("calls at once on one connection", f"{default.streams_per_connection:,}", "`limits.streams_per_connection`"),
        ("messages of one stream that wait for models", f"{default.stream_window}", "`limits.stream_window`"),
        ("messages that wait for models", f"{default.in_flight}", "`limits.in_flight`"),
        ("the same for one app", f"{default.in_flight_per_app}", "`limits.in_flight_per_app`"),
        ("bytes of a picture", f"{media.file_bytes:,}", ""),
        *((f"pixels of a picture, {kind.value}", f"{count:,}", "") for kind, count in media.pixels.items()),
        ("longer side of a picture", f"{media.side:,} pixels", ""),
        ("pixels times scans of a JPEG", f"{media.scanned:,}", ""),
        ("frames of an animation that are judged", f"{media.frames}", ""),
        ("shorter side below which classifiers are not asked", f"{media.smallest} pixels", ""),
    ]
    return table(("what", "limit", "setting"), rows)


def proto_message(name: str) -> str:
    """Return the fields of one message of the contract with their comments."""
    body = re.search(rf"^message {name} \{{\n(.*?)^\}}", PROTO.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    if body is None:
        raise ValueError(f"{PROTO.name} has no message {name}")
    rows, comment = [], ""
    for line in body[1].splitlines():
        text = line.strip()
        if text.startswith("//"):
            comment = f"{comment} {text.removeprefix('//').strip()}".strip()
        elif field := re.match(r"(repeated |optional )?([\w.]+) (\w+) = \d+", text):
            kind = field[2].rpartition(".")[2]
            rows.append((f"`{field[3]}`", f"{'list of ' if field[1] == 'repeated ' else ''}{kind}", comment))
            comment = ""
    return table(("field", "type", "meaning"), rows)


def proto_enum(name: str) -> str:
    """Return the values of one enum of the contract with their comments."""
    body = re.search(rf"^enum {name} \{{\n(.*?)^\}}", PROTO.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    if body is None:
        raise ValueError(f"{PROTO.name} has no enum {name}")
    values = re.findall(r"// (.+)\n\s+(\w+) = \d+;", body[1])
    return table(("value", "meaning"), [(f"`{value}`", comment) for comment, value in values])


def block(name: str) -> str:
    """Return the content of one block."""
    kind, _, what = name.partition(" ")
    if kind in {"message", "enum"}:
        camel = "".join(word.capitalize() for word in what.split())
        return proto_message(camel) if kind == "message" else proto_enum(camel)
    return BLOCKS[name]()


BLOCKS: dict[str, Callable[[], str]] = {
    "metrics": metrics,
    "settings": settings,
    "commands": commandline,
    "limits": limits,
}


def render(page: str) -> str:
    """Return a page with its blocks written anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{block(found['name'])}{found[3]}", page)


def main(argv: list[str]) -> int:
    """Generate, or check."""
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        before = path.read_text("utf-8")
        after = render(before)
        if before != after:
            stale.append(path.name)
            if argv != ["--check"]:
                path.write_text(after, "utf-8")
    if argv == ["--check"] and stale:
        print(f"stale: {', '.join(stale)}; run `make docs` and commit", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
