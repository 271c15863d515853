"""A server for the fleet's counters that is there and answers with errors."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from benchmarks._stores import MissingServerError, free_port, valkey
from tests.stores import eventually

from modgate.detectors.base import Subject
from modgate.detectors.flood import FloodDetector, FloodQuestion, Measure
from modgate.penalties import LocalViolations, Sanction, SanctionBook, SanctionTarget
from modgate.penalties.floods import SharedFloods
from modgate.penalties.replica import SanctionReplica
from modgate.penalties.shared import SharedViolations
from modgate.rules.ruleset import PenaltyClause, PenaltyType, SanctionScope
from modgate.storage import CircuitBreaker
from modgate.storage.valkey import AWAY, connect

pytestmark = pytest.mark.e2e

FIVE = PenaltyClause(5, timedelta(minutes=1), PenaltyType.MUTE, duration=timedelta(hours=1))
NOW = 1_800_000_000.0
NOBODY = f"127.0.0.1 {free_port()}"

TROUBLES = {
    "no memory left": (["CONFIG SET maxmemory 1"], ["CONFIG SET maxmemory 0"]),
    "became a replica": ([f"REPLICAOF {NOBODY}"], ["REPLICAOF NO ONE"]),
    "replica without its primary": (
        ["CONFIG SET replica-serve-stale-data no", f"REPLICAOF {NOBODY}"],
        ["REPLICAOF NO ONE", "CONFIG SET replica-serve-stale-data yes"],
    ),
    "another password": (["CONFIG SET requirepass hunter2", "CLIENT KILL TYPE normal"], ["CONFIG SET requirepass ''"]),
    "no rights": (["ACL SETUSER default -@write"], ["ACL SETUSER default +@all"]),
    "scripts lost": (["SCRIPT FLUSH"], []),
}


@pytest.fixture(scope="module")
def own_server() -> Iterator[str]:
    """A server of this module's own: its settings are changed."""
    try:
        with valkey() as url:
            yield url
    except MissingServerError as error:
        pytest.skip(str(error))


class Fleet:
    """One gate's share of the server, and an operator who breaks it."""

    def __init__(self, url: str) -> None:
        prefix = f"test-{uuid.uuid4().hex}"
        self.client = connect(url)
        self.operator: Any = connect(url)
        self.other: Any = connect(url)
        self.book = SanctionBook()
        breaker = CircuitBreaker(failures=3, pause=0.1, longest=0.2, monotonic=time.monotonic)
        self.violations = SharedViolations(
            LocalViolations(self.book), self.client, prefix=prefix, budget=0.2, breaker=breaker
        )
        self.replica = SanctionReplica(self.book, self.client, prefix=prefix, sync_every=0.2, now=lambda: NOW)
        self.detector = FloodDetector()
        self.floods = SharedFloods(self.detector, self.client, prefix=prefix, now=lambda: NOW)
        self.detector.share(self.floods)
        self.inspector = self.detector.configure([FloodQuestion("many", Measure.MESSAGES, 3, 60)])
        self.tasks = [asyncio.create_task(part.run()) for part in (self.replica, self.floods)]
        self.prefix = prefix

    async def say(self, commands: list[str]) -> None:
        for command in commands:
            # An operator whose own connection was killed comes again.
            for _ in range(2):
                with suppress(*AWAY):
                    await self.operator.execute_command(*(word.strip("'") for word in command.split(" ")))
                    break

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for client in (self.client, self.operator, self.other):
            await client.aclose()


@pytest.fixture
async def fleet(own_server: str) -> AsyncIterator[Fleet]:
    fleet = Fleet(own_server)
    yield fleet
    for _, cure in TROUBLES.values():
        await fleet.say(cure)
    await fleet.stop()


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_errors_of_the_server_cost_the_fleets_view_and_nothing_else(
    make: Any, fleet: Fleet, trouble: str
) -> None:
    """Verdicts go on, counted locally and marked; sanctions and floods stay local; shared again without a restart."""
    rule = make.rule(FIVE)
    break_it, cure = TROUBLES[trouble]
    assert not (await fleet.violations.record(make.message("m0", sender="zoe"), [rule], NOW)).degraded
    await fleet.say(break_it)
    earned = [await fleet.violations.record(make.message(f"m{n}"), [rule], NOW) for n in range(1, 6)]
    assert [len(e.penalties) for e in earned] == [0, 0, 0, 0, 1]
    found = []
    for number in range(3):
        message = make.message(f"f{number}")
        found.append(bool(fleet.inspector.inspect(Subject(message, {"text": "hi"}, NOW))))
    assert found == [False, False, True]
    assert fleet.book.standing(make.message(), NOW) is not None
    if cure:
        await eventually(lambda: fleet.floods.away or fleet.replica.away)
        await fleet.say(cure)
    # A counter is begun by making room, and such a script may go on without memory.
    assert all(e.degraded for e in earned) or trouble in {"no memory left", "scripts lost"}

    async def shared_again() -> bool:
        message = make.message(uuid.uuid4().hex, sender="bob")
        fleet.inspector.inspect(Subject(message, {"text": "hi"}, NOW))
        fresh = await fleet.violations.record(message, [rule], NOW)
        return not (fresh.degraded or fleet.replica.away or fleet.floods.away)

    await eventually(shared_again, 20)
    # What was imposed meanwhile is told.
    hall = f"{fleet.prefix}:sanctions"
    identity = earned[-1].penalties[0].sanction_id
    await eventually(lambda: _has(fleet.other, hall, identity), 20)


async def _has(client: Any, hall: str, identity: str) -> bool:
    return bool(await client.hexists(hall, identity))


async def test_what_is_no_sanction_does_not_stop_the_sharing(make: Any, fleet: Fleet) -> None:
    """A foreign entry, or one of a version to come, is left alone; the others arrive."""
    hall = f"{fleet.prefix}:sanctions"
    await fleet.other.hset(hall, "s0", "no json")
    await fleet.other.hset(hall, "s1", '{"id": "s1", "colour": "blue"}')
    await fleet.other.publish(f"{hall}:changes", "[1]")
    mute = Sanction("s2", "app", SanctionTarget.USER, PenaltyType.MUTE, SanctionScope.APP, "ann", imposed_at=NOW)
    fleet.book.put(mute)
    fleet.replica.publish(mute)
    await eventually(lambda: _has(fleet.other, hall, "s2"))
    fleet.book.remove("s2")
    await eventually(lambda: fleet.book.standing(make.message(), NOW) is not None)
    assert not any(task.done() for task in fleet.tasks)
