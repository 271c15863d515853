"""Rules from the store: checked as a whole before a change counts, in force right after it."""

import asyncio
from collections.abc import Callable, Sequence

from modgate.rules.lists import parse_entries
from modgate.rules.load import Document
from modgate.rules.problems import RulesError
from modgate.rules.records import ListInUseError, NotFoundError, StaleError, StoredList, StoredRule
from modgate.rules.ruleset import Mode, Ruleset
from modgate.rules.schema import DocumentModel
from modgate.rules.store import RuleStore
from modgate.rules.store_state import StoreState, load_state
from modgate.rules.written import read_list_settings, read_rule, write_yaml
from modgate.rules.yaml_source import Source

__all__ = ["StoredRules"]

_MOST_PAGE = 1000
_PAGE = 100


class StoredRules:
    """Reads and changes stored rules. Lives on the event loop; storing and compiling happen in threads.

    Changes are made one after the other. Each is compiled before it is stored, so a rule that cannot run is never
    stored, and what is stored is put in force before the call returns.

    Args:
        store: Where they are kept.
        build: Compiles a document; raises `RulesError`.
        on_ruleset: Receives each new ruleset, on the event loop.
    """

    def __init__(
        self, store: RuleStore, build: Callable[[Document], Ruleset], on_ruleset: Callable[[Ruleset], None]
    ) -> None:
        self._store = store
        self._build = build
        self._on_ruleset = on_ruleset
        self._changing = asyncio.Lock()
        self._state = StoreState(DocumentModel(version=1))
        self._version = 0
        self.revision = ""
        """Revision of the ruleset in force."""

    async def open(self, seed: Document | None = None) -> Ruleset:
        """Read the store and return its rules, compiled and in force.

        Args:
            seed: What to fill an empty store with.

        Raises:
            RulesError: If what is stored cannot run any more, such as for a label that the models lost.
        """
        if seed is not None and await asyncio.to_thread(self._store.empty):
            await asyncio.to_thread(self._seed, seed)
        return await self._read()

    def _seed(self, document: Document) -> None:
        model = document.model
        settings = write_yaml(model, without=frozenset({"rules", "lists", "include"}))
        without = frozenset({"entries", "file"})
        lists = [
            (name, write_yaml(item, without=without), document.entries[name])
            for name, item in sorted(model.lists.items())
        ]
        rules = [(rule.id, write_yaml(rule, without=frozenset({"revision"})), rule.mode.value) for rule in model.rules]
        self._store.seed(settings, lists, rules, "modgate")

    async def _read(self) -> Ruleset:
        async with self._changing:
            self._version, state = await asyncio.to_thread(load_state, self._store)
            ruleset = await asyncio.to_thread(lambda: self._build(state.document()))
            self._put_in_force(state, ruleset)
            return ruleset

    def _put_in_force(self, state: StoreState, ruleset: Ruleset) -> None:
        self._state = state
        self.revision = ruleset.revision
        self._on_ruleset(ruleset)

    async def watch(self, on_error: Callable[[RulesError], None], every_s: float = 2.0) -> None:
        """Take over what other processes write to the store, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            if await asyncio.to_thread(self._store.version) != self._version:
                try:
                    await self._read()
                except RulesError as error:
                    on_error(error)

    async def _change(self, state: StoreState, write: Callable[[], object]) -> None:
        """Compile the new state, store it, put it in force; in this order, under the lock."""
        ruleset = await asyncio.to_thread(lambda: self._build(state.document()))
        # Shielded: once the store has it, it must be in force, whether or not the caller still waits.
        await asyncio.shield(asyncio.ensure_future(self._commit(state, ruleset, write)))

    async def _commit(self, state: StoreState, ruleset: Ruleset, write: Callable[[], object]) -> None:
        await asyncio.to_thread(write)
        old = [self._state]
        self._put_in_force(state, ruleset)
        # A hundred thousand entries take milliseconds to free: not on the event loop.
        await asyncio.to_thread(old.clear)

    def document(self) -> Document:
        """Return what is in force."""
        return self._state.document()

    async def compile_alone(self, rule_id: str = "", text: str = "") -> Ruleset:
        """Return a ruleset of one rule, live whatever its mode, for a trial.

        Args:
            rule_id: A stored rule.
            text: An unsaved rule; wins over `rule_id`.

        Raises:
            NotFoundError: If there is no such rule.
            RulesError: If the unsaved rule cannot run.
        """
        if not text and rule_id not in self._state.rules:
            raise NotFoundError(f'there is no rule "{rule_id}"')
        model, source = read_rule(text) if text else self._state.rules[rule_id]
        alone = self._state.copy()
        alone.rules = {model.id: (model.model_copy(update={"mode": Mode.LIVE}), source)}
        return await asyncio.to_thread(lambda: self._build(alone.document()))

    # ---- Rules

    async def create_rule(self, text: str, author: str) -> StoredRule:
        """Add a rule and return it as stored.

        Raises:
            RulesError: If it cannot run.
            ExistsError: If there is a rule of that id.
        """
        return await self._put_rule(text, author, None)

    async def update_rule(self, rule_id: str, text: str, etag: str, author: str) -> StoredRule:
        """Replace a rule and return it as stored.

        Raises:
            RulesError: If it cannot run, or its id is another one.
            NotFoundError: If there is no such rule.
            StaleError: If `etag` is not the current one; an empty one never is.
        """
        model, source = read_rule(text)
        if model.id != rule_id:
            raise RulesError(
                [source.problem(("id",), f'the id of rule "{rule_id}" cannot change', f"write id: {rule_id}")]
            )
        return await self._put_rule(text, author, etag or "none")

    async def _put_rule(self, text: str, author: str, etag: str | None) -> StoredRule:
        model, source = read_rule(text)
        async with self._changing:
            try:
                current = await asyncio.to_thread(self._store.rule, model.id)
            except NotFoundError:
                revisions = await self._past_revisions(model.id)
            else:
                if etag is not None and etag != current.etag:
                    raise StaleError(f'the rule "{model.id}"', current.etag)
                revisions = current.revision
            state = self._state.copy()
            numbered = model.model_copy(update={"revision": revisions + 1})
            state.rules[model.id] = numbered, source
            stored: list[StoredRule] = []

            def write() -> None:
                stored.append(self._store.put_rule(model.id, text, model.mode.value, author, etag))

            await self._change(state, write)
            # From here on others may break it, by changing a list: problems then need to tell whose they are.
            state.rules[model.id] = numbered, Source(f"rule {model.id}", source.places)
        return stored[0]

    async def _past_revisions(self, rule_id: str) -> int:
        try:
            return (await asyncio.to_thread(self._store.rule_revisions, rule_id, 0, 1))[0].revision
        except NotFoundError:
            return 0

    async def delete_rule(self, rule_id: str, author: str, etag: str = "") -> None:
        """Remove a rule; its revisions are kept.

        Raises:
            NotFoundError: If there is no such rule.
            StaleError: If an etag is given that is not the current one.
        """
        async with self._changing:
            current = await asyncio.to_thread(self._store.rule, rule_id)
            if etag and etag != current.etag:
                raise StaleError(f'the rule "{rule_id}"', current.etag)
            state = self._state.copy()
            state.rules.pop(rule_id, None)
            await self._change(state, lambda: self._store.delete_rule(rule_id, author, etag))

    async def rollback_rule(self, rule_id: str, revision: int, etag: str, author: str) -> StoredRule:
        """Make an older revision the newest, also of a rule that was deleted, and return it.

        Raises:
            NotFoundError: If there is no such rule or revision.
            RulesError: If the old revision cannot run any more.
            StaleError: If `etag` is not the current one.
        """
        old = await asyncio.to_thread(self._store.rule, rule_id, revision)
        newest = (await asyncio.to_thread(self._store.rule_revisions, rule_id, 0, 1))[0]
        if newest.deleted:
            return await self._put_rule(old.yaml, author, None)
        return await self._put_rule(old.yaml, author, etag or "none")

    async def rule(self, rule_id: str, revision: int = 0) -> StoredRule:
        """Return a rule as it is, or as it was at a revision.

        Raises:
            NotFoundError: If there is no such rule or revision.
        """
        return await asyncio.to_thread(self._store.rule, rule_id, revision)

    async def rules(self, page_size: int = 0, after: str = "", mode: str = "") -> tuple[list[StoredRule], str]:
        """Return a page of rules in order of their ids, and the token of the next page (empty on the last).

        Args:
            page_size: At most so many; 100 if 0, never more than 1,000.
            after: Token from the last page.
            mode: Only rules in this mode, if given.
        """
        size = min(page_size or _PAGE, _MOST_PAGE)
        found = await asyncio.to_thread(self._store.rules, after, size + 1, mode)
        return found[:size], found[size - 1].id if len(found) > size else ""

    async def rule_revisions(self, rule_id: str, page_size: int = 0, before: str = "") -> tuple[list[StoredRule], str]:
        """Return a page of what a rule has been, newest first, and the token of the next page.

        Raises:
            NotFoundError: If there never was such a rule.
            ValueError: If the token is none.
        """
        size = min(page_size or _PAGE, _MOST_PAGE)
        found = await asyncio.to_thread(self._store.rule_revisions, rule_id, int(before or 0), size + 1)
        return found[:size], str(found[size - 1].revision) if len(found) > size else ""

    # ---- Lists

    async def upload_list(self, name: str, text: str, content: bytes, etag: str, author: str) -> StoredList:
        """Create or replace a list from the bytes of a text file, and return it.

        Args:
            name: Name that rules refer to.
            text: Settings as YAML without entries, such as `kind: words`; empty keeps those of the list.
            content: One entry a line.
            etag: Of the list that this one replaces; empty replaces whatever is there.
            author: Who does this.

        Raises:
            RulesError: If the settings are wrong, or a rule cannot run with this list.
            ValueError: If the content is no list of entries, with the line.
            StaleError: If an etag is given that is not the current one.
        """
        entries = await asyncio.to_thread(parse_entries, content)
        if not entries:
            raise ValueError("the upload has no entries")
        return await self._put_list(name, text, entries, etag, author)

    async def update_list_entries(
        self, name: str, add: Sequence[str], remove: Sequence[str], etag: str, author: str
    ) -> StoredList:
        """Add and remove single entries, and return the list.

        Raises:
            NotFoundError: If there is no such list.
            ValueError: If an entry is blank or has a line break, or nothing would be left.
            RulesError: If a rule cannot run with this list.
            StaleError: If an etag is given that is not the current one.
        """
        if name not in self._state.lists:
            raise NotFoundError(f'there is no list "{name}"')
        for entry in add:
            if not entry.strip() or "\n" in entry:
                raise ValueError("an entry is one line, and not blank")

        def changed(before: tuple[str, ...]) -> tuple[str, ...]:
            gone = set(remove)
            left = tuple(dict.fromkeys([*(entry for entry in before if entry not in gone), *(e.strip() for e in add)]))
            if not left:
                raise ValueError("nothing would be left of the list; delete it instead")
            return left

        return await self._put_list(name, "", changed, etag, author)

    async def _put_list(
        self,
        name: str,
        text: str,
        entries: tuple[str, ...] | Callable[[tuple[str, ...]], tuple[str, ...]],
        etag: str,
        author: str,
    ) -> StoredList:
        async with self._changing:
            if name in self._state.lists:
                stored, after = await asyncio.to_thread(self._next_entries, name, entries)
                if etag and etag != stored.etag:
                    raise StaleError(f'the list "{name}"', stored.etag)
                text = text or stored.yaml
                if callable(entries):
                    etag = stored.etag  # what other processes add meanwhile must not be lost
            elif etag:
                raise NotFoundError(f'there is no list "{name}"')
            else:
                after = entries(()) if callable(entries) else entries
            item, source = read_list_settings(text or "kind: words", f"list {name}")
            state = self._state.copy()
            state.lists[name] = (item, source, after)
            written: list[StoredList] = []

            def write() -> None:
                written.append(self._store.put_list(name, text or "kind: words", after, author, etag))

            await self._change(state, write)
        return written[0]

    def _next_entries(
        self, name: str, entries: tuple[str, ...] | Callable[[tuple[str, ...]], tuple[str, ...]]
    ) -> tuple[StoredList, tuple[str, ...]]:
        """Return a list as it is stored and the entries that it will have. Runs in a thread."""
        stored, before = self._store.list_with_entries(name)
        return stored, entries(before) if callable(entries) else entries

    async def list_entries(self, name: str) -> tuple[StoredList, tuple[str, ...]]:
        """Return a list and its entries.

        Raises:
            NotFoundError: If there is no such list.
        """
        return await asyncio.to_thread(self._store.list_with_entries, name)

    async def lists(self) -> list[StoredList]:
        """Return all lists, without entries."""
        return await asyncio.to_thread(self._store.lists)

    async def delete_list(self, name: str, etag: str = "") -> None:
        """Remove a list.

        Raises:
            NotFoundError: If there is no such list.
            ListInUseError: If rules, drafts included, refer to it.
            StaleError: If an etag is given that is not the current one.
        """
        async with self._changing:
            if name not in self._state.lists:
                raise NotFoundError(f'there is no list "{name}"')
            users = sorted(rule_id for rule_id, (rule, _) in self._state.rules.items() if name in rule.when.lists())
            if users:
                raise ListInUseError(f'the list "{name}" is used by {", ".join(users)}')
            state = self._state.copy()
            del state.lists[name]
            await self._change(state, lambda: self._store.delete_list(name, etag))
