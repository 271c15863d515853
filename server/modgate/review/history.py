"""What happens around a reply: a line in the journal before it, a place in the queue after it."""

from collections import deque

import structlog

from modgate.gate.decision import Decision
from modgate.review.entry import Entry, KeepPolicy, encode, entry_of
from modgate.rules.ruleset import Verdict
from modgate.storage.journal import Journal, JournalError
from modgate.storage.seal import TextSealer

__all__ = ["History", "HistoryCounts"]


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
    """The fast side of the history; lives on the event loop.

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
        self._queue: deque[Entry] = deque()
        self._log = structlog.get_logger("modgate.history")
        self.counts = HistoryCounts()

    def before_reply(self, decision: Decision) -> None:
        """Put a decision that must not be lost into the journal: blocked, flagged, or with a penalty. Never raises."""
        if not _must_keep(decision):
            return
        entry = entry_of(decision, self._policy, self._sealer)
        if entry["row"] is None and not entry["sanctions"]:
            return
        try:
            self._journal.append(encode(entry))
            self.counts.journaled += 1
        except JournalError as error:
            self.counts.journal_failures += 1
            # One line a failure would fill the very disk that is full.
            if self.counts.journal_failures & (self.counts.journal_failures - 1) == 0:
                self._log.error("journal failed", error=str(error), failures=self.counts.journal_failures)
            self._enqueue(entry)

    def after_reply(self, decision: Decision) -> None:
        """Take any other decision into the queue, if all are kept; dropped and counted if the queue is full."""
        if self._policy.decisions == "all" and not _must_keep(decision):
            self._enqueue(entry_of(decision, self._policy, self._sealer))

    def take(self, at_most: int) -> list[Entry]:
        """Take entries out of the queue, oldest first. For the draining thread."""
        return [self._queue.popleft() for _ in range(min(at_most, len(self._queue)))]

    def give_back(self, entries: list[Entry]) -> None:
        """Put entries back in front, as far as there is room."""
        room = max(0, self._room - len(self._queue))
        kept = entries[-room:] if room else []
        self.counts.dropped += len(entries) - len(kept)
        self._queue.extendleft(reversed(kept))

    def _enqueue(self, entry: Entry) -> None:
        if len(self._queue) >= self._room:
            self.counts.dropped += 1
            return
        self._queue.append(entry)


def _must_keep(decision: Decision) -> bool:
    return decision.verdict is Verdict.BLOCK or decision.flagged or bool(decision.penalties)
