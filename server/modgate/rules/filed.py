"""Rules from a file, to be read the way stored rules are. Changing them is up to whoever owns the file."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from modgate.rules.load import Document, Origin
from modgate.rules.problems import RulesError
from modgate.rules.records import NotFoundError, StoredList, StoredRule
from modgate.rules.ruleset import Mode, Ruleset
from modgate.rules.schema import RuleModel
from modgate.rules.watch import RulesSource
from modgate.rules.written import read_rule, write_yaml

__all__ = ["FiledRules"]

_AUTHOR = "file"
_MOST_PAGE = 1000
_PAGE = 100


@dataclass(frozen=True, slots=True)
class _Read:
    """What a file held at one time."""

    ruleset: Ruleset
    document: Document
    changed_at: float


class FiledRules:
    """Watches a rule file and tells what is in it. Lives on the event loop; loading and compiling happen in threads.

    Args:
        path: The rule file, or `builtin:default`.
        build: Compiles a document; raises `RulesError`.
        on_ruleset: Receives each ruleset, on the event loop.
        on_error: Receives the problems of a refused change, on the event loop.
    """

    def __init__(
        self,
        path: str,
        build: Callable[[Document], Ruleset],
        on_ruleset: Callable[[Ruleset], None],
        on_error: Callable[[RulesError], None],
    ) -> None:
        self._compile = build
        self._on_ruleset = on_ruleset
        self._source = RulesSource(path, self._build, self._put_in_force, on_error)
        self._read: _Read | None = None
        self._in_force: _Read | None = None

    def _build(self, document: Document) -> Ruleset:
        ruleset = self._compile(document)
        self._read = _Read(ruleset, document, max(map(_modified, document.files), default=0.0))
        return ruleset

    def _put_in_force(self, ruleset: Ruleset) -> None:
        self._in_force = self._read
        self._on_ruleset(ruleset)

    @property
    def revision(self) -> str:
        """Revision of the ruleset in force."""
        return self._now.ruleset.revision

    @property
    def _now(self) -> _Read:
        if self._in_force is None:
            raise RuntimeError("open() comes first")
        return self._in_force

    async def open(self) -> Ruleset:
        """Load the file and return its rules, compiled and in force.

        Raises:
            RulesError: With all problems.
        """
        ruleset = await asyncio.to_thread(self._source.read)
        self._put_in_force(ruleset)
        return ruleset

    async def watch(self) -> None:
        """Take over changes of the file, until cancelled."""
        await self._source.run(load_first=False)

    def document(self) -> Document:
        """Return what is in force."""
        return self._now.document

    async def compile_alone(self, rule_id: str = "", text: str = "") -> Ruleset:
        """Return a ruleset of one rule, live whatever its mode, for a trial.

        Args:
            rule_id: A rule of the file.
            text: An unsaved rule; wins over `rule_id`.

        Raises:
            NotFoundError: If there is no such rule.
            RulesError: If the unsaved rule cannot run.
        """
        document = self.document()
        origins = document.origins
        if text:
            model, source = read_rule(text)
            origins = {**origins, ("rules", model.id): Origin(source, ())}
        else:
            model = self._model(rule_id)
        live = model.model_copy(update={"mode": Mode.LIVE})
        one = replace(document, model=document.model.model_copy(update={"rules": (live,)}), origins=origins)
        return await asyncio.to_thread(self._compile, one)

    def _model(self, rule_id: str) -> RuleModel:
        for model in self.document().model.rules:
            if model.id == rule_id:
                return model
        raise NotFoundError(f'there is no rule "{rule_id}"')

    def _told(self, model: RuleModel) -> StoredRule:
        text = write_yaml(model, without=frozenset({"revision"}))
        return StoredRule(model.id, text, model.mode.value, model.revision, _AUTHOR, self._now.changed_at)

    async def rule(self, rule_id: str, revision: int = 0) -> StoredRule:
        """Return a rule. Of files only the present is known.

        Raises:
            NotFoundError: If there is no such rule, or it has another revision.
        """
        told = self._told(self._model(rule_id))
        if revision not in {0, told.revision}:
            raise NotFoundError(f'there is no rule "{rule_id}" at revision {revision}; files keep no older ones')
        return told

    async def rules(self, page_size: int = 0, after: str = "", mode: str = "") -> tuple[list[StoredRule], str]:
        """Return a page of rules in order of their ids, and the token of the next page (empty on the last).

        Args:
            page_size: At most so many; 100 if 0, never more than 1,000.
            after: Token from the last page.
            mode: Only rules in this mode, if given.
        """
        size = min(page_size or _PAGE, _MOST_PAGE)
        models = [m for m in self.document().model.rules if m.id > after and mode in {"", m.mode.value}]
        found = sorted(models, key=lambda model: model.id)
        # Writing YAML takes a millisecond a rule.
        told = await asyncio.to_thread(lambda: [self._told(model) for model in found[:size]])
        return told, found[size - 1].id if len(found) > size else ""

    async def rule_revisions(self, rule_id: str, page_size: int = 0, before: str = "") -> tuple[list[StoredRule], str]:
        """Return the one revision that a file has.

        Raises:
            NotFoundError: If there is no such rule.
        """
        del page_size
        told = self._told(self._model(rule_id))
        return ([] if before else [told]), ""

    async def lists(self) -> list[StoredList]:
        """Return all lists, without entries."""
        return [self._list(name) for name in sorted(self.document().model.lists)]

    async def list_entries(self, name: str) -> tuple[StoredList, tuple[str, ...]]:
        """Return a list and its entries.

        Raises:
            NotFoundError: If there is no such list.
        """
        if name not in self.document().model.lists:
            raise NotFoundError(f'there is no list "{name}"')
        return self._list(name), self.document().entries[name]

    def _list(self, name: str) -> StoredList:
        document = self.document()
        text = write_yaml(document.model.lists[name], without=frozenset({"entries"}))
        return StoredList(name, text, len(document.entries[name]), 1, _AUTHOR, self._now.changed_at)


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
