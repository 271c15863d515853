"""What the store keeps of rules and lists, and the ways in which it refuses.

StoreRefusal
├── NotFoundError
├── ExistsError
├── StaleError
└── ListInUseError
"""

import hashlib
from dataclasses import dataclass

__all__ = ["ExistsError", "ListInUseError", "NotFoundError", "StaleError", "StoreRefusal", "StoredList", "StoredRule"]


class StoreRefusal(Exception):  # noqa: N818  # the base of the four below; none of them is a failure of the store
    """The store will not do that; nothing has changed."""


class NotFoundError(StoreRefusal):
    """There is no such rule, revision or list."""


class ExistsError(StoreRefusal):
    """There is one already."""


class StaleError(StoreRefusal):
    """Somebody else was faster.

    Attributes:
        etag: The current etag.
    """

    def __init__(self, what: str, etag: str) -> None:
        super().__init__(f"{what} has been changed since you read it; its etag is now {etag}")
        self.etag = etag


class ListInUseError(StoreRefusal):
    """Rules refer to the list."""


@dataclass(frozen=True, slots=True)
class StoredRule:
    """One revision of a rule.

    Attributes:
        id: The rule.
        yaml: As written.
        mode: draft, shadow or live.
        revision: Counts up with every change.
        author: Who made this revision.
        changed_at: When, in seconds since the epoch.
        deleted: Whether this revision removed the rule.
    """

    id: str
    yaml: str
    mode: str
    revision: int
    author: str
    changed_at: float
    deleted: bool = False

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return _etag(self.id, self.revision, self.yaml)


@dataclass(frozen=True, slots=True)
class StoredList:
    """A list without its entries.

    Attributes:
        name: Name that rules refer to.
        yaml: Its settings as written, without entries.
        entry_count: How many entries it has.
        revision: Counts up with every change.
        author: Who changed it last.
        changed_at: When, in seconds since the epoch.
    """

    name: str
    yaml: str
    entry_count: int
    revision: int
    author: str
    changed_at: float

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return _etag(self.name, self.revision, f"{self.entry_count} {self.yaml}")


def _etag(name: str, revision: int, content: str) -> str:
    return hashlib.sha256(f"{name}\0{revision}\0{content}".encode()).hexdigest()[:16]
