"""Where the rules come from, at the start and when the store makes trouble."""

import os
import sqlite3
from pathlib import Path

import grpc
import pytest
from tests.rpc.control_plane import ONE, RULES, ControlPlane, Refused, until

from modgate.rules import RulesError
from modgate.settings import SettingsError
from modgate.v1 import rules_pb2 as pb


async def test_rules_that_cannot_run_do_not_fill_the_store(tmp_path: Path) -> None:
    """The start fails with the problems; once the file is mended, the next start takes it over."""
    ask_a_model = RULES.replace("words: {list: bad}", "text: {label: rude, at_least: 0.5}")
    with pytest.raises(RulesError, match="this server has no text classifier"):
        await ControlPlane(tmp_path, rules=ask_a_model).source.open()
    async with ControlPlane(tmp_path, rules=RULES) as plane:
        assert sorted(plane.in_force) == ["flood", "words"]


async def test_a_store_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    """No folder, no database, or one of a newer version: the setting is named."""
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "rules.db").write_text("this is no database, " * 100)
    (tmp_path / "newer").mkdir()
    newer = sqlite3.connect(tmp_path / "newer" / "rules.db")
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    for name, reason in (("text", "not a database"), ("newer", "schema 99")):
        with pytest.raises(SettingsError, match=rf"rules_store: .*{reason}"):
            await ControlPlane(tmp_path / name).source.open()
    plane = ControlPlane(tmp_path)
    plane.source._path = tmp_path / "none" / "rules.db"
    with pytest.raises(SettingsError, match=r"rules_store: .*unable to open"):
        await plane.source.open()


async def test_a_full_disk_refuses_changes_and_changes_nothing(tmp_path: Path) -> None:
    """UNAVAILABLE; the old rules stay in force and stored, and changes work again when there is room."""
    async with ControlPlane(tmp_path, rules=RULES) as plane:
        before = plane.gate.ruleset
        store = plane.source._store
        assert store is not None
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        words = "\n".join(os.urandom(8).hex() for _ in range(20_000)).encode()
        chunks = [pb.UploadListRequest(list=pb.List(name="big"), chunk=words)]
        async with Refused.expected(grpc.StatusCode.UNAVAILABLE) as refused:
            await plane.stub.UploadList(iter(chunks))
        assert refused.reason == "STORE_AWAY"
        assert plane.gate.ruleset is before
        store._connection.execute("PRAGMA max_page_count = 1000000")
        await plane.stub.UploadList(iter(chunks))
        assert plane.gate.ruleset is not before


@pytest.mark.e2e
async def test_gates_that_share_a_store_follow_each_other(tmp_path: Path) -> None:
    """What one is told, the other judges by within seconds."""
    async with ControlPlane(tmp_path) as one, ControlPlane(tmp_path) as other:
        await one.stub.CreateRule(pb.CreateRuleRequest(rule=pb.Rule(yaml=ONE)))
        await until(lambda: other.in_force == ["one"])
        assert other.gate.ruleset.revision == one.gate.ruleset.revision


async def test_a_changed_file_is_what_trials_and_reads_see(tmp_path: Path) -> None:
    """In file mode the control plane tells what is in force now, not what was at the start."""
    async with ControlPlane(tmp_path, stored=False, rules=RULES) as plane:
        plane.file.write_text(RULES.replace("id: words", "id: renamed"))
        await until(lambda: "renamed" in plane.in_force)
        listed = await plane.stub.ListRules(pb.ListRulesRequest())
        assert [rule.id for rule in listed.rules] == ["flood", "renamed"]
        assert listed.ruleset_revision == plane.gate.ruleset.revision
