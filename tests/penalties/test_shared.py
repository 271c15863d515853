"""Counters that two gates share, and what happens when the server between them misbehaves."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.stores import MakeProxy, eventually, toxic_proxy, valkey_url

from modgate.penalties import LocalViolations, Sanction, SanctionBook, SanctionTarget
from modgate.penalties.replica import SanctionReplica
from modgate.penalties.shared import SharedViolations
from modgate.rules.ruleset import Mode, PenaltyClause, PenaltyType, SanctionScope
from modgate.storage import CircuitBreaker
from modgate.storage.valkey import connect

__all__ = ["toxic_proxy", "valkey_url"]
pytestmark = pytest.mark.e2e

FIVE = PenaltyClause(5, timedelta(minutes=1), PenaltyType.MUTE, duration=timedelta(hours=1))
NOW = 1_800_000_000.0

MakeGate = Callable[..., SharedViolations]


@pytest.fixture
async def gate(valkey_url: str) -> AsyncIterator[MakeGate]:
    made: list[SharedViolations] = []
    prefix = f"test-{uuid.uuid4().hex}"

    def make(url: str = valkey_url, budget: float = 1.0, **options: Any) -> SharedViolations:
        breaker = CircuitBreaker(failures=3, pause=0.1, longest=0.2, monotonic=time.monotonic)
        book = options.pop("book", SanctionBook())
        shared = SharedViolations(
            LocalViolations(book), connect(url), prefix=prefix, budget=budget, breaker=breaker, **options
        )
        made.append(shared)
        return shared

    yield make
    for shared in made:
        await shared.close()


async def test_the_fifth_violation_earns_the_penalty_once_whichever_gate_sees_it(make: Any, gate: MakeGate) -> None:
    """Of nine concurrent violations over two gates, exactly one is the fifth."""
    gates = gate(), gate()
    rule = make.rule(FIVE)

    async def trial(user: str) -> int:
        earned = await asyncio.gather(
            *(gates[n % 2].record(make.message(f"{user}-{n}", sender=user), [rule], NOW) for n in range(9))
        )
        assert not any(e.degraded for e in earned)
        return sum(len(e.penalties) for e in earned)

    for start in range(0, 100, 10):
        assert await asyncio.gather(*(trial(f"u{n}") for n in range(start, start + 10))) == [1] * 10


async def test_a_message_repeated_at_the_other_gate_gets_the_same_penalty(make: Any, gate: MakeGate) -> None:
    """Idempotent by message id across gates: same outcome, same sanction id, counted once."""
    one, two = gate(), gate()
    rule = make.rule(FIVE)
    for n in range(4):
        await one.record(make.message(f"m{n}"), [rule], NOW)
        await two.record(make.message(f"m{n}"), [rule], NOW)
    first = await one.record(make.message("m4"), [rule], NOW)
    again = await two.record(make.message("m4"), [rule], NOW + 1)
    assert first.penalties == again.penalties
    assert len(first.penalties) == 1


async def test_weights_cool_down_shadow_and_permanence_hold_in_the_fleet_too(make: Any, gate: MakeGate) -> None:
    """The shared counters keep the rules of the local ones."""
    shared = gate()
    minute = timedelta(minutes=1)
    heavy = PenaltyClause(10, minute, PenaltyType.MUTE, weight=4, duration=minute)
    lasting = PenaltyClause(2, minute, PenaltyType.BAN, weight=100)
    cooling = PenaltyClause(2, minute, PenaltyType.KICK, cooldown=minute)
    fading = PenaltyClause(3, minute, PenaltyType.KICK, decay=timedelta(milliseconds=1))
    watched = make.rule(PenaltyClause(2, minute, PenaltyType.BAN), mode=Mode.SHADOW, identity="watched")
    rules = [
        make.rule(clause, identity=name)
        for name, clause in {"heavy": heavy, "lasting": lasting, "cooling": cooling, "fading": fading}.items()
    ]
    outcomes = []
    for n in range(4):
        earned = await shared.record(make.message(f"m{n}"), [*rules, watched], NOW)
        outcomes.append(([p.rule_id for p in earned.penalties], [p.rule_id for p in earned.shadow]))
        await asyncio.sleep(0.02)
    assert outcomes == [
        ([], []),
        (["lasting", "cooling"], ["watched"]),
        (["heavy"], []),
        (["lasting"], ["watched"]),
    ]


async def test_a_window_slides_by_the_servers_clock(make: Any, gate: MakeGate) -> None:
    """Violations that left the window no longer count."""
    shared = gate()
    rule = make.rule(PenaltyClause(2, timedelta(milliseconds=200), PenaltyType.KICK))
    assert not (await shared.record(make.message("m1"), [rule], NOW)).penalties
    await asyncio.sleep(0.25)
    assert not (await shared.record(make.message("m2"), [rule], NOW)).penalties
    assert (await shared.record(make.message("m3"), [rule], NOW)).penalties


async def test_a_slow_server_costs_the_budget_a_few_times_and_then_nothing(
    make: Any, gate: MakeGate, valkey_url: str, toxic_proxy: MakeProxy
) -> None:
    """With answers held back 500 ms, local counters go on, marked; once the server is quick again, it is asked."""
    proxy, address = await toxic_proxy(valkey_url)
    shared = gate(address, budget=0.02)
    rule = make.rule(FIVE)
    await shared.record(make.message("warm", sender="zoe"), [rule], NOW)
    proxy.delay = 0.5
    earned = [await shared.record(make.message(f"m{n}"), [rule], NOW) for n in range(5)]
    assert all(e.degraded for e in earned)
    assert [len(e.penalties) for e in earned] == [0, 0, 0, 0, 1]
    assert shared.breaker.open
    proxy.delay = 0.0

    async def shared_again() -> bool:
        return not (await shared.record(make.message(uuid.uuid4().hex, sender="bob"), [rule], NOW)).degraded

    await eventually(shared_again)


async def test_a_server_that_goes_away_is_used_again_when_it_is_back(
    make: Any, gate: MakeGate, valkey_url: str, toxic_proxy: MakeProxy
) -> None:
    """Away: local and marked. Back: shared again, without a restart."""
    proxy, address = await toxic_proxy(valkey_url)
    shared = gate(address, budget=0.2)
    rule = make.rule(FIVE)
    assert not (await shared.record(make.message("m1"), [rule], NOW)).degraded
    await proxy.cut()
    for n in range(2, 5):
        assert (await shared.record(make.message(f"m{n}"), [rule], NOW)).degraded
    # The local counters saw the first one as well.
    assert (await shared.record(make.message("m5"), [rule], NOW)).penalties
    await proxy.start()

    async def shared_again() -> bool:
        return not (await shared.record(make.message(uuid.uuid4().hex, sender="bob"), [rule], NOW)).degraded

    await eventually(shared_again)


async def test_an_answer_that_comes_too_late_still_puts_the_sanction_in_force(
    make: Any, gate: MakeGate, valkey_url: str, toxic_proxy: MakeProxy
) -> None:
    """The gateway was not told, but the gate bars the sender."""
    proxy, address = await toxic_proxy(valkey_url)
    late: list[Sanction] = []
    book = SanctionBook()
    other, slow = gate(), gate(address, budget=0.02, late=late.append, book=book)
    rule = make.rule(FIVE)
    await slow.record(make.message("warm", sender="zoe"), [rule], NOW)
    for n in range(4):
        await other.record(make.message(f"m{n}"), [rule], NOW)
    proxy.delay = 0.2
    told = await slow.record(make.message("m4"), [rule], NOW)
    assert told.degraded
    assert not told.penalties
    await eventually(lambda: bool(late))
    assert book.standing(make.message("m5"), NOW) is not None


async def test_erasing_a_user_removes_the_shared_counters(make: Any, gate: MakeGate) -> None:
    """After erasure the user starts from nothing in the fleet too."""
    shared = gate()
    rule = make.rule(FIVE)
    for n in range(4):
        await shared.record(make.message(f"m{n}"), [rule], NOW)
    assert await shared.erase_user("app", "ann") > 0
    fresh = gate()
    assert not (await fresh.record(make.message("m9"), [rule], NOW)).penalties


async def test_sanctions_reach_the_other_gates_and_survive_a_server_that_forgets(make: Any, valkey_url: str) -> None:
    """Imposed, lifted and erased at one gate: so at the other, soon; and after the server lost its memory."""
    prefix = f"test-{uuid.uuid4().hex}"
    clients = [connect(valkey_url) for _ in range(3)]
    books = [SanctionBook() for _ in range(2)]
    replicas = [
        SanctionReplica(book, client, prefix=prefix, sync_every=0.2, now=lambda: NOW)
        for book, client in zip(books, clients, strict=False)
    ]
    tasks = [asyncio.create_task(replica.run()) for replica in replicas]

    mute = Sanction("s1", "app", SanctionTarget.USER, PenaltyType.MUTE, SanctionScope.APP, "ann", imposed_at=NOW)
    books[0].put(mute)
    replicas[0].publish(mute)
    await eventually(lambda: books[1].standing(make.message(), NOW) is not None)
    plain: Any = clients[2]
    await plain.delete(f"{prefix}:sanctions")
    books[1].remove("s1")
    await eventually(lambda: books[1].standing(make.message(), NOW) is not None)
    replicas[1].forget("app", "ann")
    await eventually(lambda: books[0].standing(make.message(), NOW) is None)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for client in clients:
        await client.aclose()
