"""A decision as it is kept: the journal's line, the store's row, and what is read back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypedDict

from modgate.gate.decision import Decision, Match, Penalty, RuleTrace, Trace
from modgate.message import ConversationType
from modgate.penalties.sanction import Sanction, SanctionTarget, earned_sanction
from modgate.rules.ruleset import PenaltyType, SanctionScope
from modgate.storage.seal import KeptText, TextForm, TextSealer

__all__ = [
    "CONVERSATION_TYPES",
    "DecisionRow",
    "Entry",
    "KeepPolicy",
    "StoredDecision",
    "bounded",
    "decode",
    "encode",
    "entry_of",
    "explain",
    "explanation_of",
    "sanction_of",
    "sanction_row",
    "stored_decision",
    "user_hash",
]

CONVERSATION_TYPES = {None: 0, ConversationType.ONE_TO_ONE: 1, ConversationType.GROUP: 2, ConversationType.ROOM: 3}
"""Numbers of the contract."""

_LONGEST_NAME = 255
_NAMES_AT_MOST = 200
_NODES_AT_MOST = 500
_LONGEST_EXPLANATION = 64 * 1024

# Made once: `json.dumps` makes an encoder for every call that asks for other than its own separators.
_to_json = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class KeepPolicy(Protocol):
    """What is kept of decisions; `HistorySettings` says it."""

    @property
    def decisions(self) -> str:
        """`all`, `flagged` or `none`."""
        ...

    @property
    def text(self) -> str:
        """`none`, `hash` or `full`."""
        ...

    @property
    def flagged_text(self) -> str:
        """`none`, `hash` or `full`."""
        ...


class DecisionRow(NamedTuple):
    """A row of `decisions`, in the order of its columns."""

    id: str
    decided_ms: int
    app_id: str
    message_id: str
    sender_id: str
    sender_name: str
    receiver_id: str
    conversation_id: str
    conversation_name: str
    conversation_type: int
    verdict: int
    flagged: bool
    ruleset_revision: str
    elapsed: float
    text_form: int
    text: str
    details: str


class Entry(TypedDict):
    """One line of the journal.

    `row` is None if decisions are not kept; `names` are what a search by rule or label finds; `sanctions` are rows.
    """

    row: DecisionRow | None
    names: list[str]
    sanctions: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision read back.

    Attributes:
        text: As typed, if it was kept and a key opens it.
        text_sha256: If hashes are kept.
        details: `matches`, `fallback`, `penalties`, `shadow_penalties`, `sanction_id`, `degraded`, `traces`; each may
            be missing.
    """

    row: DecisionRow
    text: str
    text_sha256: str
    details: Mapping[str, Any]


def bounded(name: str) -> str:
    """Return a name that every store takes: without NUL, at most 255 characters; a longer one ends in its hash."""
    if len(name) <= _LONGEST_NAME and "\x00" not in name:
        return name
    name = name.replace("\x00", "\N{REPLACEMENT CHARACTER}")
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[: _LONGEST_NAME - 65]}#{hashlib.sha256(name.encode()).hexdigest()}"


def user_hash(app_id: str, user_id: str) -> str:
    """Return what stands for a user after erasure: SHA-256, from which nobody reads the id."""
    return hashlib.sha256(f"{bounded(app_id)}\x00{bounded(user_id)}".encode()).hexdigest()


def entry_of(decision: Decision, policy: KeepPolicy, sealer: TextSealer) -> Entry:
    """Return the entry for a decision under a policy; tens of microseconds."""
    message = decision.message
    sanctions = [sanction_row(earned_sanction(penalty, message, decision.decided_at)) for penalty in decision.penalties]
    if policy.decisions == "none":
        return Entry(row=None, names=[], sanctions=sanctions)
    place, sender, receiver = message.conversation, message.sender, message.conversation.receiver
    kept = sealer.keep(message.text, policy.flagged_text if decision.flagged else policy.text, decision.id)
    row = DecisionRow(
        id=decision.id,
        decided_ms=int(decision.decided_at * 1000),
        app_id=bounded(message.app_id),
        message_id=bounded(message.id),
        sender_id=bounded(sender.id),
        sender_name=bounded(sender.name),
        receiver_id=bounded(receiver.id) if receiver is not None else "",
        conversation_id=bounded(place.id),
        conversation_name=bounded(place.name),
        conversation_type=CONVERSATION_TYPES[place.type],
        verdict=int(decision.verdict),
        flagged=decision.flagged,
        ruleset_revision=decision.ruleset_revision,
        elapsed=round(decision.elapsed, 6),
        text_form=int(kept.form),
        text=kept.value.replace("\x00", "\N{REPLACEMENT CHARACTER}") if kept.value else "",
        details=_details(decision),
    )
    return Entry(row=row, names=_names(decision.matches) if decision.matches else [], sanctions=sanctions)


def _names(matches: Sequence[Match]) -> list[str]:
    names = dict.fromkeys(name for match in matches for name in (f"rule:{match.rule_id}", f"label:{match.label}"))
    return [bounded(name) for name in list(names)[:_NAMES_AT_MOST]]


def encode(entry: Entry) -> bytes:
    """Return an entry as the journal's bytes."""
    return _to_json((entry["row"], entry["names"], entry["sanctions"])).encode()


def explanation_of(traces: Sequence[RuleTrace]) -> str:
    """Return why a decision was made, as JSON for `explain`; empty if there is nothing to tell.

    Bounded, for a moderator reads it. It has the text of rules, never that of the message. Hundreds of microseconds:
    not for the event loop.
    """
    room = _Room(_NODES_AT_MOST)
    rules = [_rule(rule, room) for rule in traces if room.left > 0]
    line = _to_json(rules) if rules else ""
    return line if len(line) <= _LONGEST_EXPLANATION else ""


def explain(entry: Entry, explanation: str) -> None:
    """Put an explanation into an entry."""
    row = entry["row"]
    if row is None or not explanation:
        return
    known = row.details[1:-1]
    entry["row"] = row._replace(details=f'{{{known}{"," if known else ""}"traces":{explanation}}}')


def decode(line: bytes) -> Entry:
    """Return the entry of a line of the journal."""
    row, names, sanctions = json.loads(line)
    return Entry(row=None if row is None else DecisionRow(*row), names=names, sanctions=sanctions)


def sanction_row(sanction: Sanction) -> dict[str, Any]:
    """Return a row of `sanctions`."""
    return {
        "id": sanction.id,
        "app_id": bounded(sanction.app_id),
        "target": str(sanction.target),
        "type": str(sanction.type),
        "scope": str(sanction.scope),
        "user_id": bounded(sanction.user_id),
        "conversation_id": bounded(sanction.conversation_id),
        "for_user_id": bounded(sanction.for_user_id),
        "reason": sanction.reason.replace("\x00", ""),
        "author": bounded(sanction.author),
        "exempt_roles": json.dumps(sanction.exempt_roles),
        "imposed_ms": int(sanction.imposed_at * 1000),
        "expires_ms": None if sanction.expires_at is None else int(sanction.expires_at * 1000),
        "lifted_ms": None if sanction.lifted_at is None else int(sanction.lifted_at * 1000),
    }


def sanction_of(row: Mapping[str, Any]) -> Sanction:
    """Return the sanction of a row."""
    return Sanction(
        id=row["id"],
        app_id=row["app_id"],
        target=SanctionTarget(row["target"]),
        type=PenaltyType(row["type"]),
        scope=SanctionScope(row["scope"]),
        user_id=row["user_id"],
        conversation_id=row["conversation_id"],
        for_user_id=row["for_user_id"],
        reason=row["reason"],
        author=row["author"],
        imposed_at=row["imposed_ms"] / 1000,
        expires_at=None if row["expires_ms"] is None else row["expires_ms"] / 1000,
        exempt_roles=tuple(json.loads(row["exempt_roles"])),
        lifted_at=None if row["lifted_ms"] is None else row["lifted_ms"] / 1000,
    )


def stored_decision(row: Mapping[str, Any], sealer: TextSealer) -> StoredDecision:
    """Return a row of the store, with its text opened."""
    kept = KeptText(TextForm(row["text_form"]), row["text"])
    return StoredDecision(
        row=DecisionRow(*(row[column] for column in DecisionRow._fields)),
        text=sealer.open(kept, row["id"]),
        text_sha256=kept.value if kept.form is TextForm.HASH else "",
        details=json.loads(row["details"]),
    )


def _details(decision: Decision) -> str:
    details: dict[str, object] = {}
    if decision.matches:
        details["matches"] = [_match(match) for match in decision.matches]
    if decision.fallback is not None:
        fallback = decision.fallback
        details["fallback"] = [int(fallback.reason), int(fallback.applied), list(fallback.unfinished)]
    if decision.penalties:
        details["penalties"] = [_penalty(penalty) for penalty in decision.penalties]
    if decision.shadow_penalties:
        details["shadow_penalties"] = [_penalty(penalty) for penalty in decision.shadow_penalties]
    if decision.penalties_degraded:
        details["degraded"] = True
    if decision.sanction is not None:
        details["sanction_id"] = decision.sanction.sanction_id
    return _to_json(details) if details else "{}"


def _match(match: Match) -> dict[str, object]:
    return {
        "rule_id": match.rule_id,
        "rule_revision": match.rule_revision,
        "detector": match.detector,
        "label": match.label,
        "score": round(float(match.score), 6),
        "threshold": round(float(match.threshold), 6),
        "spans": [list(span) for span in match.spans],
        "part": match.part,
        "evidence": match.evidence,
        "shadow": match.shadow,
    }


def _penalty(penalty: Penalty) -> dict[str, object]:
    return {
        "type": str(penalty.type),
        "scope": str(penalty.scope),
        "seconds": None if penalty.duration is None else penalty.duration.total_seconds(),
        "rule_id": penalty.rule_id,
        "reason": penalty.reason,
        "sanction_id": penalty.sanction_id,
    }


class _Room:
    """How many conditions may still be written."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left


def _rule(rule: RuleTrace, room: _Room) -> dict[str, object]:
    return {
        "rule_id": rule.rule_id,
        "rule_revision": rule.rule_revision,
        "shadow": rule.shadow,
        "outcome": rule.outcome.name,
        "when": _trace(rule.when, room),
    }


def _trace(node: Trace, room: _Room) -> dict[str, object]:
    room.left -= 1
    return {
        "text": node.text[:_LONGEST_NAME],
        "outcome": node.outcome.name,
        "score": node.score,
        "threshold": node.threshold,
        "elapsed": node.elapsed,
        "children": [_trace(child, room) for child in node.children if room.left > 0],
    }
