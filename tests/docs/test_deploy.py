"""What is shipped for operators fits the server that it is shipped for."""

import re
import shlex
from pathlib import Path
from typing import Any

import typer
import yaml

from modgate.cli.app import app
from modgate.detectors.cheap import cheap_detectors
from modgate.rules import compile_ruleset, parse_document
from modgate.settings import Settings
from modgate.telemetry import METRICS

DEPLOY = Path(__file__).parents[2] / "deploy"
SERIES = re.compile(r"\b(modgate_\w+)")


def sidecar() -> dict[str, Any]:
    documents = list(yaml.safe_load_all((DEPLOY / "sidecar.yaml").read_text("utf-8")))
    spec = next(d for d in documents if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = spec["initContainers"]
    assert isinstance(container, dict)
    return container


def test_alerts_ask_for_metrics_that_there_are() -> None:
    """Every series in an expression is one of the catalogue, and every alert says what to do."""
    known = {metric.name for metric in METRICS}
    known |= {f"{name}{suffix}" for name in known for suffix in ("_total", "_bucket", "_sum", "_count")}
    (group,) = yaml.safe_load((DEPLOY / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in group["rules"]:
        used = SERIES.findall(rule["expr"])
        assert used
        assert set(used) <= known
        assert set(rule["annotations"]) == {"summary", "action"}
        assert set(SERIES.findall(rule["annotations"]["action"])) <= known


def test_the_sidecar_starts_with_flags_and_variables_that_there_are() -> None:
    """Commands parse, and every environment variable is a setting."""
    container = sidecar()
    group = typer.main.get_command(app)
    commands = [
        container["args"],
        *(container[probe]["exec"]["command"][1:] for probe in ("startupProbe", "livenessProbe")),
    ]
    for name, *arguments in commands:
        command = getattr(group, "commands")[name]  # noqa: B009 - Typer's own copy of Click has no types
        with command.make_context(name, list(arguments)) as context:
            assert context.params
        assert shlex.join(arguments)
    for variable in container["env"]:
        model: Any = Settings
        for part in variable["name"].removeprefix("MODGATE_").lower().split("__"):
            fields = getattr(model, "model_fields", None)
            if fields is None:
                fields = next(t for t in model.__args__ if hasattr(t, "model_fields")).model_fields
            assert part in fields
            model = fields[part].annotation


def test_the_sidecar_is_locked_down() -> None:
    """A native sidecar, not root, with nothing writable but its own folders, and without a CPU limit."""
    container = sidecar()
    assert container["restartPolicy"] == "Always"
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert "cpu" not in container["resources"]["limits"]


def test_the_sidecars_rules_compile() -> None:
    """The rules in the ConfigMap are rules."""
    documents = yaml.safe_load_all((DEPLOY / "sidecar.yaml").read_text("utf-8"))
    text = next(d for d in documents if d["kind"] == "ConfigMap")["data"]["rules.yaml"]
    assert compile_ruleset(parse_document("rules.yaml", text), cheap_detectors()).rules
