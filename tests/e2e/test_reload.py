"""Rules are a file: what happens when it changes under a running server."""

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.serving import RULES, Server

from modgate.v1 import moderation_pb2 as pb

pytestmark = pytest.mark.e2e

PATIENCE = 15.0


def until(true: Callable[[], bool]) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def metrics(server: Server) -> str:
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def test_a_changed_file_is_in_force_without_a_restart(tmp_path: Path) -> None:
    """A good file replaces the rules; a bad one changes nothing, is counted and logged with line and cause."""
    with Server(tmp_path) as server:
        first = server.ask("newword").ruleset_revision
        server.rules.write_text(RULES.replace("[slurword]", "[slurword, newword]"))
        until(lambda: server.ask("newword").verdict == pb.VERDICT_BLOCK)
        second = server.ask("newword").ruleset_revision
        assert second != first

        server.rules.write_text(RULES.replace("list: slurs", "list: slrus"))
        until(lambda: 'modgate_ruleset_reloads_total{result="error"} 1.0' in metrics(server))
        assert server.ask("newword").verdict == pb.VERDICT_BLOCK
        assert server.ask("newword").ruleset_revision == second
        assert "did you mean slurs?" in server.log()
        assert f'modgate_ruleset_info{{revision="{second}"}} 1.0' in metrics(server)

        server.rules.write_text(RULES)
        until(lambda: server.ask("newword").verdict == pb.VERDICT_ALLOW)
        assert server.ask("newword").ruleset_revision == first


def test_a_config_map_is_swapped_by_a_link(tmp_path: Path) -> None:
    """Kubernetes replaces a ConfigMap by turning the link `..data`: that is seen as well."""
    volume = tmp_path / "volume"
    for name, text in (("..1", RULES), ("..2", RULES.replace("[slurword]", "[slurword, newword]"))):
        (volume / name).mkdir(parents=True)
        (volume / name / "rules.yaml").write_text(text)
    (volume / "..data").symlink_to("..1")
    (volume / "rules.yaml").symlink_to("..data/rules.yaml")
    with Server(tmp_path, rules=None, args=("--rules", str(volume / "rules.yaml"))) as server:
        assert server.ask("newword").verdict == pb.VERDICT_ALLOW
        (volume / "..data_tmp").symlink_to("..2")
        (volume / "..data_tmp").rename(volume / "..data")
        until(lambda: server.ask("newword").verdict == pb.VERDICT_BLOCK)
