"""The commands against a control plane that runs: tables for people, JSON for programs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from modgate.cli import history, penalties, review, sanctions
from modgate.cli.errors import Failure
from modgate.review.memory import Memory
from modgate.rpc.review_service import ReviewService
from modgate.rpc.sanction_service import SanctionService
from modgate.rules.ruleset import Verdict
from modgate.storage.settings import StorageSettings
from modgate.v1 import review_pb2_grpc, sanctions_pb2_grpc

Run = Callable[..., Awaitable[str]]

PARTS = {"review": review.app, "sanctions": sanctions.app, "history": history.app, "penalties": penalties.app}


@pytest.fixture
async def run(tmp_path: Path, decide: Any) -> AsyncIterator[Run]:
    memory = Memory(StorageSettings(folder=tmp_path / "state"))
    await memory.start()
    server = grpc.aio.server()
    service = ReviewService(memory.desk, memory.watch, memory.database, memory.sealer, memory.erase_user)
    review_pb2_grpc.add_ReviewServiceServicer_to_server(service, server)
    sanctions_pb2_grpc.add_SanctionServiceServicer_to_server(SanctionService(memory.registry), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    for n in range(6):
        verdict = Verdict.BLOCK if n % 2 else Verdict.ALLOW
        decision = decide(n, verdict=verdict, flagged=n == 1, rule="insults" if n % 2 else "", text=f"words {n}")
        memory.history.before_reply(decision)
        memory.history.after_reply(decision)
    assert await memory.flush()

    async def invoke(part: str, *arguments: str, fails: bool = False, remote: bool = True) -> str:
        command = [*arguments, "--server", f"127.0.0.1:{port}"] if remote else list(arguments)
        root = typer.Typer()
        root.add_typer(PARTS[part], name=part)
        result = await asyncio.to_thread(CliRunner().invoke, root, [part, *command])
        if fails:
            assert isinstance(result.exception, Failure), result.output
            return str(result.exception)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.output

    yield invoke
    await server.stop(0)
    await memory.stop()


async def test_a_moderator_works_through_the_queue(run: Run) -> None:
    """List shows the item, approve decides it, a second decision fails with the winner's name, reviewed has it."""
    (item,) = [json.loads(line) for line in (await run("review", "list", "--json")).splitlines()]
    assert item["decision"]["text"] == "words 1"
    assert item["id"] in await run("review", "list", "--rule", "insults", "--sender", "ann")
    assert await run("review", "ask", item["id"], "--note", "why?", "--as", "mo") == "asked\n"
    assert await run("review", "approve", item["id"], "--as", "mo") == "approved\n"
    assert "mo was faster" in await run("review", "block", item["id"], "--as", "jo", fails=True)
    assert "mo" in await run("review", "reviewed", "--moderator", "mo")


async def test_reports_are_made_with_a_listed_reason(run: Run) -> None:
    """Reasons lists what report takes."""
    assert "spam" in (await run("review", "reasons")).split()
    item = (await run("review", "report", "--reason", "spam", "--reporter", "eve", "--user", "bob")).strip()
    assert item in await run("review", "list", "--reason", "spam")
    refusal = await run("review", "report", "--reason", "no", "--reporter", "eve", "--message", "m1", fails=True)
    assert "must be one of" in refusal


async def test_sanctions_are_imposed_listed_and_lifted(run: Run) -> None:
    """Impose prints the id, list shows it, lift ends it, events tell the story."""
    identity = (await run("sanctions", "impose", "mute", "--user", "ann", "--for", "1h", "--as", "mo")).strip()
    assert identity in await run("sanctions", "list", "--user", "ann")
    assert await run("sanctions", "lift", identity, "--reason", "sorry", "--as", "jo") == "lifted\n"
    assert identity not in await run("sanctions", "list")
    assert identity in await run("sanctions", "list", "--ended")
    events = [json.loads(line) for line in (await run("sanctions", "events", "--json")).splitlines()]
    assert [(event["event"], event["author"]) for event in events] == [("lifted", "jo"), ("imposed", "mo")]
    assert "duration" in await run("sanctions", "impose", "ban", "--user", "ann", "--for", "soon", fails=True)


async def test_the_history_is_searched_exported_and_erased(run: Run, tmp_path: Path) -> None:
    """Search filters, export writes what search finds, erase leaves nothing."""
    assert len((await run("history", "search", "--verdict", "block", "--json")).splitlines()) == 3
    lines, table = tmp_path / "all.jsonl", tmp_path / "all.parquet"
    await run("history", "export", "--out", str(lines))
    await run("history", "export", "--out", str(table), "--format", "parquet")
    exported = [json.loads(line)["decision_id"] for line in lines.read_text().splitlines()]
    assert len(exported) == 6
    assert pq.read_table(table).column("decision_id").to_pylist() == exported
    erased = await run("history", "erase", "ann", "--app", "app", "--yes")
    assert "decisions: 6" in erased
    assert "proof: " in erased
    assert await run("history", "search", "--json") == ""


async def test_a_penalty_is_tried_on_the_history(run: Run, tmp_path: Path) -> None:
    """Simulate tells the same from the server and from an export: one user, three violations, one penalty."""
    options = ("simulate", "--rule", "insults", "--after", "3", "--within", "1m", "--json")
    lines = tmp_path / "all.jsonl"
    await run("history", "export", "--out", str(lines))
    for said in (
        await run("penalties", *options, "--since", "2020-01-01"),
        await run("penalties", *options, "--in", str(lines), remote=False),
    ):
        figures = json.loads(said)
        assert (figures["violations"], figures["violators"], figures["punished"]) == (3, 1, 1)
        assert figures["most_in_a_window"] == {"3": 1}


async def test_what_cannot_be_is_said_in_one_line(run: Run) -> None:
    """Bad times and kinds, and a server that is not there, end with a hint."""
    assert "write 2h" in await run("history", "search", "--since", "yesterdayish", fails=True)
    assert "one_to_one" in await run("history", "search", "--kind", "crowd", fails=True)
    assert "127.0.0.1:1" in await run("review", "list", "--server", "127.0.0.1:1", fails=True, remote=False)
