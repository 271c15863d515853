"""Rules and lists in SQLite: every revision of every rule, and who made it.

One write is one transaction, flushed to disk before it counts. A process that dies in the middle leaves the old
state or the new one, never a mixture.
"""

import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from modgate.rules.records import ExistsError, NotFoundError, StaleError, StoredList, StoredRule, StoreRefusal

__all__ = ["RuleStore"]

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE rules (
    id TEXT NOT NULL, revision INTEGER NOT NULL, yaml TEXT NOT NULL, mode TEXT NOT NULL,
    author TEXT NOT NULL, changed_at REAL NOT NULL, deleted INTEGER NOT NULL,
    PRIMARY KEY (id, revision)
) WITHOUT ROWID;
CREATE TABLE lists (
    name TEXT NOT NULL PRIMARY KEY, yaml TEXT NOT NULL, entries BLOB NOT NULL, entry_count INTEGER NOT NULL,
    revision INTEGER NOT NULL, author TEXT NOT NULL, changed_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE settings (
    revision INTEGER NOT NULL PRIMARY KEY, yaml TEXT NOT NULL, author TEXT NOT NULL, changed_at REAL NOT NULL
);
"""


def _pack(entries: Sequence[str]) -> bytes:
    return zlib.compress("\n".join(entries).encode("utf-8", "surrogatepass"), level=1)


def _unpack(packed: bytes) -> tuple[str, ...]:
    text = zlib.decompress(packed).decode("utf-8", "surrogatepass")
    return tuple(text.split("\n")) if text else ()


_RULE = "SELECT id, yaml, mode, revision, author, changed_at, deleted FROM rules"
_CURRENT = " AND deleted = 0 AND revision = (SELECT max(revision) FROM rules AS newer WHERE newer.id = rules.id)"
_ADD_RULE = "INSERT INTO rules (id, yaml, mode, revision, author, changed_at, deleted) VALUES (?, ?, ?, ?, ?, ?, ?)"
_LIST = "SELECT name, yaml, entry_count, revision, author, changed_at FROM lists"
_LIST_AND_ENTRIES = "SELECT name, yaml, entry_count, revision, author, changed_at, entries FROM lists"
_PUT_LIST = (
    "INSERT OR REPLACE INTO lists (name, yaml, entry_count, revision, author, changed_at, entries)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def _rule(row: tuple[str, str, str, int, str, float, int]) -> StoredRule:
    return StoredRule(*row[:6], deleted=bool(row[6]))


class RuleStore:
    """Blocking and thread-safe; call it from threads.

    Args:
        path: The file; it is made if it is not there. Its folder must exist.
        now: Wall-clock seconds.
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=10, check_same_thread=False, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        with self._write() as connection:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif version != _SCHEMA_VERSION:
                raise StoreRefusal(f"{path} has schema {version}; this version of modgate knows {_SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def version(self) -> int:
        """Return a number that changes when another process has written; for polling."""
        with self._lock:
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def empty(self) -> bool:
        """Whether nothing was ever stored."""
        with self._lock:
            query = (
                "SELECT (SELECT count(*) FROM rules) + (SELECT count(*) FROM lists) + (SELECT count(*) FROM settings)"
            )
            return int(self._connection.execute(query).fetchone()[0]) == 0

    # ---- Rules

    def rule(self, rule_id: str, revision: int = 0) -> StoredRule:
        """Return a rule as it is, or as it was at a revision.

        Raises:
            NotFoundError: If there is none.
        """
        where = " WHERE id = ? AND revision = ?" if revision else f" WHERE id = ?{_CURRENT}"
        values = (rule_id, revision) if revision else (rule_id,)
        with self._lock:
            row = self._connection.execute(_RULE + where, values).fetchone()
        if row is None:
            raise NotFoundError(f'there is no rule "{rule_id}"' + (f" at revision {revision}" if revision else ""))
        return _rule(row)

    def rules(self, after: str = "", limit: int = -1, mode: str = "") -> list[StoredRule]:
        """Return current rules in order of their ids.

        Args:
            after: Only rules with a greater id.
            limit: At most so many; all if negative.
            mode: Only rules in this mode, if given.
        """
        query = f"{_RULE} WHERE id > ?{_CURRENT}"
        values: list[object] = [after]
        if mode:
            query += " AND mode = ?"
            values.append(mode)
        with self._lock:
            rows = self._connection.execute(f"{query} ORDER BY id LIMIT ?", (*values, limit)).fetchall()
        return [_rule(row) for row in rows]

    def rule_revisions(self, rule_id: str, before: int = 0, limit: int = -1) -> list[StoredRule]:
        """Return what a rule has been, newest first.

        Args:
            rule_id: The rule.
            before: Only older revisions than this, if given.
            limit: At most so many; all if negative.

        Raises:
            NotFoundError: If there never was such a rule.
        """
        query = _RULE + " WHERE id = ? AND (? = 0 OR revision < ?) ORDER BY revision DESC LIMIT ?"
        with self._lock:
            rows = self._connection.execute(query, (rule_id, before, before, limit)).fetchall()
            known = rows or self._connection.execute("SELECT 1 FROM rules WHERE id = ?", (rule_id,)).fetchone()
        if not known:
            raise NotFoundError(f'there is no rule "{rule_id}"')
        return [_rule(row) for row in rows]

    def put_rule(self, rule_id: str, text: str, mode: str, author: str, etag: str | None) -> StoredRule:
        """Store a new revision of a rule.

        Args:
            rule_id: The rule.
            text: The rule as YAML.
            mode: draft, shadow or live.
            author: Who does this.
            etag: Of the revision that this one replaces; None to create the rule.

        Raises:
            ExistsError: If the rule is to be created and is there already.
            NotFoundError: If it is to be replaced and is not there.
            StaleError: If somebody else replaced it meanwhile.
        """
        with self._write() as connection:
            current = self._newest(connection, rule_id)
            if etag is None:
                if current is not None and not current.deleted:
                    raise ExistsError(f'there is a rule "{rule_id}" already; update it instead')
            else:
                self._check(current, rule_id, etag)
            revision = current.revision + 1 if current is not None else 1
            stored = StoredRule(rule_id, text, mode, revision, author, self._now())
            self._insert(connection, stored)
        return stored

    def delete_rule(self, rule_id: str, author: str, etag: str = "") -> None:
        """Remove a rule; its revisions are kept.

        Raises:
            NotFoundError: If there is none.
            StaleError: If an etag is given that is not the current one.
        """
        with self._write() as connection:
            current = self._newest(connection, rule_id)
            stored = self._check(current, rule_id, etag)
            gone = StoredRule(rule_id, stored.yaml, stored.mode, stored.revision + 1, author, self._now(), deleted=True)
            self._insert(connection, gone)

    @staticmethod
    def _newest(connection: sqlite3.Connection, rule_id: str) -> StoredRule | None:
        query = _RULE + " WHERE id = ? ORDER BY revision DESC LIMIT 1"
        row = connection.execute(query, (rule_id,)).fetchone()
        return _rule(row) if row else None

    @staticmethod
    def _check(current: StoredRule | None, rule_id: str, etag: str) -> StoredRule:
        if current is None or current.deleted:
            raise NotFoundError(f'there is no rule "{rule_id}"')
        if etag and etag != current.etag:
            raise StaleError(f'the rule "{rule_id}"', current.etag)
        return current

    @staticmethod
    def _insert(connection: sqlite3.Connection, stored: StoredRule) -> None:
        connection.execute(
            _ADD_RULE,
            (stored.id, stored.yaml, stored.mode, stored.revision, stored.author, stored.changed_at, stored.deleted),
        )

    # ---- Lists

    def lists(self) -> list[StoredList]:
        """Return all lists in order of their names."""
        with self._lock:
            rows = self._connection.execute(_LIST + " ORDER BY name").fetchall()
        return [StoredList(*row) for row in rows]

    def list_with_entries(self, name: str) -> tuple[StoredList, tuple[str, ...]]:
        """Return a list and its entries.

        Raises:
            NotFoundError: If there is none.
        """
        with self._lock:
            query = _LIST_AND_ENTRIES + " WHERE name = ?"
            row = self._connection.execute(query, (name,)).fetchone()
        if row is None:
            raise NotFoundError(f'there is no list "{name}"')
        return StoredList(*row[:6]), _unpack(row[6])

    def put_list(self, name: str, text: str, entries: Sequence[str], author: str, etag: str | None = "") -> StoredList:
        """Create or replace a list.

        Args:
            name: Name that rules refer to.
            text: Its settings as YAML.
            entries: Its entries.
            author: Who does this.
            etag: Of the list that this one replaces; empty replaces whatever is there, None only creates.

        Raises:
            ExistsError: If it is only to be created and is there already.
            StaleError: If an etag is given that is not the current one, or the list is gone.
        """
        packed = _pack(entries)
        with self._write() as connection:
            query = _LIST + " WHERE name = ?"
            row = connection.execute(query, (name,)).fetchone()
            current = StoredList(*row) if row else None
            if current is not None and etag is None:
                raise ExistsError(f'there is a list "{name}" already')
            if etag and (current is None or etag != current.etag):
                raise StaleError(f'the list "{name}"', current.etag if current else "")
            revision = current.revision + 1 if current else 1
            stored = StoredList(name, text, len(entries), revision, author, self._now())
            connection.execute(
                _PUT_LIST,
                (name, text, len(entries), revision, author, stored.changed_at, packed),
            )
        return stored

    def delete_list(self, name: str, etag: str = "") -> None:
        """Remove a list. The caller has made sure that no rule uses it.

        Raises:
            NotFoundError: If there is none.
            StaleError: If an etag is given that is not the current one.
        """
        with self._write() as connection:
            query = _LIST + " WHERE name = ?"
            row = connection.execute(query, (name,)).fetchone()
            if row is None:
                raise NotFoundError(f'there is no list "{name}"')
            current = StoredList(*row)
            if etag and etag != current.etag:
                raise StaleError(f'the list "{name}"', current.etag)
            connection.execute("DELETE FROM lists WHERE name = ?", (name,))

    # ---- Settings and seeding

    def settings(self) -> str:
        """Return what rules and lists leave: budget, defaults and so on, as YAML of a rule file; empty if none."""
        with self._lock:
            query = "SELECT yaml FROM settings ORDER BY revision DESC LIMIT 1"
            row = self._connection.execute(query).fetchone()
        return str(row[0]) if row else ""

    def seed(
        self,
        settings: str,
        lists: Sequence[tuple[str, str, Sequence[str]]],
        rules: Sequence[tuple[str, str, str]],
        author: str,
    ) -> None:
        """Fill an empty store, all or nothing.

        Args:
            settings: As `settings` returns them.
            lists: Name, settings as YAML, and entries of each list.
            rules: Id, YAML and mode of each rule.
            author: Who does this.

        Raises:
            ExistsError: If it is not empty.
        """
        packed = [(name, text, _pack(entries), len(entries)) for name, text, entries in lists]
        now = self._now()
        with self._write() as connection:
            if connection.execute("SELECT 1 FROM settings").fetchone():
                raise ExistsError("the store has rules already")
            connection.execute("INSERT INTO settings VALUES (1, ?, ?, ?)", (settings, author, now))
            for name, text, entries, count in packed:
                row = (name, text, count, 1, author, now, entries)
                connection.execute(_PUT_LIST, row)
            for rule_id, text, mode in rules:
                self._insert(connection, StoredRule(rule_id, text, mode, 1, author, now))
