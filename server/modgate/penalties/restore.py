"""After a restart: windows of violations as the history knows them."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, select

from modgate.message import Conversation, Message, Sender
from modgate.penalties.violations import LocalViolations
from modgate.review.entry import bounded
from modgate.rules.ruleset import Mode, Rule
from modgate.storage.tables import decision_matches, decisions

__all__ = ["restore_violations"]

_AT_MOST = 50_000


def restore_violations(connection: Connection, local: LocalViolations, rules: Sequence[Rule], now: float) -> int:
    """Count the recorded violations that still lie within a window; return how many decisions that were.

    Of very many, the newest 50,000. Decisions that never reached the history cannot be counted.

    Args:
        connection: An open transaction.
        local: The counters.
        rules: Those in force.
        now: Wall-clock seconds.
    """
    punishing = {rule.id: rule for rule in rules if rule.penalties}
    if not punishing:
        return 0
    longest = max(clause.within.total_seconds() for rule in punishing.values() for clause in rule.penalties)
    since_ms = int((now - longest) * 1000)
    named = select(decision_matches.c.decision_id).where(
        decision_matches.c.name.in_([bounded(f"rule:{identity}") for identity in punishing]),
        decision_matches.c.decision_id >= f"{max(0, since_ms):012x}",
    )
    query = select(decisions).where(decisions.c.id.in_(named), decisions.c.decided_ms >= since_ms)
    rows = connection.execute(query.order_by(decisions.c.id.desc()).limit(_AT_MOST)).all()
    for row in reversed(rows):
        matched = {match["rule_id"]: bool(match["shadow"]) for match in json.loads(row.details).get("matches", ())}
        hits = [
            rule
            for identity, shadow in matched.items()
            if (rule := punishing.get(identity)) is not None and (rule.mode is not Mode.LIVE) is shadow
        ]
        message = Message(
            id=row.message_id,
            text="",
            sender=Sender(row.sender_id),
            conversation=Conversation(row.conversation_id),
            app_id=row.app_id,
        )
        local.replay(message, hits, row.decided_ms / 1000)
    return len(rows)
