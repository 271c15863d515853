"""The tables, as the newest migration leaves them; a test compares the two.

Ids of decisions sort by time, so they are primary key, order and page cursor at once. Times are milliseconds since
the epoch. Every index that serves a search ends with the id, so that a page is read in order and nothing is sorted.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

__all__ = [
    "audit",
    "decision_matches",
    "decisions",
    "erasures",
    "journal_positions",
    "metadata",
    "review_items",
    "sanctions",
]

metadata = MetaData()


def _id(name: str = "id", *, primary_key: bool = False) -> Column[str]:
    return Column(name, String(64), nullable=False, primary_key=primary_key)


def _name(name: str) -> Column[str]:
    return Column(name, String(255), nullable=False, server_default="")


decisions = Table(
    "decisions",
    metadata,
    _id(primary_key=True),
    Column("decided_ms", BigInteger, nullable=False),
    _name("app_id"),
    _name("message_id"),
    _name("sender_id"),
    _name("sender_name"),
    _name("receiver_id"),
    _name("conversation_id"),
    _name("conversation_name"),
    Column("conversation_type", SmallInteger, nullable=False),
    Column("verdict", SmallInteger, nullable=False),
    Column("flagged", Boolean, nullable=False),
    _name("ruleset_revision"),
    Column("elapsed", Float, nullable=False),
    Column("text_form", SmallInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("details", Text, nullable=False, comment="JSON: matches, fallback, penalties, explanation"),
    Index("ix_decisions_sender", "sender_id", "id"),
    Index("ix_decisions_conversation", "conversation_id", "id"),
    Index("ix_decisions_message", "message_id", "id"),
    Index(
        "ix_decisions_receiver",
        "receiver_id",
        "id",
        sqlite_where=text("receiver_id <> ''"),
        postgresql_where=text("receiver_id <> ''"),
    ),
    Index(
        "ix_decisions_verdict",
        "verdict",
        "id",
        sqlite_where=text("verdict > 1"),
        postgresql_where=text("verdict > 1"),
    ),
    sqlite_with_rowid=False,
)

decision_matches = Table(
    "decision_matches",
    metadata,
    Column("name", String(320), primary_key=True, nullable=False, comment="rule:ID or label:NAME"),
    _id("decision_id", primary_key=True),
    Index("ix_decision_matches_decision", "decision_id"),
    sqlite_with_rowid=False,
)

review_items = Table(
    "review_items",
    metadata,
    _id(primary_key=True),
    _id("decision_id"),
    Column("state", SmallInteger, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("flagged_ms", BigInteger, nullable=False),
    Column("recorded_ms", BigInteger, nullable=False),
    _name("app_id"),
    _name("message_id"),
    _name("sender_id"),
    _name("receiver_id"),
    _name("conversation_id"),
    Column("conversation_type", SmallInteger, nullable=False),
    Column("text_form", SmallInteger, nullable=False),
    Column("text", Text, nullable=False),
    _name("reason"),
    _name("reporter_id"),
    _name("reported_user_id"),
    Column("note", Text, nullable=False),
    _name("moderator"),
    Column("decided_ms", BigInteger),
    Index("ix_review_items_open", "id", sqlite_where=text("state <= 2"), postgresql_where=text("state <= 2")),
    Index(
        "ix_review_items_decided",
        "decided_ms",
        "id",
        sqlite_where=text("state > 2"),
        postgresql_where=text("state > 2"),
    ),
    Index("ix_review_items_recorded", "recorded_ms"),
    Index("ix_review_items_decision", "decision_id"),
    Index("ix_review_items_sender", "sender_id", "id"),
    sqlite_with_rowid=False,
)

sanctions = Table(
    "sanctions",
    metadata,
    _id(primary_key=True),
    _name("app_id"),
    Column("target", String(16), nullable=False),
    Column("type", String(16), nullable=False),
    Column("scope", String(16), nullable=False),
    _name("user_id"),
    _name("conversation_id"),
    _name("for_user_id"),
    Column("reason", Text, nullable=False),
    _name("author"),
    Column("exempt_roles", Text, nullable=False, comment="JSON list"),
    Column("imposed_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger),
    Column("lifted_ms", BigInteger),
    Column("changed_ms", BigInteger, nullable=False),
    Index("ix_sanctions_user", "user_id", "id"),
    Index("ix_sanctions_conversation", "conversation_id", "id"),
    Index("ix_sanctions_changed", "changed_ms"),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    _id(primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", String(16), nullable=False, comment="sanction, review or erasure"),
    _id("subject_id"),
    Column("event", String(16), nullable=False),
    _name("author"),
    Column("reason", Text, nullable=False),
    Index("ix_audit_subject", "kind", "subject_id", "id"),
    sqlite_with_rowid=False,
)

erasures = Table(
    "erasures",
    metadata,
    Column("user_hash", String(64), primary_key=True, nullable=False, comment="SHA-256 of app id, NUL, user id"),
    Column("at_ms", BigInteger, nullable=False),
    Index("ix_erasures_at", "at_ms"),
    sqlite_with_rowid=False,
)

journal_positions = Table(
    "journal_positions",
    metadata,
    _id("journal_id", primary_key=True),
    Column("segment", BigInteger, nullable=False),
    Column("byte", BigInteger, nullable=False),
    Column("drained_ms", BigInteger, nullable=False),
)
