"""Everything put together: restarts, a store that is away, a fleet."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.penalties.conftest import make_message, make_rule
from tests.review.conftest import START
from tests.stores import MakeProxy, Postgres, eventually, toxic_proxy

from modgate.gate import Decision
from modgate.penalties import earned_sanction
from modgate.review import HistoryFilter
from modgate.review.memory import Memory
from modgate.rules.ruleset import PenaltyClause, PenaltyType, Verdict
from modgate.storage import Database, JournalError, StoreAwayError, StoreError
from modgate.storage.settings import StorageSettings, ValkeySettings

__all__ = ["toxic_proxy"]

FIVE = PenaltyClause(5, timedelta(minutes=1), PenaltyType.MUTE, duration=timedelta(hours=1))


class Clock:
    """Wall-clock time, moved by hand."""

    at = START

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def judge(memory: Memory, decide: Any, number: int, clock: Clock) -> Decision:
    """Do around one violating message what the gate and the service do."""
    message = make_message(f"m{number}", text="bad words")
    earned = await memory.violations.record(message, [make_rule(FIVE)], clock.at)
    decision: Decision = replace(
        decide(number, verdict=Verdict.BLOCK, rule="insults", flagged=True),
        message=message,
        decided_at=clock.at,
        penalties=earned.penalties,
        penalties_degraded=earned.degraded,
    )
    memory.history.before_reply(decision)
    memory.history.after_reply(decision)
    return decision


async def test_counters_and_sanctions_survive_a_restart(tmp_path: Path, decide: Any, clock: Clock) -> None:
    """Three violations before a restart and two after it are five; the mute survives the next one."""
    settings, rules = StorageSettings(folder=tmp_path), [make_rule(FIVE)]
    earned = []
    for start in (1, 4):
        memory = Memory(settings, now=clock)
        await memory.start(rules)
        for number in range(start, min(start + 3, 6)):
            clock.at += 1
            earned.append(len((await judge(memory, decide, number, clock)).penalties))
        await memory.stop()
    assert earned == [0, 0, 0, 0, 1]
    memory = Memory(settings, now=clock)
    await memory.start(rules)
    assert memory.book.standing(make_message("m9"), clock.at + 1) is not None
    await memory.stop()


async def test_a_sanction_that_never_reached_the_store_is_in_force_after_a_restart(
    tmp_path: Path, decide: Any, clock: Clock
) -> None:
    """What was earned a moment before the process died is read from the journal."""
    memory = Memory(StorageSettings(folder=tmp_path), now=clock)
    # Not started: nothing drains, as if the process was killed at once.
    for number in range(1, 6):
        await judge(memory, decide, number, clock)
    await memory.stop()
    again = Memory(StorageSettings(folder=tmp_path), now=clock)
    (sanction,) = again._undrained_sanctions()
    message = make_message("m5")
    assert sanction.user_id == message.sender.id
    await again.start()
    assert again.book.standing(message, clock.at + 1) is not None
    assert len((await again.registry.page(limit=10))[0]) == 1
    await again.stop()


async def test_a_lifted_sanction_does_not_come_back_from_the_journal(tmp_path: Path, decide: Any, clock: Clock) -> None:
    """The journal still has what a moderator lifted meanwhile; after a restart the user may post all the same."""
    memory = Memory(StorageSettings(folder=tmp_path), now=clock)
    await memory.start()
    for number in range(1, 6):
        await judge(memory, decide, number, clock)
    assert await memory.flush()
    (sanction,), _ = await memory.registry.page(limit=10)
    clock.at += 1
    await memory.registry.lift(sanction.id, author="mo", reason="")
    await memory.stop()
    again = Memory(StorageSettings(folder=tmp_path), now=clock)
    assert len(again._undrained_sanctions()) == 1
    await again.start()
    assert again.book.standing(make_message("m9"), clock.at + 1) is None
    await again.stop()


async def test_two_gates_never_share_a_folder(tmp_path: Path) -> None:
    """The second one is told what to do."""
    memory = Memory(StorageSettings(folder=tmp_path))
    with pytest.raises(JournalError, match=r"storage\.folder"):
        Memory(StorageSettings(folder=tmp_path))
    await memory.stop()


async def test_figures_tell_what_happened(tmp_path: Path, decide: Any, clock: Clock) -> None:
    """Every figure that the metrics show is there and moves."""
    memory = Memory(StorageSettings(folder=tmp_path), now=clock)
    await memory.start()
    for number in range(1, 6):
        await judge(memory, decide, number, clock)
    assert await memory.flush()
    figures = memory.figures()
    assert (figures["history_journaled"], figures["history_stored"], figures["sanctions_in_force"]) == (5, 5, 1)
    assert figures["store_away"] == 0
    await memory.stop()


@pytest.mark.e2e
async def test_a_gate_starts_without_its_store_and_catches_up(
    tmp_path: Path, decide: Any, clock: Clock, postgres_url: str, toxic_proxy: MakeProxy
) -> None:
    """PostgreSQL away at the start and again later: answers are kept in the journal, and nothing is lost."""
    proxy, url = await toxic_proxy(postgres_url)
    await proxy.cut()
    memory = Memory(StorageSettings(folder=tmp_path, database=SecretStr(url)), now=clock)
    await memory.start()
    await judge(memory, decide, 1, clock)
    await proxy.start()
    await eventually(lambda: memory.figures()["history_stored"] == 1, 20)
    await proxy.cut()
    for number in range(2, 5):
        await judge(memory, decide, number, clock)
    await eventually(lambda: memory.figures()["store_away"] == 1, 20)
    await proxy.start()
    await eventually(lambda: memory.figures()["history_stored"] == 4, 20)
    await eventually(lambda: memory.figures()["store_away"] == 0, 20)
    items, _ = await memory.desk.waiting(HistoryFilter(), limit=10)
    assert [item.row["message_id"] for item in items] == ["m1", "m2", "m3", "m4"]
    await memory.stop()


@pytest.mark.e2e
async def test_a_frozen_store_holds_up_nobody_for_long(
    tmp_path: Path, decide: Any, clock: Clock, postgres_url: str, postgres_server: Postgres
) -> None:
    """PostgreSQL frozen with its connections open: questions and stopping end in time, nothing is lost."""
    settings = StorageSettings(folder=tmp_path, database=SecretStr(postgres_url), deadline=1.0)
    memory = Memory(settings, now=clock)
    await memory.start()
    await judge(memory, decide, 1, clock)
    assert await memory.flush()
    with postgres_server.frozen():
        for number in range(2, 5):
            await judge(memory, decide, number, clock)
        async with asyncio.timeout(10):
            with pytest.raises(StoreError):
                await memory.desk.waiting(HistoryFilter(), limit=10)
        async with asyncio.timeout(10):
            await memory.stop()
    again = Memory(settings, now=clock)
    await again.start()
    assert await again.flush()
    items, _ = await again.desk.waiting(HistoryFilter(), limit=10)
    assert [item.row["message_id"] for item in items] == ["m1", "m2", "m3", "m4"]
    await again.stop()


@pytest.mark.e2e
async def test_a_store_that_thaws_is_used_again(
    tmp_path: Path, decide: Any, clock: Clock, postgres_url: str, postgres_server: Postgres
) -> None:
    """What was answered while PostgreSQL was frozen is stored when it goes on, once and in order, without a restart."""
    memory = Memory(StorageSettings(folder=tmp_path, database=SecretStr(postgres_url), deadline=0.5), now=clock)
    await memory.start()
    with postgres_server.frozen():
        for number in range(1, 4):
            await judge(memory, decide, number, clock)
        await eventually(lambda: memory.figures()["store_away"] == 1, 30)
    await eventually(lambda: memory.figures()["store_away"] == 0, 30)
    assert await memory.flush()
    items, _ = await memory.desk.waiting(HistoryFilter(), limit=10)
    assert [item.row["message_id"] for item in items] == ["m1", "m2", "m3"]
    await memory.stop()


@pytest.mark.e2e
def test_a_store_that_refuses_us_is_told_apart_from_one_that_is_gone(postgres_url: str) -> None:
    """The operator reads in the log that the role or password is wrong, and never the password."""
    database = Database(postgres_url.replace("postgresql://modgate@", "postgresql+psycopg://stranger:hunter2@"))
    with pytest.raises(StoreAwayError, match='role "stranger" does not exist') as refused, database.transaction():
        pass
    assert "hunter2" not in str(refused.value)
    database.close()


@pytest.mark.e2e
async def test_gates_on_one_store_hear_of_each_others_sanctions(
    tmp_path: Path, decide: Any, clock: Clock, postgres_url: str
) -> None:
    """Without Valkey the book follows the store: imposed, lifted and erased at the other gate."""
    settings = [StorageSettings(folder=tmp_path / name, database=SecretStr(postgres_url)) for name in ("a", "b")]
    one, two = (Memory(s, now=clock) for s in settings)
    await one.start()
    await two.start()
    for number in range(1, 6):
        await judge(one, decide, number, clock)
    assert await one.flush()
    await two.registry.sync()
    message = make_message("m9")
    assert two.book.standing(message, clock.at + 1) is not None
    clock.at += 5
    (sanction,), _ = await two.registry.page(limit=10)
    await two.registry.lift(sanction.id, author="mo", reason="")
    await one.registry.sync()
    assert one.book.standing(message, clock.at + 1) is None
    fresh = await one.registry.impose(replace(sanction, id=""), seconds=600)
    await two.registry.sync()
    assert two.book.get(fresh.id) is not None
    await two.erase_user("app", "ann", "op")
    await one.registry.sync()
    assert one.book.standing(message, clock.at + 1) is None
    await one.stop()
    await two.stop()


@pytest.mark.e2e
async def test_a_fleet_counts_together_and_bars_together(
    tmp_path: Path, decide: Any, valkey_url: str, clock: Clock
) -> None:
    """Five violations over two gates earn one mute, which both enforce and the gate that saw the fifth stores."""
    shared = ValkeySettings(url=SecretStr(valkey_url), prefix=f"test-{uuid.uuid4().hex}", budget=1.0)
    memories = [Memory(StorageSettings(folder=tmp_path / name, valkey=shared), now=clock) for name in ("a", "b")]
    for memory in memories:
        await memory.start()
    decisions = [await judge(memories[n % 2], decide, n, clock) for n in range(1, 6)]
    assert [len(d.penalties) for d in decisions] == [0, 0, 0, 0, 1]
    message = make_message("m9")
    await eventually(lambda: all(m.book.standing(message, clock.at + 1) is not None for m in memories))
    (penalty,) = decisions[-1].penalties
    assert memories[0].book.get(penalty.sanction_id) == earned_sanction(penalty, decisions[-1].message, clock.at)
    for memory in memories:
        await memory.stop()
