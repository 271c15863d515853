"""`modgate rules` and `modgate lists` against a control plane that runs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.rpc.control_plane import ONE, TWO, ControlPlane
from typer.testing import CliRunner

from modgate.cli.app import app
from modgate.cli.errors import Failure

Run = Callable[..., Awaitable[str]]


@pytest.fixture
async def plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    async with ControlPlane(tmp_path) as plane:
        yield plane


@pytest.fixture
def run(plane: ControlPlane, tmp_path: Path) -> Run:
    (tmp_path / "one.yaml").write_text(ONE)
    (tmp_path / "two.yaml").write_text(TWO)
    (tmp_path / "bad.txt").write_text("# my list\nbadword\nworseword\n")

    async def invoke(*arguments: str, fails: bool = False, says: str | None = None) -> str:
        command = [argument.replace("DIR", str(tmp_path)) for argument in arguments]
        command += ["--server", f"127.0.0.1:{plane.port}"]
        result = await asyncio.to_thread(CliRunner().invoke, app, command, says)
        if fails:
            assert isinstance(result.exception, Failure), result.output
            return str(result.exception)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    return invoke


async def test_a_rule_lives_from_the_command_line(plane: ControlPlane, run: Run) -> None:
    """Create, get, update, list, revisions, rollback and delete, with the author that is named."""
    assert "created one, revision 1, live; ruleset" in await run("rules", "create", "DIR/one.yaml", "--as", "ann")
    assert await run("rules", "get", "one") == ONE
    changed = ONE.replace("mask", "block")
    assert "updated one, revision 2" in await run("rules", "update", "one", "-", "--as", "bob", says=changed)
    listed = json.loads(await run("rules", "list", "--json"))
    assert (listed["id"], listed["revision"], listed["author"]) == ("one", "2", "bob")
    assert (await run("rules", "list", "--mode", "shadow")).splitlines() == ["id\tmode\trevision\tchanged\tauthor"]
    assert "revision 3" in await run("rules", "rollback", "one", "1")
    assert plane.gate.ruleset.rules[0].revision == 3
    assert "deleted one" in await run("rules", "delete", "one")
    rows = [line.split("\t") for line in (await run("rules", "revisions", "one")).splitlines()]
    assert [(row[0], row[1]) for row in rows[1:]] == [("4", "deleted"), ("3", "live"), ("2", "live"), ("1", "live")]
    assert [row[3] for row in rows[1:]][2:] == ["bob", "ann"]
    assert await run("rules", "get", "one", "--revision", "2") == changed
    assert "revision 5" in await run("rules", "rollback", "one", "2")
    assert plane.in_force == ["one"]


async def test_a_list_lives_from_the_command_line(run: Run) -> None:
    """Upload, get, add, remove, list and delete; what is downloaded can be uploaded again."""
    assert "uploaded bad, 2 entries, revision 1" in await run("lists", "upload", "bad", "DIR/bad.txt")
    await run("rules", "create", "DIR/two.yaml")
    assert "VERDICT_BLOCK" not in await run("rules", "try", "a thirdword", "--json")
    assert "3 entries, revision 2" in await run("lists", "add", "bad", "thirdword")
    assert "VERDICT_BLOCK" in await run("rules", "try", "a thirdword", "--json")
    assert "2 entries" in await run("lists", "remove", "bad", "badword")
    assert await run("lists", "get", "bad") == "worseword\nthirdword\n"
    assert "2 entries" in await run("lists", "get", "bad", "--out", "DIR/again.txt")
    assert "uploaded again, 2 entries" in await run("lists", "upload", "again", "DIR/again.txt", "--kind", "domains")
    rows = [line.split("\t") for line in (await run("lists", "list")).splitlines()]
    assert [row[:4] for row in rows[1:]] == [["again", "domains", "2", "1"], ["bad", "words", "2", "3"]]
    told = [json.loads(line) for line in (await run("lists", "list", "--json")).splitlines()]
    assert [(item["name"], item["yaml"]) for item in told] == [("again", "kind: domains\n"), ("bad", "kind: words")]
    assert "is used by two" in await run("lists", "delete", "bad", fails=True)
    assert "deleted again" in await run("lists", "delete", "again")


async def test_a_rule_is_tried_before_it_is_saved(run: Run) -> None:
    """The answer is explained as `modgate explain` does; nothing is saved."""
    told = await run("rules", "try", "write to joe@example.com", "--file", "DIR/one.yaml")
    assert told.startswith("MASK")
    assert "rule    one: true" in told
    assert await run("rules", "list", "--json") == ""


async def test_somebody_elses_change_is_not_overwritten(run: Run) -> None:
    """With the etag that was read, a newer revision is a failure that says so."""
    await run("rules", "create", "DIR/one.yaml")
    etag = json.loads(await run("rules", "get", "one", "--json"))["etag"]
    await run("rules", "update", "one", "DIR/one.yaml", "--etag", etag)
    refusal = await run("rules", "update", "one", "DIR/one.yaml", "--etag", etag, fails=True)
    assert "has been changed since you read it" in refusal


async def test_all_problems_of_a_rule_are_printed(run: Run) -> None:
    """One line each, with place and a corrected example."""
    text = "id: one\nwhen: {pii: [email]}\nthen: {action: blok}\nmodee: live\n"
    lines = (await run("rules", "create", "-", says=text, fails=True)).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["rule.yaml.then.action", "rule.yaml.modee"]


async def test_what_cannot_be_read_or_reached_is_one_line(run: Run) -> None:
    """Missing files, wrong options and absent servers end with a reason."""
    assert "cannot read" in await run("rules", "create", "DIR/none.yaml", fails=True)
    assert "cannot read" in await run("lists", "upload", "bad", "DIR/none.txt", fails=True)
    both = ("--kind", "words", "--settings", "DIR/one.yaml")
    assert "put it into the file" in await run("lists", "upload", "bad", "DIR/bad.txt", *both, fails=True)
    assert "cannot read" in await run("rules", "list", "--ca", "DIR/none.pem", fails=True)
    assert 'there is no rule "none"' in await run("rules", "get", "none", fails=True)
    away = await asyncio.to_thread(CliRunner().invoke, app, ["rules", "list", "--server", "127.0.0.1:1"])
    assert isinstance(away.exception, Failure)
    assert "127.0.0.1:1" in str(away.exception)
