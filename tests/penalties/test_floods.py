"""Floods that a sender spreads over the gates of a fleet."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from tests.stores import MakeProxy, eventually, toxic_proxy, valkey_url

from modgate.detectors.base import Subject
from modgate.detectors.flood import FloodDetector, FloodInspector, FloodQuestion, Measure
from modgate.message import Conversation, Message, Sender
from modgate.penalties.floods import SharedFloods
from modgate.storage.valkey import connect

__all__ = ["toxic_proxy", "valkey_url"]
pytestmark = pytest.mark.e2e

MESSAGES = FloodQuestion("many", Measure.MESSAGES, 6, 60)
DUPLICATES = FloodQuestion("same", Measure.DUPLICATES, 4, 60)
SPAM = "Buy cheap gold at my shop, best prices in the whole game today"
NOW = 1_800_000_000.0


class Gate:
    """A flood detector and its share of the server."""

    def __init__(self, url: str, prefix: str, *questions: FloodQuestion) -> None:
        self.client = connect(url)
        self.detector = FloodDetector()
        self.shared = SharedFloods(self.detector, self.client, prefix=prefix, now=lambda: NOW)
        self.detector.share(self.shared)
        self.inspector: FloodInspector = self.detector.configure(questions or (MESSAGES,))
        self.task = asyncio.create_task(self.shared.run())

    async def post(self, number: object, text: str = "hi", sender: str = "ann") -> list[str]:
        message = Message(f"m{number}", text, Sender(sender), Conversation("c"), app_id="app")
        found = sorted(self.inspector.inspect(Subject(message, {"text": text}, NOW)))
        # As long as a sender needs to type: the exchange is done, if there is a server.
        await asyncio.sleep(0.05)
        return found

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.client.aclose()


MakeGate = Callable[..., Gate]


@pytest.fixture
async def gate(valkey_url: str) -> AsyncIterator[MakeGate]:
    made: list[Gate] = []
    prefix = f"test-{uuid.uuid4().hex}"

    def make(*questions: FloodQuestion, url: str = valkey_url) -> Gate:
        made.append(Gate(url, prefix, *questions))
        return made[-1]

    yield make
    for one in made:
        await one.stop()


async def first_found(gates: list[Gate], text: Callable[[int], str] = lambda _: "hi") -> int:
    """Post in turns over the gates, and return the number of the first message that is found."""
    for number in range(1, 30):
        if await gates[number % len(gates)].post(number, text(number)):
            return number
    return 0


@pytest.mark.parametrize("gates", [1, 2, 3])
async def test_a_sender_who_spreads_messages_over_gates_is_found_one_message_later_a_gate(
    gate: MakeGate, gates: int
) -> None:
    """Six in a minute, over one, two and three gates: the sixth message, the seventh, the eighth at the latest."""
    assert 6 <= await first_found([gate() for _ in range(gates)]) <= 6 + gates - 1


async def test_near_duplicates_are_known_to_the_other_gate(gate: MakeGate) -> None:
    """Fingerprints mean the same in every process."""
    gates = [gate(DUPLICATES), gate(DUPLICATES)]
    assert 4 <= await first_found(gates, lambda number: f"{SPAM} x{number}") <= 5


async def test_a_message_sent_to_both_gates_counts_once(gate: MakeGate) -> None:
    """A gateway that repeats a call at the other gate makes nobody a flooder."""
    one, two = gate(), gate()
    for number in range(1, 6):
        assert await one.post(number) == []
        assert await two.post(number) == []


async def test_other_senders_are_not_counted(gate: MakeGate) -> None:
    """What the other gate saw of others does not matter."""
    one, two = gate(), gate()
    for number in range(1, 6):
        await one.post(f"a{number}", sender="bob")
        assert await two.post(f"b{number}") == []


async def test_without_the_server_every_gate_counts_for_itself(
    gate: MakeGate, valkey_url: str, toxic_proxy: MakeProxy
) -> None:
    """Away: the local count is what it would be alone, at once. Back: shared again, without a restart."""
    proxy, url = await toxic_proxy(valkey_url)
    one, two = gate(url=url), gate()
    await proxy.cut()
    assert [await one.post(n) for n in range(6)] == [[]] * 5 + [["many"]]
    await eventually(lambda: one.shared.away)
    await proxy.start()

    async def shared_again() -> bool:
        name = uuid.uuid4().hex
        found = [await (one, two)[n % 2].post(f"{name}{n}", sender=name) for n in range(8)]
        return any(found)

    await eventually(shared_again, 20)
    assert not one.shared.away


async def test_an_erased_sender_starts_from_nothing(gate: MakeGate) -> None:
    """Here and on the server."""
    one, two = gate(), gate()
    for number in range(1, 6):
        await one.post(number)
    assert await one.shared.erase_user("app", "ann") == 1
    assert await two.post(6) == []
    assert await one.post(7) == []
