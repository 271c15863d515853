"""What happens around a reply: a line in the journal before it, a place in the queue after it."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import structlog

from modgate.gate.decision import Decision, RuleTrace
from modgate.review.entry import Entry, KeepPolicy, decode, encode, entry_of, explain, explanation_of
from modgate.rules.ruleset import Verdict
from modgate.storage.journal import Journal, JournalError
from modgate.storage.seal import TextSealer

__all__ = ["History", "HistoryCounts", "unhurried"]

T = TypeVar("T")

_BREATH = 16
_PAUSE = 0.0002
"""Entries, of some microseconds each, that the draining thread works on at a time, and seconds that it then sleeps."""
_UNEXPLAINED_AT_MOST = 2_000
"""Decisions whose explanation waits in memory for the store; the journal has no room for it."""


class HistoryCounts:
    """What the history did, for metrics; plain numbers that only grow."""

    __slots__ = ("dropped", "journal_failures", "journaled", "rejected", "stored", "torn")

    def __init__(self) -> None:
        self.journaled = 0
        """Decisions written to the journal before their reply."""
        self.journal_failures = 0
        """Decisions that the journal could not take; they went the way of best effort."""
        self.dropped = 0
        """Decisions lost because the queue was full."""
        self.stored = 0
        """Entries that reached the store."""
        self.rejected = 0
        """Entries that the store refused for what they are; kept in the journal's folder."""
        self.torn = 0
        """Records that a crash left unfinished; their answers were never sent."""


class History:
    """The fast side of the history; lives on the event loop, but for the methods that say otherwise.

    A plain decision waits as it is and is written down by the draining thread, in bulk. While the store is away,
    that thread turns what waits into bytes: tens of thousands of object graphs would be in the way of every garbage
    collection.

    Args:
        journal: Takes what must not be lost.
        policy: What is kept.
        sealer: Seals texts.
        queue: Most decisions that wait in memory.
    """

    def __init__(self, journal: Journal, policy: KeepPolicy, sealer: TextSealer, *, queue: int = 20_000) -> None:
        self._journal = journal
        self._policy = policy
        self._sealer = sealer
        self._room = queue
        self._fresh: deque[Decision | bytes] = deque()
        self._flat: deque[bytes] = deque()
        # Never the decision itself, whose message may have megabytes of pictures.
        self._unexplained: dict[str, Callable[[], Sequence[RuleTrace]] | Sequence[RuleTrace] | str] = {}
        self._log = structlog.get_logger("modgate.history")
        self.counts = HistoryCounts()

    def before_reply(self, decision: Decision) -> None:
        """Put a decision that must not be lost into the journal: blocked, flagged, or with a penalty. Never raises."""
        if not _must_keep(decision):
            return
        entry = entry_of(decision, self._policy, self._sealer)
        if entry["row"] is None and not entry["sanctions"]:
            return
        told = decision.traces or decision.explain
        if told and len(self._unexplained) < _UNEXPLAINED_AT_MOST:
            # Before the line is there to be read.
            self._unexplained[decision.id] = told
        try:
            self._journal.append(encode(entry))
            self.counts.journaled += 1
        except JournalError as error:
            self.counts.journal_failures += 1
            # One line a failure would fill the very disk that is full.
            if self.counts.journal_failures & (self.counts.journal_failures - 1) == 0:
                self._log.error("journal failed", error=str(error), failures=self.counts.journal_failures)
            self._enqueue(encode(entry))

    def after_reply(self, decision: Decision) -> None:
        """Take any other decision into the queue, if all are kept; dropped and counted if the queue is full."""
        if self._policy.decisions == "all" and not _must_keep(decision):
            self._enqueue(decision if not decision.message.media else _without_media(decision))

    def take(self, at_most: int) -> list[Entry]:
        """Take entries out of the queue, oldest first. For the draining thread."""
        flat = [self._flat.popleft() for _ in range(min(at_most, len(self._flat)))]
        fresh = [self._fresh.popleft() for _ in range(min(at_most - len(flat), len(self._fresh)))]
        return [self._entry(waiting) for waiting in unhurried([*flat, *fresh])]

    def give_back(self, entries: list[Entry]) -> None:
        """Put entries back in front, as far as there is room. For the draining thread."""
        room = max(0, self._room - len(self._flat) - len(self._fresh))
        kept = entries[-room:] if room else []
        self.counts.dropped += len(entries) - len(kept)
        self._flat.extendleft(encode(entry) for entry in unhurried(reversed(kept)))

    def flatten(self) -> None:
        """Turn what waits into bytes. For the draining thread, while the store is away."""
        for _ in unhurried(range(len(self._fresh))):
            waiting = self._fresh.popleft()
            self._flat.append(waiting if isinstance(waiting, bytes) else encode(self._entry(waiting)))
        for identity in unhurried(list(self._unexplained)):
            self._explanation(identity)

    def explain(self, entries: Iterable[Entry]) -> None:
        """Add to entries from the journal why they were decided as they were. For the draining thread."""
        for entry in entries:
            if entry["row"] is not None and entry["row"].id in self._unexplained:
                explain(entry, self._explanation(entry["row"].id))

    def stored(self, entries: Iterable[Entry]) -> None:
        """Take note that entries from the journal are in the store. For the draining thread."""
        for entry in entries:
            if entry["row"] is not None:
                self._unexplained.pop(entry["row"].id, None)

    def _entry(self, waiting: Decision | bytes) -> Entry:
        return decode(waiting) if isinstance(waiting, bytes) else entry_of(waiting, self._policy, self._sealer)

    def _explanation(self, identity: str) -> str:
        known = self._unexplained[identity]
        if isinstance(known, str):
            return known
        try:
            line = explanation_of(known() if callable(known) else known)
        except Exception as error:  # noqa: BLE001 - without it the decision is stored all the same
            self._log.error("a decision cannot be explained", decision_id=identity, error=type(error).__name__)
            line = ""
        self._unexplained[identity] = line
        return line

    def _enqueue(self, waiting: Decision | bytes) -> None:
        if len(self._fresh) + len(self._flat) >= self._room:
            self.counts.dropped += 1
            return
        self._fresh.append(waiting)


def unhurried(items: Iterable[T]) -> Iterator[T]:
    """Yield items, and let the event loop have the interpreter now and then.

    It would otherwise wait for it as long as a thread may keep it, again and again, until this thread is done.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % _BREATH == 0:
            time.sleep(_PAUSE)


def _must_keep(decision: Decision) -> bool:
    return decision.verdict is Verdict.BLOCK or decision.flagged or bool(decision.penalties)


def _without_media(decision: Decision) -> Decision:
    # Megabytes each, and nothing of them is kept.
    return replace(decision, message=replace(decision.message, media=()))
