"""What the history keeps, as the contract has it."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2

from modgate.penalties.sanction import Sanction
from modgate.review.desk import Item
from modgate.review.entry import StoredDecision
from modgate.text import fold
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import review_pb2, sanctions_pb2

__all__ = ["to_item", "to_record", "to_sanction", "to_timestamp"]


def to_record(decision: StoredDecision) -> review_pb2.DecisionRecord:
    """Return a stored decision as the contract has it."""
    row, details = decision.row, decision.details
    record = review_pb2.DecisionRecord(
        decision_id=row.id,
        decided_at=to_timestamp(row.decided_ms),
        app_id=row.app_id,
        message_id=row.message_id,
        sender_id=row.sender_id,
        sender_name=row.sender_name,
        receiver_id=row.receiver_id,
        conversation_id=row.conversation_id,
        conversation_name=row.conversation_name,
        conversation_type=row.conversation_type,  # type: ignore[arg-type]  # the store keeps the contract's numbers
        verdict=row.verdict,  # type: ignore[arg-type]  # the same
        flagged=row.flagged,
        matches=[_match(match) for match in details.get("matches", ())],
        text=decision.text,
        text_sha256=decision.text_sha256,
        ruleset_revision=row.ruleset_revision,
        penalties=[_penalty(penalty) for penalty in details.get("penalties", ())],
        shadow_penalties=[_penalty(penalty) for penalty in details.get("shadow_penalties", ())],
        sanction_id=details.get("sanction_id", ""),
        elapsed=_duration(row.elapsed),
    )
    if "fallback" in details:
        reason, applied, unfinished = details["fallback"]
        record.fallback.CopyFrom(pb.Fallback(reason=reason, applied=applied, unfinished=unfinished))
    if "traces" in details:
        record.explanation.rules.extend(_rule(rule) for rule in details["traces"])
        # Of the text, so not stored beside it: whoever may read the text may see how its disguise was undone.
        steps = fold(decision.text).steps() if decision.text else ()
        record.explanation.steps.extend(pb.FoldStep(name=name, text=text) for name, text in steps)
    return record


def to_item(item: Item) -> review_pb2.ReviewItem:
    """Return a review item as the contract has it."""
    row = item.row
    if item.decision is not None:
        record = to_record(item.decision)
    else:
        record = review_pb2.DecisionRecord(
            app_id=row["app_id"],
            message_id=row["message_id"],
            sender_id=row["sender_id"],
            receiver_id=row["receiver_id"],
            conversation_id=row["conversation_id"],
            conversation_type=row["conversation_type"],
        )
    record.text = record.text or item.text
    return review_pb2.ReviewItem(
        id=row["id"],
        decision=record,
        state=row["state"],
        origin=row["origin"],
        reason=row["reason"],
        reporter_id=row["reporter_id"],
        note=row["note"],
        flagged_at=to_timestamp(row["flagged_ms"]),
        moderator=row["moderator"],
        decided_at=None if row["decided_ms"] is None else to_timestamp(row["decided_ms"]),
        reported_user_id=row["reported_user_id"],
    )


def to_sanction(sanction: Sanction) -> sanctions_pb2.Sanction:
    """Return a sanction as the contract has it."""
    return sanctions_pb2.Sanction(
        id=sanction.id,
        app_id=sanction.app_id,
        target=sanctions_pb2.SanctionTarget.Value(f"SANCTION_TARGET_{sanction.target.name}"),
        user_id=sanction.user_id,
        conversation_id=sanction.conversation_id,
        for_user_id=sanction.for_user_id,
        type=pb.PenaltyType.Value(f"PENALTY_TYPE_{sanction.type.name}"),
        scope=pb.SanctionScope.Value(f"SANCTION_SCOPE_{sanction.scope.name}"),
        reason=sanction.reason,
        author=sanction.author,
        imposed_at=to_timestamp(int(sanction.imposed_at * 1000)),
        expires_at=None if sanction.expires_at is None else to_timestamp(int(sanction.expires_at * 1000)),
        exempt_roles=sanction.exempt_roles,
        lifted_at=None if sanction.lifted_at is None else to_timestamp(int(sanction.lifted_at * 1000)),
    )


def to_timestamp(milliseconds: int) -> timestamp_pb2.Timestamp:
    """Return milliseconds since the epoch as a timestamp."""
    return timestamp_pb2.Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def _match(match: Mapping[str, Any]) -> pb.Match:
    return pb.Match(
        rule_id=match["rule_id"],
        rule_revision=match["rule_revision"],
        detector=match["detector"],
        label=match["label"],
        score=match["score"],
        threshold=match["threshold"],
        spans=[pb.Span(start=start, end=end) for start, end in match["spans"]],
        shadow=match["shadow"],
        part=match["part"],
        evidence=match["evidence"],
    )


def _penalty(penalty: Mapping[str, Any]) -> pb.Penalty:
    return pb.Penalty(
        type=pb.PenaltyType.Value(f"PENALTY_TYPE_{penalty['type'].upper()}"),
        scope=pb.SanctionScope.Value(f"SANCTION_SCOPE_{penalty['scope'].upper()}"),
        duration=None if penalty["seconds"] is None else _duration(penalty["seconds"]),
        rule_id=penalty["rule_id"],
        reason=penalty["reason"],
        sanction_id=penalty["sanction_id"],
    )


def _rule(rule: Mapping[str, Any]) -> pb.RuleExplanation:
    return pb.RuleExplanation(
        rule_id=rule["rule_id"],
        rule_revision=rule["rule_revision"],
        shadow=rule["shadow"],
        outcome=pb.Outcome.Value(f"OUTCOME_{rule['outcome']}"),
        when=_condition(rule["when"]),
    )


def _condition(node: Mapping[str, Any]) -> pb.ConditionExplanation:
    return pb.ConditionExplanation(
        text=node["text"],
        outcome=pb.Outcome.Value(f"OUTCOME_{node['outcome']}"),
        score=node["score"] or 0.0,
        threshold=node["threshold"] or 0.0,
        elapsed=None if node["elapsed"] is None else _duration(node["elapsed"]),
        children=[_condition(child) for child in node["children"]],
    )


def _duration(seconds: float) -> duration_pb2.Duration:
    nanos = round(max(seconds, 0.0) * 1e9)
    return duration_pb2.Duration(seconds=nanos // 1_000_000_000, nanos=nanos % 1_000_000_000)
