"""Where the rules come from: a watched file, or a store that the control plane may change."""

import asyncio
import sqlite3
from collections.abc import Callable

import structlog

from modgate.gate import Gate
from modgate.rules import Document, RulesError, Ruleset, load_document
from modgate.rules.filed import FiledRules
from modgate.rules.records import StoreRefusal
from modgate.rules.store import RuleStore
from modgate.rules.stored import StoredRules
from modgate.settings import Settings, SettingsError
from modgate.telemetry import Metrics

__all__ = ["RulesetSource"]

_PAUSE_SECONDS = 5.0


class RulesetSource:
    """Reads the rules, keeps them up to date, and puts every new ruleset in force.

    Args:
        settings: Of them, `rules` and `rules_store`.
        build: Compiles a document; runs in threads.
        metrics: The catalogue.
    """

    def __init__(self, settings: Settings, build: Callable[[Document], Ruleset], metrics: Metrics) -> None:
        self._rules = settings.rules
        self._path = settings.rules_store
        self._build = build
        self._log = structlog.get_logger("modgate.rules")
        self._reloads = metrics.counter("ruleset_reloads")
        self._info = metrics.gauge("ruleset_info")
        self._loaded = metrics.gauge("ruleset_loaded_timestamp_seconds")
        self._gate: Gate | None = None
        self._store: RuleStore | None = None
        self._watching: asyncio.Task[None] | None = None
        self.filed: FiledRules | None = None
        """The rules, if they come from a file."""
        self.stored: StoredRules | None = None
        """The rules, if they come from the store."""

    async def open(self) -> Ruleset:
        """Return the rules as they are now.

        Raises:
            RulesError: If they cannot run, with all problems.
            SettingsError: If the store cannot be opened.
        """
        if self._path is None:
            self.filed = FiledRules(self._rules, self._build, self._took_force, self._refused)
            return await self.filed.open()
        try:
            self._store = await asyncio.to_thread(RuleStore, self._path)
            seed = await self._seed() if await asyncio.to_thread(self._store.empty) else None
            self.stored = StoredRules(self._store, self._build, self._took_force)
            return await self.stored.open(seed)
        except (sqlite3.Error, StoreRefusal) as error:
            raise SettingsError(f"rules_store: cannot use {self._path}: {error}") from error

    async def _seed(self) -> Document:
        document = await asyncio.to_thread(load_document, self._rules)
        # Compiled before it is stored: rules that cannot run here would otherwise keep the next start from succeeding.
        await asyncio.to_thread(self._build, document)
        self._log.info("filling the empty rules store", store=str(self._path), rules=self._rules)
        return document

    @property
    def readable(self) -> FiledRules | StoredRules:
        """The rules, wherever they come from."""
        rules = self.stored or self.filed
        if rules is None:
            raise RuntimeError("open() comes first")
        return rules

    def follow(self, gate: Gate) -> None:
        """Put every ruleset that comes from now on in force in `gate`, and begin to watch for changes."""
        self._gate = gate
        self._watching = asyncio.create_task(self._watch())

    async def aclose(self) -> None:
        """Stop watching and close the store."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._store is not None:
            await asyncio.to_thread(self._store.close)

    async def _watch(self) -> None:
        while True:
            try:
                if self.stored is not None:
                    await self.stored.watch(self._refused)
                elif self.filed is not None:
                    await self.filed.watch()
                    return  # the package's own rules never change
            except Exception:  # noqa: BLE001 - whatever stands in the way of looking, one looks again
                self._log.exception("cannot watch the rules")
                await asyncio.sleep(_PAUSE_SECONDS)

    def _took_force(self, ruleset: Ruleset) -> None:
        if self._gate is not None:
            self._gate.swap(ruleset)
        self._info.clear()
        self._info.labels(ruleset.revision).set(1)
        self._loaded.set_to_current_time()
        self._reloads.labels("ok").inc()
        for warning in ruleset.warnings:
            self._log.warning("rules", warning=warning)
        self._log.info("ruleset in force", revision=ruleset.revision, rules=len(ruleset.rules))

    def _refused(self, error: RulesError) -> None:
        self._reloads.labels("error").inc()
        problems = [str(problem) for problem in error.problems]
        self._log.error("ruleset refused, the old one stays in force", problems=problems)
