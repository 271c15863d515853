"""Moves the journal and the queue into the store, in a thread of its own: group commit, exactly once, in order."""

import threading
import time
from collections.abc import Callable

import structlog
from sqlalchemy.exc import SQLAlchemyError

from modgate.review.archive import Archive
from modgate.review.entry import Entry, decode, encode
from modgate.review.history import History, unhurried
from modgate.storage.database import StoreError
from modgate.storage.journal import Journal, JournalReader, Position

__all__ = ["Drain"]

_BATCH = 200
_BETWEEN = 0.02
"""Seconds between two batches of a backlog: the event loop has messages to answer."""
_LONGEST_PAUSE = 2.0


class Drain:
    """The journal's position is stored in the transaction that stores its entries, so nothing is stored twice.

    While the store is away the journal is the spool: it grows, and is drained in order when the store is back.

    Args:
        journal: Where entries come from.
        history: Its queue is drained as well.
        archive: Where they go.
        commit_every: Seconds between two looks.
        on_flagged: Called in the draining thread with the ids of new items for moderators.
    """

    def __init__(
        self,
        journal: Journal,
        history: History,
        archive: Archive,
        *,
        commit_every: float = 0.5,
        on_flagged: Callable[[list[str]], None] | None = None,
    ) -> None:
        self._journal = journal
        self._history = history
        self._archive = archive
        self._pause = commit_every
        self._on_flagged = on_flagged
        self._log = structlog.get_logger("modgate.history")
        self._stop = threading.Event()
        self._stop_at = float("inf")
        self._wake = threading.Event()
        self._idle = threading.Condition()
        self._passes = 0
        self._thread = threading.Thread(target=self._run, name="modgate-drain", daemon=True)
        self.away = False

    @property
    def started(self) -> bool:
        """Whether it has begun."""
        return self._thread.ident is not None

    def start(self) -> None:
        """Begin; the rest of the journal, from before this start, comes first."""
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Drain what is there, within a time in seconds, and end; what remains is drained after the next start."""
        self._stop_at = time.monotonic() + timeout
        self._stop.set()
        self._wake.set()
        if self.started:
            self._thread.join(timeout + 0.5)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything that was appended before this call is in the store; False if that did not happen."""
        with self._idle:
            # A pass may be under way that read the journal before this call: the next one counts.
            wanted = self._passes + 2
            self._wake.set()
            return self._idle.wait_for(lambda: self._passes >= wanted or not self._thread.is_alive(), timeout)

    def _run(self) -> None:
        reader: JournalReader | None = None
        pause = self._pause
        while True:
            stopping = self._stop.is_set()
            try:
                if reader is None or self.away:
                    # Also asks whether it is back, before anything is read for it.
                    position = self._archive.position(self._journal.identity)
                    reader = reader or JournalReader(self._journal.folder, position)
                self._drain(reader)
            except (StoreError, SQLAlchemyError, OSError) as error:
                if not self.away:
                    self._log.warning("store away, the journal takes what must not be lost", error=str(error))
                self.away = True
                self._history.flatten()
                pause = min(_LONGEST_PAUSE, pause * 2)
            else:
                if self.away:
                    self._log.info("store back, journal drained")
                self.away = False
                pause = self._pause
                with self._idle:
                    self._passes += 1
                    self._idle.notify_all()
            if stopping:
                if reader is not None:
                    reader.close()
                return
            self._wake.wait(pause)
            self._wake.clear()

    def _drain(self, reader: JournalReader) -> None:
        while True:
            start = reader.position
            lines = reader.read(_BATCH)
            self._history.counts.torn = reader.torn
            queued = self._history.take(_BATCH)
            if not lines and not queued:
                return
            entries = [entry for line in unhurried(lines) if (entry := self._decoded(line)) is not None]
            try:
                self._history.explain(entries)
                self._store(entries, queued, reader.position)
            except BaseException:
                reader.rewind(start)
                self._history.give_back(queued)
                raise
            self._history.stored(entries)
            self._history.counts.stored += len(lines) + len(queued)
            if reader.position.segment != start.segment:
                self._journal.drained(reader.position)
            if time.monotonic() > self._stop_at:
                return
            if max(len(lines), len(queued)) == _BATCH:
                self._stop.wait(_BETWEEN)

    def _store(self, entries: list[Entry], queued: list[Entry], position: Position) -> None:
        journal = (self._journal.identity, position)
        try:
            flagged = self._archive.write(entries + queued, journal)
        except StoreError:
            raise
        except SQLAlchemyError:
            # Not the store but something in the batch: find it, so that the rest gets through.
            flagged = self._store_singly(entries + queued)
            self._archive.write([], journal)
        if flagged and self._on_flagged is not None:
            self._on_flagged(flagged)

    def _store_singly(self, entries: list[Entry]) -> list[str]:
        flagged = []
        for entry in entries:
            try:
                flagged += self._archive.write([entry])
            except StoreError:
                raise
            except SQLAlchemyError as error:
                self._reject(encode(entry), error)
        return flagged

    def _decoded(self, line: bytes) -> Entry | None:
        try:
            return decode(line)
        except (ValueError, TypeError) as error:
            # Of another version of the gate; the rest must get through.
            self._reject(line, error)
            return None

    def _reject(self, line: bytes, error: Exception) -> None:
        self._history.counts.rejected += 1
        path = self._journal.folder / "rejected.jsonl"
        with path.open("ab") as rejected:
            rejected.write(line + b"\n")
        self._log.error("an entry cannot be stored", kept_in=str(path), error=type(error).__name__)
