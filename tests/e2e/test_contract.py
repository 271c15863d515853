"""What any gateway may send, and what comes back."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import struct_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status
from tests.e2e.serving import Server, health, request

from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import moderation_pb2_grpc as pb_grpc

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server")) as server:
        yield server


def raw(server: Server, data: bytes, method: str = "Moderate") -> bytes:
    """Send bytes that no client library would send."""
    with server.channel() as channel:
        call = channel.unary_unary(f"/modgate.v1.ModerationService/{method}", lambda b: b, lambda b: b)
        answer: bytes = call(data, timeout=5)
        return answer


def refusal(server: Server, data: bytes) -> tuple[grpc.StatusCode, dict[str, str]]:
    """Return the status and the field violations of a request that is refused, and check that the next is answered."""
    with pytest.raises(grpc.RpcError) as caught:
        raw(server, data)
    error = caught.value
    assert isinstance(error, grpc.Call)
    fields = {}
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            fields = {violation.field: violation.description for violation in bad.field_violations}
    assert server.ask().verdict == pb.VERDICT_ALLOW
    return error.code(), fields


def nested(levels: int) -> bytes:
    """Return an encoded request whose custom payload is nested so deep."""

    def tagged(number: int, body: bytes) -> bytes:
        size, length = len(body), bytearray()
        while size > 0x7F:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        return bytes([number << 3 | 2]) + bytes([*length, size]) + body

    struct = b""
    for _ in range(levels):
        struct = tagged(1, tagged(1, b"k") + tagged(2, tagged(5, struct)))
    good = request()
    good.message.Clear()
    return good.SerializeToString() + tagged(3, tagged(5, struct))


def test_words_decide(server: Server) -> None:
    """Allow, mask and block, each with what goes with it."""
    clean, masked, blocked = server.ask("hello"), server.ask("what the f.u.c.k"), server.ask("you slurword")
    assert (clean.verdict, list(clean.matches), clean.HasField("fallback")) == (pb.VERDICT_ALLOW, [], False)
    assert (masked.verdict, masked.masked_text) == (pb.VERDICT_MASK, "what the *******")
    assert (blocked.verdict, blocked.flagged, blocked.sender_notice.code) == (pb.VERDICT_BLOCK, True, 508)
    assert [match.rule_id for match in blocked.matches] == ["slurs"]
    assert len(blocked.decision_id) == 32
    assert blocked.ruleset_revision in server.ready


def test_both_listeners_answer_at_once(server: Server) -> None:
    """TCP and the Unix domain socket serve the same gate side by side."""
    with server.channel() as tcp, server.channel(server.socket) as unix:
        calls = [pb_grpc.ModerationServiceStub(channel).Moderate.future(request("slurword")) for channel in (tcp, unix)]
        assert [call.result(5).verdict for call in calls] == [pb.VERDICT_BLOCK] * 2


def test_an_explanation_comes_when_asked_for(server: Server) -> None:
    """Every rule, every condition and the steps that undid the disguise; nothing of it unless asked."""
    answer = server.ask("f.u.c.k", explain=True)
    assert [(rule.rule_id, pb.Outcome.Name(rule.outcome)) for rule in answer.explanation.rules] == [
        ("slurs", "OUTCOME_FALSE"),
        ("profanity", "OUTCOME_TRUE"),
        ("contact", "OUTCOME_FALSE"),
    ]
    assert any(step.text == "fuck" for step in answer.explanation.steps)
    assert not server.ask("f.u.c.k").HasField("explanation")


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (pb.ModerateRequest(), "message"),
        (pb.ModerateRequest(message=pb.Message(text="x")), "sender.id"),
        (request("x" * 65_537), "message.text"),
        (request("ж" * 32_769), "message.text"),
        (request("x", app_id="a" * 129), "app_id"),
        (request("x", media=[pb.Media(id="p")]), "message.media[0]"),
        (request("x", media=[pb.Media(id="p", data=b"1")] * 11), "message.media"),
        (request("x", media=[pb.Media(id="p", data=b"1" * 8_388_609)]), "message.media[0].data"),
    ],
)
def test_a_request_that_breaks_the_contract_is_told_where(
    server: Server, broken: pb.ModerateRequest, field: str
) -> None:
    """INVALID_ARGUMENT names the field, and the next request is unharmed."""
    code, fields = refusal(server, broken.SerializeToString())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert field in fields


def test_all_violations_are_told_at_once(server: Server) -> None:
    """A gateway's author need not find them one by one."""
    broken = request("x" * 65_537, app_id="a" * 129)
    broken.sender.Clear()
    assert set(refusal(server, broken.SerializeToString())[1]) == {"message.text", "app_id", "sender.id"}


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (request("QQQQ").SerializeToString().replace(b"QQQQ", b"\xff\xfe\xfd\xfc"), "message.text"),
        (request("hello there").SerializeToString()[:-9], "conversation"),
        (b"\xff\xff\xff\xff", "request"),
        (nested(10_000), "message.custom"),
        (nested(33), "message.custom"),
        (request().SerializeToString() + b"\x2a\x02\x10\x63", "conversation.type"),
    ],
    ids=["invalid UTF-8", "truncated", "garbage", "10,000 levels", "33 levels", "unknown enum value"],
)
def test_bytes_that_cannot_be_read_are_told_apart(server: Server, data: bytes, field: str) -> None:
    """What protobuf cannot parse is INVALID_ARGUMENT with the field to blame, and the next request is unharmed."""
    code, fields = refusal(server, data)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert any(name.startswith(field) for name in fields), fields


@pytest.mark.parametrize("stamp", ["sender", "conversation", "receiver", "message"])
def test_impossible_times_are_refused(server: Server, stamp: str) -> None:
    """A time beyond the year 9999 is a violation of its field and not a failure of the server."""
    broken = request()
    target = {
        "sender": broken.sender.created_at,
        "conversation": broken.conversation.created_at,
        "receiver": broken.conversation.receiver.created_at,
        "message": broken.message.sent_at,
    }[stamp]
    target.seconds = 10**15
    code, fields = refusal(server, broken.SerializeToString())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert any(stamp in name for name in fields)


def test_a_message_beyond_the_size_limit_is_refused(server: Server) -> None:
    """17 MiB are RESOURCE_EXHAUSTED before anything is read, and the next request is unharmed."""
    code, _ = refusal(server, b"\x1a" + b"\xff" * (17 * 1024 * 1024))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_payload_of_any_shape_is_judged(server: Server) -> None:
    """Strings of lists and structs in the custom payload are judged like text; numbers and nulls are not in the way."""
    custom = struct_pb2.Struct()
    custom.update({"n": 1, "none": None, "list": [{"deep": ["you slurword"]}], "": True})
    message = request("")
    message.message.custom.CopyFrom(custom)
    answer = pb.ModerateResponse.FromString(raw(server, message.SerializeToString()))
    assert [(match.rule_id, match.part) for match in answer.matches] == [("slurs", "custom:list.0.deep.0")]


@pytest.mark.parametrize(
    "text", ["", "🙂🙃", "x" * 8_000, "שלום עולם", "\u202eabc\u202c", "a\u0301" * 4_000, "\x00\x01"]
)
def test_any_text_gets_a_verdict(server: Server, text: str) -> None:
    """Empty, emoji only, long, right to left, heaps of marks, control characters: an answer within the budget."""
    answer = server.ask(text)
    assert answer.verdict == pb.VERDICT_ALLOW
    assert answer.timing.total.ToMilliseconds() < 200


def test_a_message_may_come_twice(server: Server, tmp_path: Path) -> None:
    """A gateway that repeats a call gets the same decision."""
    del server
    with Server(tmp_path, {"models": {"text": "", "images": []}, "recent_seconds": 60}) as remembering:
        message = request("hello")
        message.message.id = "m1"
        with remembering.channel() as channel:
            stub = pb_grpc.ModerationServiceStub(channel)
            first, second = stub.Moderate(message), stub.Moderate(message)
            message.message.text = "edited"
            third = stub.Moderate(message)
        assert first.decision_id == second.decision_id != third.decision_id


def test_health_is_told_by_component(server: Server) -> None:
    """Readiness is the whole; liveness, rules, models and accepting have names of their own, on both planes."""
    names = ("", "readiness", "liveness", "rules", "models", "accepting", "modgate.v1.ModerationService")
    for address in (server.address, server.control):
        with server.channel(address) as channel:
            for name in names:
                assert health(channel, name) == health_pb2.HealthCheckResponse.SERVING


def test_reflection_names_the_services(server: Server) -> None:
    """A tool such as grpcurl can ask what there is."""
    with server.channel() as channel:
        asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        reflect = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        names = {service.name for service in next(reflect(asked, timeout=5)).list_services_response.service}
    assert {"modgate.v1.ModerationService", "grpc.health.v1.Health"} <= names


def test_the_control_plane_is_closed_without_a_token(server: Server) -> None:
    """Whoever shows no token learns nothing, not even which services there are; neither does the wrong token."""
    with server.channel(server.control) as channel:
        for metadata in ((), (("authorization", "Bearer wrong"),)):
            for method in ("ListRules", "NoSuchMethod"):
                call = channel.unary_unary(f"/modgate.v1.RuleService/{method}", lambda b: b, lambda b: b)
                with pytest.raises(grpc.RpcError) as refused:
                    call(b"", metadata=metadata, timeout=5)
                assert isinstance(refused.value, grpc.Call)
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_the_data_plane_serves_no_control(server: Server) -> None:
    """Rules cannot be changed through the address that gateways use."""
    with server.channel() as channel:
        call = channel.unary_unary("/modgate.v1.RuleService/ListRules", lambda b: b, lambda b: b)
        with pytest.raises(grpc.RpcError) as refused:
            call(b"", timeout=5)
        assert isinstance(refused.value, grpc.Call)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_metrics_are_scraped(server: Server) -> None:
    """Verdicts are counted, and the histogram has an edge at the budget."""
    server.ask("you slurword")
    with urllib.request.urlopen(f"http://{server.metrics}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    assert 'modgate_requests_total{verdict="BLOCK"}' in text
    assert 'modgate_request_seconds_bucket{le="0.2"}' in text
    assert 'modgate_rule_hits_total{rule="slurs"}' in text


def test_logs_are_json_and_quote_nobody(server: Server) -> None:
    """Every line is JSON; a decision line names rules and labels, and neither text nor plain ids."""
    server.ask("you slurword, zanzibar")
    lines = [json.loads(line) for line in server.log().splitlines()]
    decisions = [line for line in lines if line["event"] == "decision"]
    assert decisions[-1]["rules"] == ["slurs"]
    assert "zanzibar" not in server.log()
    assert '"ann"' not in server.log()
