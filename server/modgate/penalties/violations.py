"""Counts violations in this process: what one gate alone needs, and what a fleet falls back to."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from modgate.gate.decision import Earned, Penalty
from modgate.message import Message
from modgate.penalties.book import SanctionBook
from modgate.penalties.sanction import earned_sanction, sanction_id
from modgate.penalties.window import Window
from modgate.rules.ruleset import Mode, PenaltyClause, Rule, SanctionScope

__all__ = ["Claim", "LocalViolations", "claims_of", "clause_key", "penalty_of"]

_REMEMBER_AT_LEAST = timedelta(minutes=10).total_seconds()

_Key = tuple[str, str, str, str, str, bool]


@dataclass(frozen=True, slots=True)
class Claim:
    """One clause of one rule that a message hits.

    Attributes:
        key: What is counted: app, sender, conversation (if the scope is one), rule, clause, whether in shadow.
        sanction_id: Id of the sanction, should this violation earn it.
    """

    key: _Key
    rule: Rule
    clause: PenaltyClause
    sanction_id: str

    @property
    def shadow(self) -> bool:
        """Whether the rule only pretends."""
        return self.rule.mode is not Mode.LIVE


def clause_key(clause: PenaltyClause) -> str:
    """Return what tells the clauses of one rule apart, and stays the same when another is added."""
    return f"{clause.impose}:{clause.scope}:{clause.after:g}:{clause.within.total_seconds():g}"


def claims_of(message: Message, hits: Sequence[Rule], now: float) -> Iterator[Claim]:
    """Yield what is to be counted for a message that hit these rules."""
    for rule in hits:
        for clause in rule.penalties:
            clause_name = clause_key(clause)
            place = message.conversation.id if clause.scope is SanctionScope.CONVERSATION else ""
            # A rule that goes live starts counting afresh: nobody is punished for what was only watched.
            key = (message.app_id, message.sender.id, place, rule.id, clause_name, rule.mode is not Mode.LIVE)
            yield Claim(key, rule, clause, sanction_id(message, rule.id, clause_name, now))


def penalty_of(claim: Claim, identity: str) -> Penalty:
    """Return the instruction to the gateway for a claim that was earned."""
    clause = claim.clause
    return Penalty(clause.impose, clause.scope, clause.duration, claim.rule.id, clause.reason, identity)


class LocalViolations:
    """Sliding windows by sender; earned penalties go into the book at once. Idempotent by message id.

    Args:
        book: Where earned sanctions are put in force; None to count only.
        capacity: Most violations kept; windows that were not touched for longest give way.
        remember: Most messages whose outcome is kept, so that a repeated call gets the same one.
    """

    def __init__(self, book: SanctionBook | None = None, *, capacity: int = 1_000_000, remember: int = 100_000) -> None:
        self._book = book
        self._capacity = capacity
        self._remember = remember
        self._windows: OrderedDict[_Key, Window] = OrderedDict()
        self._size = 0
        self._outcomes: OrderedDict[tuple[str, str, str, str], tuple[float, Earned]] = OrderedDict()

    def __len__(self) -> int:
        return self._size

    async def record(self, message: Message, hits: Sequence[Rule], now: float) -> Earned:
        """Count hits and return what the sender has earned; never suspends."""
        return self.count(message, hits, now)

    def count(self, message: Message, hits: Sequence[Rule], now: float) -> Earned:
        """Count hits, put earned sanctions in force, and return the penalties."""
        known = self.recall(message, now)
        if known is not None:
            return known
        penalties: list[Penalty] = []
        shadow: list[Penalty] = []
        keep = _REMEMBER_AT_LEAST
        for claim in claims_of(message, hits, now):
            keep = max(keep, claim.clause.within.total_seconds())
            if self.add(claim, now):
                (shadow if claim.shadow else penalties).append(penalty_of(claim, claim.sanction_id))
        earned = Earned(tuple(penalties), tuple(shadow))
        self.impose(message, earned, now)
        self.keep(message, earned, now + keep)
        return earned

    def replay(self, message: Message, hits: Sequence[Rule], at: float) -> None:
        """Count what was recorded before a restart: windows and outcomes as they were, nothing imposed again."""
        if self.recall(message, at) is not None:
            return
        for claim in claims_of(message, hits, at):
            self.add(claim, at)
        self.keep(message, Earned(), at + _REMEMBER_AT_LEAST)

    def add(self, claim: Claim, now: float) -> bool:
        """Count one claim and return whether it is earned."""
        window = self._windows.get(claim.key)
        if window is None:
            window = self._windows[claim.key] = Window()
        else:
            self._windows.move_to_end(claim.key)
        before = len(window.times)
        earned = window.add(claim.clause, now)
        self._size += len(window.times) - before
        while self._size > self._capacity or len(self._windows) > self._capacity:
            _, oldest = self._windows.popitem(last=False)
            self._size -= len(oldest.times)
        return earned

    def clear(self, claim: Claim, now: float) -> None:
        """Start counting afresh: the penalty was earned, here or at another gate."""
        window = self._windows.get(claim.key)
        if window is not None:
            self._size -= len(window.times)
            window.times.clear()
            window.earned_at = now

    def recall(self, message: Message, now: float) -> Earned | None:
        """Return the outcome of a message that was counted before."""
        if not message.id:
            return None
        known = self._outcomes.get(_identity(message))
        return known[1] if known is not None and known[0] > now else None

    def keep(self, message: Message, earned: Earned, until: float) -> None:
        """Remember the outcome of a message until a time in wall-clock seconds."""
        if not message.id:
            return
        self._outcomes[_identity(message)] = (until, earned)
        if len(self._outcomes) > self._remember:
            self._outcomes.popitem(last=False)

    def impose(self, message: Message, earned: Earned, now: float) -> None:
        """Put earned sanctions in force."""
        if self._book is not None:
            for penalty in earned.penalties:
                self._book.put(earned_sanction(penalty, message, now))

    def erase_user(self, app_id: str, user_id: str) -> int:
        """Forget the violations of a user; return how many windows that were."""
        keys = [key for key in self._windows if key[:2] == (app_id, user_id)]
        for key in keys:
            self._size -= len(self._windows.pop(key).times)
        for identity in [i for i in self._outcomes if (i[0], i[1]) == (app_id, user_id)]:
            del self._outcomes[identity]
        return len(keys)


def _identity(message: Message) -> tuple[str, str, str, str]:
    return message.app_id, message.sender.id, message.conversation.id, message.id
