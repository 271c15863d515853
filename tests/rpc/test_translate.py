"""Between the contract's types and the gate's."""

from datetime import UTC, datetime, timedelta
from enum import EnumMeta
from typing import Any

import pytest

from modgate.detectors.base import Span
from modgate.gate import Decision, Fallback, FallbackReason, Match, Outcome, Penalty, RuleTrace, Trace
from modgate.message import Conversation, ConversationType, Media, Message, Receiver, Sender
from modgate.rpc.translate import from_request, to_response
from modgate.rules.ruleset import FallbackPolicy, Notice, PenaltyType, SanctionScope, Verdict
from modgate.v1 import moderation_pb2 as pb

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def full_request() -> pb.ModerateRequest:
    request = pb.ModerateRequest(
        request_id="r",
        app_id="app",
        message=pb.Message(id="m", text="hello", media=[pb.Media(id="p", mime_type="image/png", data=b"1")]),
        sender=pb.Sender(id="ann", name="Ann", roles=["mod"], tags=["vip"]),
        conversation=pb.Conversation(
            id="c",
            type=pb.CONVERSATION_TYPE_ONE_TO_ONE,
            name="chat",
            tags=["t"],
            receiver=pb.Receiver(id="bob", name="Bob", tags=["x"]),
        ),
    )
    request.message.custom.update({"a": {"b": [1.0, "two", None, True]}})
    for stamp in (
        request.message.sent_at,
        request.sender.created_at,
        request.conversation.created_at,
        request.conversation.receiver.created_at,
    ):
        stamp.FromDatetime(NOW)
    return request


def test_every_field_of_a_request_reaches_the_gate() -> None:
    """Nothing that a rule or filter can ask for is lost on the way."""
    assert from_request(full_request()) == Message(
        id="m",
        text="hello",
        app_id="app",
        sent_at=NOW,
        media=(Media("p", "image/png", b"1"),),
        custom={"a": {"b": [1.0, "two", None, True]}},
        sender=Sender("ann", "Ann", ("mod",), ("vip",), NOW),
        conversation=Conversation(
            "c",
            ConversationType.ONE_TO_ONE,
            "chat",
            ("t",),
            NOW,
            Receiver("bob", "Bob", ("x",), NOW),
        ),
    )


def test_what_was_not_said_is_unknown() -> None:
    """Absent times, type and receiver are None, not the epoch or a default."""
    message = from_request(pb.ModerateRequest(message=pb.Message(text="x"), sender=pb.Sender(id="s")))
    assert message.sent_at is None
    assert message.sender.created_at is None
    assert (message.conversation.type, message.conversation.receiver) == (None, None)


def decision() -> Decision:
    match = Match("r", 3, "words", "bad", 0.5, 0.25, (Span(1, 3),), "text", "entry", shadow=True)
    leaf = Trace("words bad", Outcome.TRUE, 0.5, 0.25, 0.001)
    return Decision(
        id="d",
        message=from_request(full_request()),
        verdict=Verdict.MASK,
        flagged=True,
        masked_text="***",
        matches=(match,),
        fallback=Fallback(FallbackReason.OVERLOAD, FallbackPolicy.SEND, ("text",)),
        notice=Notice(notify=True, code=7, reason="no", sees_masked_text=True),
        penalties=(Penalty(PenaltyType.MUTE, SanctionScope.APP, timedelta(hours=1), "r", "again"),),
        elapsed=0.0123,
        budget=0.18,
        timings={"words": 0.001},
        ruleset_revision="rev",
        traces=(
            RuleTrace("r", 3, shadow=True, outcome=Outcome.TRUE, when=Trace("any", Outcome.TRUE, children=(leaf,))),
        ),
    )


def test_every_part_of_a_decision_reaches_the_caller() -> None:
    """Verdict, masks, matches, fallback, notice, penalties, timing and explanation arrive as they are."""
    response = to_response(decision(), "r1", [pb.ModelVersion(name="text-en", version="1")], explain=True)
    assert (response.request_id, response.decision_id, response.ruleset_revision) == ("r1", "d", "rev")
    assert (response.verdict, response.masked_text, response.flagged) == (pb.VERDICT_MASK, "***", True)
    assert list(response.matches) == [
        pb.Match(
            rule_id="r",
            rule_revision=3,
            detector="words",
            label="bad",
            score=0.5,
            threshold=0.25,
            spans=[pb.Span(start=1, end=3)],
            shadow=True,
            part="text",
            evidence="entry",
        )
    ]
    assert response.fallback == pb.Fallback(
        reason=pb.FALLBACK_REASON_OVERLOAD, applied=pb.FALLBACK_POLICY_SEND, unfinished=["text"]
    )
    assert response.sender_notice == pb.SenderNotice(notify=True, code=7, reason="no", sees_masked_text=True)
    (penalty,) = response.penalties
    assert (penalty.type, penalty.scope) == (pb.PENALTY_TYPE_MUTE, pb.SANCTION_SCOPE_APP)
    assert penalty.duration.ToTimedelta() == timedelta(hours=1)
    assert response.timing.total.nanos == 12_300_000
    assert response.timing.budget.nanos == 180_000_000
    assert [model.name for model in response.models] == ["text-en"]
    (rule,) = response.explanation.rules
    assert (rule.shadow, rule.outcome, rule.when.children[0].text) == (True, pb.OUTCOME_TRUE, "words bad")
    assert [step.text for step in response.explanation.steps]


def test_absent_parts_stay_absent() -> None:
    """No fallback, notice or explanation is sent where there is none."""
    plain = Decision("d", from_request(full_request()), Verdict.ALLOW)
    response = to_response(plain, "")
    for field in ("fallback", "sender_notice", "explanation"):
        assert not response.HasField(field)


@pytest.mark.parametrize(
    ("enum", "contract", "prefix"),
    [
        (Verdict, pb.Verdict, "VERDICT_"),
        (FallbackReason, pb.FallbackReason, "FALLBACK_REASON_"),
        (FallbackPolicy, pb.FallbackPolicy, "FALLBACK_POLICY_"),
        (Outcome, pb.Outcome, "OUTCOME_"),
        (PenaltyType, pb.PenaltyType, "PENALTY_TYPE_"),
        (SanctionScope, pb.SanctionScope, "SANCTION_SCOPE_"),
    ],
)
def test_every_value_of_the_gates_enums_has_one_in_the_contract(enum: EnumMeta, contract: Any, prefix: str) -> None:
    """Nothing that the gate can say is without a name in the contract."""
    names = {f"{prefix}{member}" for member in enum.__members__}
    assert names | {f"{prefix}UNSPECIFIED"} == set(contract.keys())
