"""Between the contract's types and the gate's: nothing is decided here."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2

from modgate.gate import Decision, Fallback, Match, Outcome, Penalty, RuleTrace, StandingSanction, Trace
from modgate.inference.bundle import Bundle
from modgate.message import Conversation, ConversationType, Media, Message, Receiver, Sender
from modgate.rules.ruleset import FallbackPolicy, PenaltyType, SanctionScope, Verdict
from modgate.text import fold
from modgate.v1 import moderation_pb2 as pb

__all__ = ["from_request", "model_versions", "to_match", "to_penalty", "to_response"]

_TYPES = {
    pb.CONVERSATION_TYPE_ONE_TO_ONE: ConversationType.ONE_TO_ONE,
    pb.CONVERSATION_TYPE_GROUP: ConversationType.GROUP,
    pb.CONVERSATION_TYPE_ROOM: ConversationType.ROOM,
}
_VERDICTS = {
    Verdict.ALLOW: pb.VERDICT_ALLOW,
    Verdict.MASK: pb.VERDICT_MASK,
    Verdict.BLOCK: pb.VERDICT_BLOCK,
}
_POLICIES = {
    FallbackPolicy.SEND: pb.FALLBACK_POLICY_SEND,
    FallbackPolicy.BLOCK: pb.FALLBACK_POLICY_BLOCK,
}
_OUTCOMES = {outcome: pb.Outcome.Value(f"OUTCOME_{outcome.name}") for outcome in Outcome}
_PENALTIES = {kind: pb.PenaltyType.Value(f"PENALTY_TYPE_{kind.name}") for kind in PenaltyType}
_SCOPES = {scope: pb.SanctionScope.Value(f"SANCTION_SCOPE_{scope.name}") for scope in SanctionScope}


def from_request(request: pb.ModerateRequest) -> Message:
    """Return the message of a request that was validated."""
    message, sender, conversation = request.message, request.sender, request.conversation
    receiver = conversation.receiver if conversation.HasField("receiver") else None
    return Message(
        id=message.id,
        text=message.text,
        app_id=request.app_id,
        sent_at=_time(message.sent_at) if message.HasField("sent_at") else None,
        media=tuple(Media(item.id, item.mime_type, item.data, item.uri) for item in message.media),
        custom=_custom(message.custom) if message.HasField("custom") else {},
        sender=Sender(
            id=sender.id,
            name=sender.name,
            roles=tuple(sender.roles),
            tags=tuple(sender.tags),
            created_at=_time(sender.created_at) if sender.HasField("created_at") else None,
        ),
        conversation=Conversation(
            id=conversation.id,
            type=_TYPES.get(conversation.type),
            name=conversation.name,
            tags=tuple(conversation.tags),
            created_at=_time(conversation.created_at) if conversation.HasField("created_at") else None,
            receiver=Receiver(
                id=receiver.id,
                name=receiver.name,
                tags=tuple(receiver.tags),
                created_at=_time(receiver.created_at) if receiver.HasField("created_at") else None,
            )
            if receiver is not None
            else None,
        ),
    )


def to_response(
    decision: Decision, request_id: str, models: Sequence[pb.ModelVersion] = (), *, explain: bool = False
) -> pb.ModerateResponse:
    """Return the answer to send for a decision."""
    response = pb.ModerateResponse(
        request_id=request_id,
        decision_id=decision.id,
        verdict=_VERDICTS[decision.verdict],
        masked_text=decision.masked_text,
        flagged=decision.flagged,
        ruleset_revision=decision.ruleset_revision,
        timing=pb.Timing(
            total=_duration(decision.elapsed),
            budget=_duration(decision.budget),
            detectors=[
                pb.DetectorTiming(detector=name, elapsed=_duration(seconds))
                for name, seconds in decision.timings.items()
            ],
        ),
    )
    if decision.matches:
        response.matches.extend(map(to_match, decision.matches))
    if decision.fallback is not None:
        response.fallback.CopyFrom(to_fallback(decision.fallback))
    if decision.notice is not None:
        notice = decision.notice
        response.sender_notice.CopyFrom(
            pb.SenderNotice(
                notify=notice.notify,
                code=notice.code,
                reason=notice.reason,
                sees_masked_text=notice.sees_masked_text,
            )
        )
    if decision.penalties:
        response.penalties.extend(map(to_penalty, decision.penalties))
    response.penalties_degraded = decision.penalties_degraded
    if decision.sanction is not None:
        response.sanction.CopyFrom(_standing(decision.sanction))
    if decision.delivery is not None:
        response.delivery.push_suppressed = decision.delivery.push_suppressed
        response.delivery.muted_by.extend(decision.delivery.muted_by)
    if models:
        response.models.extend(models)
    if explain:
        response.explanation.CopyFrom(_explanation(decision))
    return response


def to_match(match: Match) -> pb.Match:
    """Return a match as the contract has it."""
    return pb.Match(
        rule_id=match.rule_id,
        rule_revision=match.rule_revision,
        detector=match.detector,
        label=match.label,
        score=match.score,
        threshold=match.threshold,
        spans=[pb.Span(start=span.start, end=span.end) for span in match.spans],
        shadow=match.shadow,
        part=match.part,
        evidence=match.evidence,
    )


def to_fallback(fallback: Fallback) -> pb.Fallback:
    """Return a fallback as the contract has it."""
    return pb.Fallback(
        reason=pb.FallbackReason.Value(f"FALLBACK_REASON_{fallback.reason.name}"),
        applied=_POLICIES[fallback.applied],
        unfinished=fallback.unfinished,
    )


def to_penalty(penalty: Penalty) -> pb.Penalty:
    """Return a penalty as the contract has it."""
    return pb.Penalty(
        type=_PENALTIES[penalty.type],
        scope=_SCOPES[penalty.scope],
        duration=_timedelta(penalty.duration) if penalty.duration is not None else None,
        rule_id=penalty.rule_id,
        reason=penalty.reason,
        sanction_id=penalty.sanction_id,
    )


def _standing(standing: StandingSanction) -> pb.StandingSanction:
    return pb.StandingSanction(
        id=standing.sanction_id,
        type=_PENALTIES[standing.type],
        scope=_SCOPES[standing.scope],
        remaining=_duration(standing.remaining) if standing.remaining is not None else None,
        reason=standing.reason,
    )


def model_versions(bundles: Mapping[str, Sequence[Bundle]]) -> dict[str, tuple[pb.ModelVersion, ...]]:
    """Return, for every detector that asks models, what to say of them."""
    return {
        detector: tuple(
            pb.ModelVersion(name=b.manifest.name, version=b.manifest.version, digest=b.digest[:12]) for b in used
        )
        for detector, used in bundles.items()
    }


def _explanation(decision: Decision) -> pb.Explanation:
    return pb.Explanation(
        rules=[_rule(rule) for rule in decision.traces],
        steps=[pb.FoldStep(name=name, text=text) for name, text in fold(decision.message.text).steps()],
    )


def _rule(rule: RuleTrace) -> pb.RuleExplanation:
    return pb.RuleExplanation(
        rule_id=rule.rule_id,
        rule_revision=rule.rule_revision,
        shadow=rule.shadow,
        outcome=_OUTCOMES[rule.outcome],
        when=_condition(rule.when),
    )


def _condition(node: Trace) -> pb.ConditionExplanation:
    return pb.ConditionExplanation(
        text=node.text,
        outcome=_OUTCOMES[node.outcome],
        score=node.score or 0.0,
        threshold=node.threshold or 0.0,
        elapsed=_duration(node.elapsed) if node.elapsed is not None else None,
        children=[_condition(child) for child in node.children],
    )


def _custom(custom: struct_pb2.Struct) -> dict[str, object]:
    # The depth was validated.
    return {key: _value(value) for key, value in custom.fields.items()}


def _value(value: struct_pb2.Value) -> object:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _custom(value.struct_value)
    if kind == "list_value":
        return [_value(item) for item in value.list_value.values]
    return getattr(value, kind) if kind and kind != "null_value" else None


def _time(stamp: timestamp_pb2.Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _duration(seconds: float) -> duration_pb2.Duration:
    nanos = round(max(seconds, 0.0) * 1e9)
    return duration_pb2.Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)


def _timedelta(delta: timedelta) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromTimedelta(delta)
    return duration
