"""The sanctions in force, in this process: what the gate asks once a message."""

import heapq
from collections.abc import Iterable, Iterator

from modgate.gate.decision import Delivery, StandingSanction
from modgate.message import ConversationType, Message
from modgate.penalties.sanction import Sanction, SanctionTarget
from modgate.rules.ruleset import Notice

__all__ = ["SanctionBook"]

_MUTED_BY_AT_MOST = 256
# A copy of a sanction that was lifted may still be on its way from elsewhere; it must not come into force again.
_REMEMBER_LIFTED = 86_400.0

_Place = tuple[str, str]


class SanctionBook:
    """Sanctions by whom they concern. Lives on one event loop; every call takes microseconds.

    Merging is by id and does not depend on order: a lifted sanction stays lifted, whatever arrives later. So copies
    from the store, from other gates and from this gate's own penalties may come in any order, and more than once.

    Args:
        capacity: Most sanctions kept. Beyond it, the one that ends soonest gives way and is counted in `evicted`.
    """

    def __init__(self, *, capacity: int = 1_000_000) -> None:
        self._capacity = capacity
        self._by_id: dict[str, Sanction] = {}
        self._by_user: dict[_Place, dict[str, Sanction]] = {}
        self._by_conversation: dict[_Place, dict[str, Sanction]] = {}
        self._muted: dict[_Place, dict[str, Sanction]] = {}
        self._ends: list[tuple[float, str]] = []
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Sanction]:
        return iter(tuple(self._by_id.values()))

    def get(self, identity: str) -> Sanction | None:
        """Return a sanction that is in force or was lifted lately."""
        return self._by_id.get(identity)

    def standing(self, message: Message, now: float) -> StandingSanction | None:
        """Return the sanction that keeps the sender from posting, the most severe if there are several."""
        worst: Sanction | None = None
        for place, index in (
            ((message.app_id, message.sender.id), self._by_user),
            ((message.app_id, message.conversation.id), self._by_conversation),
        ):
            for sanction in index.get(place, {}).values():
                better = worst is None or sanction.rank > worst.rank
                if better and sanction.in_force(now) and sanction.bars(message):
                    worst = sanction
        if worst is None:
            return None
        return StandingSanction(
            sanction_id=worst.id,
            notice=Notice(notify=True, reason=worst.notice_text(now)),
            type=worst.type,
            scope=worst.scope,
            remaining=None if worst.expires_at is None else worst.expires_at - now,
            reason=worst.reason,
        )

    def delivery(self, message: Message) -> Delivery | None:
        """Return who muted the sender for oneself; None if nobody did, or not the receiver of a one-to-one message."""
        muted = self._muted.get((message.app_id, message.sender.id))
        if not muted:
            return None
        place = message.conversation
        if place.receiver is not None or place.type is ConversationType.ONE_TO_ONE:
            receiver = place.receiver.id if place.receiver is not None else ""
            suppressed = any(s.for_user_id == receiver for s in muted.values())
            return Delivery(push_suppressed=True) if suppressed else None
        users = dict.fromkeys(s.for_user_id for s in muted.values() if s.conversation_id in ("", place.id))
        return Delivery(push_suppressed=False, muted_by=tuple(users)[:_MUTED_BY_AT_MOST]) if users else None

    def put(self, sanction: Sanction) -> bool:
        """Take in a sanction, new or changed; return whether that changed anything."""
        known = self._by_id.get(sanction.id)
        if known is not None and (known.lifted_at is not None or known == sanction):
            return False
        self._by_id[sanction.id] = sanction
        index, place = self._index(sanction)
        if sanction.lifted_at is None:
            index.setdefault(place, {})[sanction.id] = sanction
        else:
            self._drop(index, place, sanction.id)
        end = _forgotten_at(sanction)
        if end is not None:
            heapq.heappush(self._ends, (end, sanction.id))
        if len(self._by_id) > self._capacity:
            self._evict()
        return True

    def put_all(self, sanctions: Iterable[Sanction]) -> int:
        """Take in many; return how many of them changed anything."""
        return sum(self.put(sanction) for sanction in sanctions)

    def remove(self, identity: str) -> None:
        """Forget a sanction altogether."""
        sanction = self._by_id.pop(identity, None)
        if sanction is not None:
            self._drop(*self._index(sanction), identity)

    def erase_user(self, app_id: str, user_id: str) -> int:
        """Forget everything about a user; return how many sanctions that were."""
        mine = [s.id for s in self._by_id.values() if s.app_id == app_id and user_id in (s.user_id, s.for_user_id)]
        for identity in mine:
            self.remove(identity)
        return len(mine)

    def expire(self, now: float, *, at_most: int = 1000) -> list[Sanction]:
        """Forget sanctions that have ended, and return those that ended by themselves.

        Args:
            now: Wall-clock seconds.
            at_most: Bounds the work of one call.
        """
        ended: list[Sanction] = []
        while self._ends and self._ends[0][0] <= now and len(ended) < at_most:
            _, identity = heapq.heappop(self._ends)
            sanction = self._by_id.get(identity)
            end = None if sanction is None else _forgotten_at(sanction)
            if sanction is not None and end is not None and end <= now:
                self.remove(identity)
                if sanction.lifted_at is None:
                    ended.append(sanction)
        return ended

    def _evict(self) -> None:
        while self._ends:
            _, identity = heapq.heappop(self._ends)
            if identity in self._by_id:
                self.remove(identity)
                self.evicted += 1
                return
        # Nothing ends by itself: the oldest gives way.
        self.remove(next(iter(self._by_id)))
        self.evicted += 1

    def _index(self, sanction: Sanction) -> tuple[dict[_Place, dict[str, Sanction]], _Place]:
        if sanction.target is SanctionTarget.CONVERSATION:
            return self._by_conversation, (sanction.app_id, sanction.conversation_id)
        if sanction.target is SanctionTarget.USER_FOR_USER:
            return self._muted, (sanction.app_id, sanction.user_id)
        return self._by_user, (sanction.app_id, sanction.user_id)

    @staticmethod
    def _drop(index: dict[_Place, dict[str, Sanction]], place: _Place, identity: str) -> None:
        here = index.get(place)
        if here is not None and here.pop(identity, None) is not None and not here:
            del index[place]


def _forgotten_at(sanction: Sanction) -> float | None:
    if sanction.lifted_at is not None:
        return sanction.lifted_at + _REMEMBER_LIFTED
    return sanction.expires_at
