"""SanctionService over a real channel, a real store, and the book that the gate asks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import duration_pb2

from modgate.message import Conversation, ConversationType, Message, Sender
from modgate.review.memory import Memory
from modgate.rpc.sanction_service import SanctionService
from modgate.storage.settings import StorageSettings
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import sanctions_pb2 as spb
from modgate.v1 import sanctions_pb2_grpc

HOUR = duration_pb2.Duration(seconds=3600)
BY_MO = (("modgate-moderator", "mo"),)
MESSAGE = Message(
    id="m1", text="hi", sender=Sender("ann"), conversation=Conversation("c1", ConversationType.GROUP), app_id="app"
)


class Clock:
    """Wall-clock time, moved by hand."""

    at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def memory(tmp_path: Path, clock: Clock) -> AsyncIterator[Memory]:
    memory = Memory(StorageSettings(folder=tmp_path), now=clock)
    await memory.start()
    yield memory
    await memory.stop()


@pytest.fixture
async def stub(memory: Memory) -> AsyncIterator[Any]:
    server = grpc.aio.server()
    sanctions_pb2_grpc.add_SanctionServiceServicer_to_server(SanctionService(memory.registry), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield sanctions_pb2_grpc.SanctionServiceStub(channel)
    await server.stop(0)


def mute(**changes: Any) -> spb.Sanction:
    fields: dict[str, Any] = {"app_id": "app", "user_id": "ann", "conversation_id": "c1", "reason": "rude"}
    return spb.Sanction(**({"type": pb.PENALTY_TYPE_MUTE} | fields | changes))


async def test_a_sanction_is_in_force_at_once_and_ends_by_itself(memory: Memory, stub: Any, clock: Clock) -> None:
    """From the answer on the gate bars the sender, until the time is over."""
    answer = await stub.ImposeSanction(spb.ImposeSanctionRequest(sanction=mute(), duration=HOUR), metadata=BY_MO)
    assert (answer.sanction.author, answer.sanction.scope) == ("mo", pb.SANCTION_SCOPE_CONVERSATION)
    standing = memory.book.standing(MESSAGE, clock.at)
    assert standing is not None
    assert standing.notice.reason == "muted, 1h left: rude"
    assert memory.book.standing(MESSAGE, clock.at + 3600) is None


async def test_lifting_ends_it_at_once_and_twice_is_not_found(memory: Memory, stub: Any, clock: Clock) -> None:
    """A lifted sanction bars nobody, and cannot be lifted again."""
    imposed = (await stub.ImposeSanction(spb.ImposeSanctionRequest(sanction=mute()))).sanction
    lifted = await stub.LiftSanction(spb.LiftSanctionRequest(id=imposed.id, reason="sorry"), metadata=BY_MO)
    assert lifted.sanction.HasField("lifted_at")
    assert memory.book.standing(MESSAGE, clock.at) is None
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.LiftSanction(spb.LiftSanctionRequest(id=imposed.id))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_every_change_is_in_the_audit_trail(memory: Memory, stub: Any, clock: Clock) -> None:
    """Imposed, lifted and expired are there, with who and why, newest first."""
    first = (await stub.ImposeSanction(spb.ImposeSanctionRequest(sanction=mute(), duration=HOUR))).sanction
    clock.at += 1
    second = (await stub.ImposeSanction(spb.ImposeSanctionRequest(sanction=mute(), duration=HOUR))).sanction
    clock.at += 1
    await stub.LiftSanction(spb.LiftSanctionRequest(id=second.id, reason="mercy"), metadata=BY_MO)
    clock.at += 3600
    await memory._keep_in_step()
    events = (await stub.ListSanctionEvents(spb.ListSanctionEventsRequest())).events
    assert [(e.sanction_id, e.event) for e in events] == [
        (first.id, "expired"),
        (second.id, "lifted"),
        (second.id, "imposed"),
        (first.id, "imposed"),
    ]
    assert (events[1].author, events[1].reason) == ("mo", "mercy")
    only = await stub.ListSanctionEvents(spb.ListSanctionEventsRequest(sanction_id=first.id, page_size=1))
    assert [e.event for e in only.events] == ["expired"]
    assert only.next_page_token


async def test_lists_page_newest_first_and_leave_out_what_ended(stub: Any, clock: Clock) -> None:
    """By default only what is in force is listed; ended ones on request."""
    for index in range(5):
        duration = HOUR if index else None
        await stub.ImposeSanction(spb.ImposeSanctionRequest(sanction=mute(user_id=f"u{index}"), duration=duration))
    clock.at += 4000
    assert [s.user_id for s in (await stub.ListSanctions(spb.ListSanctionsRequest())).sanctions] == ["u0"]
    request = spb.ListSanctionsRequest(include_ended=True, page_size=3)
    first = await stub.ListSanctions(request)
    request.page_token = first.next_page_token
    rest = await stub.ListSanctions(request)
    assert len({s.id for s in [*first.sanctions, *rest.sanctions]}) == 5
    only = await stub.ListSanctions(spb.ListSanctionsRequest(user_id="u3", include_ended=True))
    assert [s.user_id for s in only.sanctions] == ["u3"]


@pytest.mark.parametrize(
    ("sanction", "field"),
    [
        (spb.Sanction(user_id="ann"), "sanction.type"),
        (spb.Sanction(type=pb.PENALTY_TYPE_BAN), "sanction.user_id"),
        (mute(conversation_id="", scope=pb.SANCTION_SCOPE_CONVERSATION), "sanction.conversation_id"),
        (mute(target=spb.SANCTION_TARGET_USER_FOR_USER), "sanction.for_user_id"),
        (mute(target=spb.SANCTION_TARGET_CONVERSATION, type=pb.PENALTY_TYPE_BAN), "sanction.type"),
        (mute(user_id="x" * 300), "sanction.user_id"),
    ],
)
async def test_a_sanction_that_makes_no_sense_is_refused(stub: Any, sanction: spb.Sanction, field: str) -> None:
    """INVALID_ARGUMENT names the field that is wrong."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ImposeSanction(spb.ImposeSanctionRequest(sanction=sanction))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert field in str(refused.value.details())


async def test_sanctions_survive_a_restart(memory: Memory, stub: Any, tmp_path: Path, clock: Clock) -> None:
    """What was imposed before a restart is in force after it."""
    await stub.ImposeSanction(spb.ImposeSanctionRequest(sanction=mute(), duration=HOUR))
    await memory.stop()
    again = Memory(StorageSettings(folder=tmp_path), now=clock)
    await again.start()
    assert again.book.standing(MESSAGE, clock.at) is not None
    await again.stop()
