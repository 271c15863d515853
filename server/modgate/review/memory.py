"""Everything that the gate remembers, put together: what starts in which order, and stops in the reverse one."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog
from sqlalchemy.exc import SQLAlchemyError

from modgate.detectors.flood import FloodDetector
from modgate.gate.ports import Violations
from modgate.penalties.book import SanctionBook
from modgate.penalties.floods import SharedFloods
from modgate.penalties.registry import SanctionRegistry
from modgate.penalties.replica import SanctionReplica
from modgate.penalties.restore import restore_violations
from modgate.penalties.sanction import Sanction
from modgate.penalties.shared import SharedViolations
from modgate.penalties.violations import LocalViolations
from modgate.review.archive import Archive
from modgate.review.desk import ReviewDesk
from modgate.review.drain import Drain
from modgate.review.entry import decode, sanction_of
from modgate.review.erasure import Erased, erase_user
from modgate.review.history import History
from modgate.review.retention import Retention
from modgate.review.watch import FlagWatch
from modgate.rules.ruleset import Rule
from modgate.storage.breaker import CircuitBreaker
from modgate.storage.database import Database, StoreError
from modgate.storage.journal import Journal, JournalReader
from modgate.storage.seal import TextSealer
from modgate.storage.settings import StorageSettings
from modgate.storage.valkey import AWAY, connect

__all__ = ["Memory"]

_RETRY = 2.0
_FLUSH = 30.0
_STOP = 3.0
"""Seconds that stopping may wait for the store."""


class Memory:
    """Made on the event loop of the gate; opening the journal is all that can fail here.

    Attributes:
        book: Give it to the gate as `sanctions`.
        violations: Give it to the gate as `violations`.
        history: Give it to the moderation service as `journal`.
        desk: For the review service.
        registry: For the sanction service.
        watch: For the review service.
        database: The store.
        sealer: Opens texts.

    Args:
        settings: Where and how long.
        now: Wall-clock seconds.
        floods: The flood detector, which is told what other gates of a fleet count.

    Raises:
        JournalError: The journal's folder cannot be used.
        KeyFileError: The keys cannot be used.
    """

    def __init__(
        self,
        settings: StorageSettings,
        *,
        now: Callable[[], float] = time.time,
        floods: FloodDetector | None = None,
    ) -> None:
        self._settings = settings
        self._now = now
        self._log = structlog.get_logger("modgate.memory")
        kept = settings.history
        self.sealer = TextSealer.from_file(kept.key_file)
        self._journal = Journal(
            settings.folder / "journal",
            segment_bytes=settings.journal.segment_bytes,
            max_bytes=settings.journal.max_bytes,
        )
        self.database = Database(settings.database_url, deadline=settings.deadline)
        self.history = History(self._journal, kept, self.sealer, queue=kept.queue)
        self._archive = Archive(self.database, now=now)
        self.desk = ReviewDesk(
            self.database, self.sealer, reasons=kept.report_reasons, flagged_text=kept.flagged_text, now=now
        )
        self.watch = FlagWatch(self.desk, now=now)
        self._drain = Drain(
            self._journal,
            self.history,
            self._archive,
            commit_every=settings.journal.commit_every,
            on_flagged=self.watch.nudge_from_thread,
        )
        self.book = SanctionBook()
        self._local = LocalViolations(self.book)
        self._shared: SharedViolations | None = None
        self._replica: SanctionReplica | None = None
        self._floods: SharedFloods | None = None
        if settings.valkey is not None:
            self._share(settings.valkey.url.get_secret_value(), now, floods)
        self.registry = SanctionRegistry(self.book, self.database, share=self._replica, now=now)
        self._tasks: list[asyncio.Task[None]] = []
        self._late: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._trouble = ""

    @property
    def violations(self) -> Violations:
        """What the gate asks: the shared counters with the local ones behind them, or the local ones alone."""
        return self._shared or self._local

    async def start(self, rules: Sequence[Rule] = ()) -> None:
        """Bring back what was known, and begin to move the journal into the store.

        A store that is away does not keep the gate from starting: this is tried again in the background.

        Args:
            rules: Those in force, whose windows are restored.
        """
        self.watch.start()
        for entry in await asyncio.to_thread(self._undrained_sanctions):
            self.book.put(entry)
        if not await self._open(rules):
            self._tasks.append(asyncio.create_task(self._open_later(rules)))
        self._every(self._settings.sync_every, self._keep_in_step)
        self._every(self._settings.history.retention.check_every.total_seconds(), self._retain)
        if self._replica is not None:
            self._tasks.append(asyncio.create_task(self._replica.run()))
        if self._floods is not None:
            self._tasks.append(asyncio.create_task(self._floods.run()))

    async def stop(self) -> None:
        """Move what is left into the store, as far as that takes a few seconds, and let go of everything."""
        if self._stopping:
            return
        self._stopping = True
        # From here on nobody waits long for a store that hangs; what is not stored stays in the journal.
        self.database.give_up(_STOP)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._late, return_exceptions=True)
        self.watch.stop()
        await asyncio.to_thread(self._drain.stop, _STOP)
        if self._shared is not None:
            with contextlib.suppress(*AWAY):
                await self._shared.close()
        await asyncio.to_thread(self.database.close)
        self._journal.close()

    async def flush(self) -> bool:
        """Wait until everything answered so far is in the store; False if that takes too long."""
        return await asyncio.to_thread(self._drain.flush, _FLUSH)

    async def erase_user(self, app_id: str, user_id: str, author: str) -> Erased:
        """Erase a user everywhere: store, journal, book, counters, and at the other gates.

        Raises:
            StoreError: The store is away; nothing was erased.
        """
        await self.flush()
        at_ms = int(self._now() * 1000)
        erased = await asyncio.to_thread(erase_user, self.database, app_id, user_id, at_ms=at_ms, author=author)
        self.registry.erase_user(app_id, user_id)
        erased.removed["violation_windows"] = self._local.erase_user(app_id, user_id)
        if self._shared is not None and self._replica is not None:
            self._replica.forget(app_id, user_id)
            with contextlib.suppress(*AWAY):
                erased.removed["shared_counters"] = await self._shared.erase_user(app_id, user_id)
                if self._floods is not None:
                    erased.removed["shared_counters"] += await self._floods.erase_user(app_id, user_id)
        return erased

    def figures(self) -> dict[str, float]:
        """Return what the metrics show."""
        counts = self.history.counts
        return {
            "history_journaled": counts.journaled,
            "history_stored": counts.stored,
            "history_dropped": counts.dropped,
            "history_rejected": counts.rejected,
            "journal_failures": counts.journal_failures,
            "journal_bytes": self._journal.kept_bytes,
            "store_away": float(self._drain.away),
            "sanctions_in_force": len(self.book),
            "sanctions_evicted": self.book.evicted,
            "violations_kept": len(self._local),
            "penalties_degraded": 0 if self._shared is None else self._shared.degraded,
            "shared_away": float(any(part is not None and part.away for part in (self._replica, self._floods))),
        }

    def _share(self, url: str, now: Callable[[], float], floods: FloodDetector | None) -> None:
        valkey = self._settings.valkey
        if valkey is None:
            return
        client = connect(url)
        self._replica = SanctionReplica(self.book, client, prefix=valkey.prefix, sync_every=valkey.sync_every, now=now)
        self._shared = SharedViolations(
            self._local,
            client,
            prefix=valkey.prefix,
            budget=valkey.budget,
            breaker=CircuitBreaker(monotonic=time.monotonic),
            publish=self._replica.publish,
            late=self._keep_late,
        )
        if floods is not None:
            self._floods = SharedFloods(floods, client, prefix=valkey.prefix, now=now)
            floods.share(self._floods)

    def _undrained_sanctions(self) -> list[Sanction]:
        reader = JournalReader(self._journal.folder)
        found = []
        while lines := reader.read(1000):
            for line in lines:
                # What cannot be read is put aside, and told of, when it is drained.
                with contextlib.suppress(ValueError, TypeError):
                    found += [sanction_of(row) for row in decode(line)["sanctions"]]
        reader.close()
        return found

    async def _open(self, rules: Sequence[Rule]) -> bool:
        try:
            await asyncio.to_thread(self.database.migrate)
            if not self._drain.started:
                self._drain.start()
            await asyncio.to_thread(self._drain.flush, _RETRY)
            await self.registry.sync()
            restored = await self.database.call(lambda c: restore_violations(c, self._local, rules, self._now()))
        except (StoreError, SQLAlchemyError) as error:
            # Said once, not every two seconds: what is wrong with a store may last.
            if str(error) != self._trouble:
                self._trouble = str(error)
                self._log.warning("store away, going on without it", error=self._trouble)
            return False
        self._log.info("memory open", sanctions=len(self.book), violations=restored)
        return True

    async def _open_later(self, rules: Sequence[Rule]) -> None:
        opened = False
        while not opened:
            await asyncio.sleep(_RETRY)
            opened = await self._open(rules)

    def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            while True:
                await asyncio.sleep(seconds)
                try:
                    await work()
                except (StoreError, SQLAlchemyError) as error:
                    self._log.info("store away, trying again later", error=str(error))

        self._tasks.append(asyncio.create_task(run()))

    async def _keep_in_step(self) -> None:
        while ended := self.book.expire(self._now()):
            await asyncio.to_thread(self._archive.expired, ended)
        await self.registry.sync()

    async def _retain(self) -> None:
        policy = self._settings.history.retention
        sweep = Retention(
            self.database,
            max_age=None if policy.max_age is None else policy.max_age.total_seconds(),
            max_bytes=policy.max_bytes,
            stopped=lambda: self._stopping,
            now=self._now,
        )
        await asyncio.to_thread(sweep.sweep)

    def _keep_late(self, sanction: Sanction) -> None:
        async def keep() -> None:
            with contextlib.suppress(StoreError):
                await self.registry.keep(sanction)

        task = asyncio.create_task(keep())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
