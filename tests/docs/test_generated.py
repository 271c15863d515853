"""Docs say what the code does: generated parts are fresh, and nothing that a user can meet is left out."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from modgate.cli.errors import EXIT_CODES
from modgate.gate.decision import FallbackReason
from modgate.settings import Settings
from modgate.telemetry import METRICS
from modgate.v1 import moderation_pb2 as pb

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = ("cli", "errors", "limits", "metrics", "operations", "settings", "verdict")
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(#[^)]*)?\)")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "tools" / "generate_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def test_generated_parts_are_fresh(generator: ModuleType) -> None:
    """`make docs` would change nothing."""
    assert generator.main(["--check"]) == 0


def test_every_metric_is_on_its_page() -> None:
    """Name and meaning of every metric of the catalogue."""
    text = page("metrics")
    for metric in METRICS:
        assert f"`{metric.name}" in text
        assert metric.help.replace("|", "\\|") in text
        assert metric.moves
        assert all(f"`{label}`" in text for label in metric.labels)


def test_every_setting_is_on_its_page(generator: ModuleType) -> None:
    """Name, environment variable and description of every setting, however deep."""
    text = page("settings")
    rows = list(generator.settings_of(Settings))
    assert len(rows) > 40
    for name, variable, _, description in rows:
        assert f"| {name} | {variable} |" in text
        assert description.strip("() "), f"{name} has no description"


def test_every_command_and_option_is_on_its_page(generator: ModuleType) -> None:
    """Commands with their options, each with a word of help, and every exit code."""
    text = page("cli")
    shown = list(generator.commands(generator.typer.main.get_command(generator.app), "modgate"))
    assert {"modgate serve", "modgate check", "modgate models fetch"} <= {path for path, _ in shown}
    for path, command in shown:
        assert f"### `{path}`" in text
        assert command.help, f"{path} has no help"
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert all(f"`{option}`" in text for option in parameter.opts), parameter.opts
            assert getattr(parameter, "help", None), f"{path} {parameter.name} has no help"
    for code in EXIT_CODES.values():
        assert f"| `{code}` |" in text


def messages() -> Iterator[str]:
    """Yield every message that an answer consists of."""
    seen = {"ModerateResponse"}
    waiting = [pb.ModerateResponse.DESCRIPTOR]
    while waiting:
        descriptor = waiting.pop()
        yield descriptor.name
        for field in descriptor.fields:
            inner = field.message_type
            if inner is not None and inner.file.name == descriptor.file.name and inner.name not in seen:
                seen.add(inner.name)
                waiting.append(inner)


def test_every_field_and_value_of_an_answer_is_explained() -> None:
    """Each message and enum of ModerateResponse has its table in docs/verdict.md, with every field and a comment."""
    text = page("verdict")
    file = pb.ModerateResponse.DESCRIPTOR.file
    for name in messages():
        heading = re.sub(r"(?<!^)([A-Z])", r" \1", name).lower()
        assert f"<!-- generated: message {heading} -->" in text
        for field in file.message_types_by_name[name].fields:
            assert re.search(rf"^\| `{field.name}` \| [^|]+ \| \S", text, re.MULTILINE), f"{name}.{field.name}"
        for field in file.message_types_by_name[name].fields:
            for value in field.enum_type.values if field.enum_type is not None else ():
                assert f"| `{value.name}` |" in text


def test_every_status_that_is_sent_is_explained() -> None:
    """Each gRPC status that a servicer can end a call with is in docs/errors.md; so is each reason of a fallback."""
    text = page("errors")
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "server" / "modgate" / "rpc").glob("*.py"))
    for status in set(re.findall(r"(?:StatusCode|code_pb2)\.([A-Z_]+)", sources)):
        assert f"`{status}`" in text
    assert all(f"FALLBACK_REASON_{reason.name}" in text for reason in FallbackReason)


@pytest.mark.parametrize("path", [DOCS / f"{name}.md" for name in PAGES], ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link points at a file or folder of the repository."""
    for target, _ in LINK.findall(path.read_text("utf-8")):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


@pytest.mark.parametrize("path", [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"], ids=lambda path: path.name)
def test_pages_name_no_machine(path: Path) -> None:
    """No page tells of the machine that it was written on."""
    assert not re.search(r"/(root|home|tmp/dev|work)/", path.read_text("utf-8"))
