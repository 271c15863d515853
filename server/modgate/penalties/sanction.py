"""A penalty in force."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from modgate.gate.decision import Penalty
from modgate.message import Message
from modgate.rules.ruleset import PenaltyType, SanctionScope

__all__ = ["Sanction", "SanctionTarget", "earned_sanction", "in_words", "sanction_id"]

_BARS_POSTING = frozenset(
    {PenaltyType.MUTE, PenaltyType.BAN, PenaltyType.DELETE, PenaltyType.BLOCK_LIST, PenaltyType.BLOCK_USER}
)
_SEVERITY = {
    PenaltyType.DELETE: 6,
    PenaltyType.BAN: 5,
    PenaltyType.BLOCK_LIST: 4,
    PenaltyType.MUTE: 3,
    PenaltyType.BLOCK_USER: 2,
}
_DONE = {
    PenaltyType.MUTE: "muted",
    PenaltyType.KICK: "kicked",
    PenaltyType.BLOCK_LIST: "on the block list",
    PenaltyType.FORCE_OFFLINE: "forced offline",
    PenaltyType.BAN: "banned",
    PenaltyType.DELETE: "deleted",
    PenaltyType.BLOCK_USER: "blocked by the receiver",
}


class SanctionTarget(StrEnum):
    """Whom a sanction concerns."""

    USER = "user"
    """One user, in the scope of the sanction."""
    CONVERSATION = "conversation"
    """Everybody in a conversation but the exempt roles."""
    USER_FOR_USER = "user_for_user"
    """One user for another: delivered, not pushed."""


@dataclass(frozen=True, slots=True)
class Sanction:
    """A penalty in force, or one that was.

    Attributes:
        user_id: The user concerned; empty for a whole conversation.
        conversation_id: The conversation, if the scope is one.
        for_user_id: The user who muted another for oneself, or for whom another is blocked.
        author: A moderator, or `rule:<id>`.
        imposed_at: Wall-clock seconds.
        expires_at: Wall-clock seconds; None if it has to be lifted.
        lifted_at: Wall-clock seconds; None if it was not lifted.
    """

    id: str
    app_id: str
    target: SanctionTarget
    type: PenaltyType
    scope: SanctionScope
    user_id: str = ""
    conversation_id: str = ""
    for_user_id: str = ""
    reason: str = ""
    author: str = ""
    imposed_at: float = 0.0
    expires_at: float | None = None
    exempt_roles: tuple[str, ...] = ()
    lifted_at: float | None = None

    def in_force(self, now: float) -> bool:
        """Whether it holds at this time."""
        return self.lifted_at is None and (self.expires_at is None or now < self.expires_at)

    def bars(self, message: Message) -> bool:
        """Whether its kind and reach keep the sender of this message from posting it."""
        if self.type not in _BARS_POSTING or self.target is SanctionTarget.USER_FOR_USER:
            return False
        if self.target is SanctionTarget.CONVERSATION:
            return not any(role in self.exempt_roles for role in message.sender.roles)
        if self.type is PenaltyType.BLOCK_USER and self.for_user_id:
            receiver = message.conversation.receiver
            return receiver is not None and receiver.id == self.for_user_id
        return self.scope is SanctionScope.APP or self.conversation_id == message.conversation.id

    @property
    def rank(self) -> tuple[int, float]:
        """Which of several sanctions is told to the sender: the most severe, then the one that lasts longest."""
        return _SEVERITY.get(self.type, 0), float("inf") if self.expires_at is None else self.expires_at

    def notice_text(self, now: float) -> str:
        """Return what the sender is told: what, how long still, and why."""
        what = "conversation muted" if self.target is SanctionTarget.CONVERSATION else _DONE[self.type]
        left = "" if self.expires_at is None else f", {in_words(self.expires_at - now)} left"
        return f"{what}{left}: {self.reason}" if self.reason else f"{what}{left}"


def in_words(seconds: float) -> str:
    """Return a duration as people write it, rounded up to the second: `2d 3h`, `59m 30s`."""
    rest = max(1, -int(-seconds // 1))
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def sanction_id(message: Message, rule_id: str, clause: str, now: float) -> str:
    """Return an id that sorts by time and that two gates agree on for the same message and clause."""
    parts = [message.app_id, message.sender.id, message.conversation.id, message.id, rule_id, clause]
    tail = hashlib.sha256("\x00".join(parts).encode()).hexdigest()[:20]
    return f"{int(now * 1000):012x}{tail}"


def earned_sanction(penalty: Penalty, message: Message, imposed_at: float) -> Sanction:
    """Return the sanction that a penalty puts in force; a message's repetition yields the same one."""
    receiver = message.conversation.receiver
    one_sided = penalty.type is PenaltyType.BLOCK_USER and receiver is not None
    return Sanction(
        id=penalty.sanction_id,
        app_id=message.app_id,
        target=SanctionTarget.USER,
        type=penalty.type,
        scope=penalty.scope,
        user_id=message.sender.id,
        conversation_id=message.conversation.id if penalty.scope is SanctionScope.CONVERSATION else "",
        for_user_id=receiver.id if one_sided and receiver is not None else "",
        reason=penalty.reason,
        author=f"rule:{penalty.rule_id}",
        imposed_at=imposed_at,
        expires_at=None if penalty.duration is None else imposed_at + penalty.duration.total_seconds(),
    )
