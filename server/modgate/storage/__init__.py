"""SQLite, PostgreSQL and Valkey behind small interfaces; the journal; migrations."""

from modgate.storage.breaker import CircuitBreaker
from modgate.storage.database import Database, StoreAwayError, StoreError, StoreTimeoutError
from modgate.storage.journal import Journal, JournalError, JournalReader, Position
from modgate.storage.seal import KeptText, TextForm, TextSealer
from modgate.storage.settings import StorageSettings

__all__ = [
    "CircuitBreaker",
    "Database",
    "Journal",
    "JournalError",
    "JournalReader",
    "KeptText",
    "Position",
    "StorageSettings",
    "StoreAwayError",
    "StoreError",
    "StoreTimeoutError",
    "TextForm",
    "TextSealer",
]
