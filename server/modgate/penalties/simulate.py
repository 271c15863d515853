"""What a penalty would have done to the users of a recorded history, before it is put live."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from modgate.penalties.window import Window
from modgate.rules.ruleset import PenaltyClause, SanctionScope

__all__ = ["Outcome", "Violation", "simulate"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One recorded hit of a rule.

    Attributes:
        at: Wall-clock seconds.
    """

    at: float
    rule_id: str
    app_id: str
    sender_id: str
    conversation_id: str
    message_id: str


@dataclass(slots=True)
class Outcome:
    """What one clause of one rule would have done.

    Attributes:
        violators: Users who violated the rule at all.
        punished: Users who would have earned the penalty, with how often.
        most: How many users had at most so many violations within one window: the histogram to choose `after` by.
    """

    rule_id: str
    clause: PenaltyClause
    violations: int = 0
    violators: int = 0
    punished: Counter[tuple[str, str]] = field(default_factory=Counter)
    most: Counter[int] = field(default_factory=Counter)

    @property
    def penalties(self) -> int:
        """Penalties in all."""
        return self.punished.total()


def simulate(violations: Iterable[Violation], clauses: Iterable[tuple[str, PenaltyClause]]) -> list[Outcome]:
    """Run clauses over recorded violations and return what each would have done.

    The penalties are not enforced: a user who would have been muted goes on violating as recorded. So the number of
    users is exact and the number of penalties is an upper bound.

    Args:
        violations: In any order; a message counts once a rule.
        clauses: Each with the id of its rule.
    """
    by_rule: dict[str, list[Violation]] = {}
    seen: set[tuple[str, str, str, str, str]] = set()
    for violation in violations:
        v = violation
        key = (v.rule_id, v.app_id, v.sender_id, v.conversation_id, v.message_id)
        if v.message_id and key in seen:
            continue
        seen.add(key)
        by_rule.setdefault(v.rule_id, []).append(v)
    for recorded in by_rule.values():
        recorded.sort(key=lambda v: v.at)
    return [_run(rule_id, clause, by_rule.get(rule_id, ())) for rule_id, clause in clauses]


def _run(rule_id: str, clause: PenaltyClause, recorded: Sequence[Violation]) -> Outcome:
    outcome = Outcome(rule_id, clause, violations=len(recorded))
    windows: dict[tuple[str, str, str], Window] = {}
    spans: dict[tuple[str, str, str], list[float]] = {}
    most: Counter[tuple[str, str]] = Counter()
    for violation in recorded:
        place = violation.conversation_id if clause.scope is SanctionScope.CONVERSATION else ""
        user = violation.app_id, violation.sender_id
        key = (*user, place)
        if windows.setdefault(key, Window()).add(clause, violation.at):
            outcome.punished[user] += 1
        # Apart from the penalty's own window, which begins afresh when the penalty is earned.
        oldest = violation.at - clause.within.total_seconds()
        span = [at for at in spans.get(key, ()) if at > oldest]
        span.append(violation.at)
        spans[key] = span
        most[user] = max(most[user], len(span))
    outcome.violators = len(most)
    outcome.most = Counter(most.values())
    return outcome
