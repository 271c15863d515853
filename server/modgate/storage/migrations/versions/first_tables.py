"""Make the first tables: decisions, the review queue, sanctions, the audit trail, erasures, journal positions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "audit",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False, comment="sanction, review or erasure"),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=16), nullable=False),
        sa.Column("author", sa.String(length=255), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_subject", "audit", ["kind", "subject_id", "id"], unique=False)
    op.create_table(
        "decision_matches",
        sa.Column("name", sa.String(length=320), nullable=False, comment="rule:ID or label:NAME"),
        sa.Column("decision_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", "decision_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_decision_matches_decision", "decision_matches", ["decision_id"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=False),
        sa.Column("app_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("message_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("sender_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("sender_name", sa.String(length=255), server_default="", nullable=False),
        sa.Column("receiver_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("conversation_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("conversation_name", sa.String(length=255), server_default="", nullable=False),
        sa.Column("conversation_type", sa.SmallInteger(), nullable=False),
        sa.Column("verdict", sa.SmallInteger(), nullable=False),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column("ruleset_revision", sa.String(length=255), server_default="", nullable=False),
        sa.Column("elapsed", sa.Float(), nullable=False),
        sa.Column("text_form", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), nullable=False, comment="JSON: matches, fallback, penalties, explanation"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_decisions_conversation", "decisions", ["conversation_id", "id"], unique=False)
    op.create_index("ix_decisions_message", "decisions", ["message_id", "id"], unique=False)
    op.create_index(
        "ix_decisions_receiver",
        "decisions",
        ["receiver_id", "id"],
        unique=False,
        sqlite_where=sa.text("receiver_id <> ''"),
        postgresql_where=sa.text("receiver_id <> ''"),
    )
    op.create_index("ix_decisions_sender", "decisions", ["sender_id", "id"], unique=False)
    op.create_index(
        "ix_decisions_verdict",
        "decisions",
        ["verdict", "id"],
        unique=False,
        sqlite_where=sa.text("verdict > 1"),
        postgresql_where=sa.text("verdict > 1"),
    )
    op.create_table(
        "erasures",
        sa.Column("user_hash", sa.String(length=64), nullable=False, comment="SHA-256 of app id, NUL, user id"),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_hash"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "journal_positions",
        sa.Column("journal_id", sa.String(length=64), nullable=False),
        sa.Column("segment", sa.BigInteger(), nullable=False),
        sa.Column("byte", sa.BigInteger(), nullable=False),
        sa.Column("drained_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("journal_id"),
    )
    op.create_table(
        "review_items",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("decision_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("flagged_ms", sa.BigInteger(), nullable=False),
        sa.Column("recorded_ms", sa.BigInteger(), nullable=False),
        sa.Column("app_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("message_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("sender_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("receiver_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("conversation_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("conversation_type", sa.SmallInteger(), nullable=False),
        sa.Column("text_form", sa.SmallInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=255), server_default="", nullable=False),
        sa.Column("reporter_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("reported_user_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("moderator", sa.String(length=255), server_default="", nullable=False),
        sa.Column("decided_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_review_items_decided",
        "review_items",
        ["decided_ms", "id"],
        unique=False,
        sqlite_where=sa.text("state > 2"),
        postgresql_where=sa.text("state > 2"),
    )
    op.create_index("ix_review_items_decision", "review_items", ["decision_id"], unique=False)
    op.create_index(
        "ix_review_items_open",
        "review_items",
        ["id"],
        unique=False,
        sqlite_where=sa.text("state <= 2"),
        postgresql_where=sa.text("state <= 2"),
    )
    op.create_index("ix_review_items_recorded", "review_items", ["recorded_ms"], unique=False)
    op.create_index("ix_review_items_sender", "review_items", ["sender_id", "id"], unique=False)
    op.create_table(
        "sanctions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("app_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("target", sa.String(length=16), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("conversation_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("for_user_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("author", sa.String(length=255), server_default="", nullable=False),
        sa.Column("exempt_roles", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("imposed_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=True),
        sa.Column("lifted_ms", sa.BigInteger(), nullable=True),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_sanctions_changed", "sanctions", ["changed_ms"], unique=False)
    op.create_index("ix_sanctions_conversation", "sanctions", ["conversation_id", "id"], unique=False)
    op.create_index("ix_sanctions_user", "sanctions", ["user_id", "id"], unique=False)


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_sanctions_user", table_name="sanctions")
    op.drop_index("ix_sanctions_conversation", table_name="sanctions")
    op.drop_index("ix_sanctions_changed", table_name="sanctions")
    op.drop_table("sanctions")
    op.drop_index("ix_review_items_sender", table_name="review_items")
    op.drop_index("ix_review_items_recorded", table_name="review_items")
    op.drop_index(
        "ix_review_items_open",
        table_name="review_items",
        sqlite_where=sa.text("state <= 2"),
        postgresql_where=sa.text("state <= 2"),
    )
    op.drop_index("ix_review_items_decision", table_name="review_items")
    op.drop_index(
        "ix_review_items_decided",
        table_name="review_items",
        sqlite_where=sa.text("state > 2"),
        postgresql_where=sa.text("state > 2"),
    )
    op.drop_table("review_items")
    op.drop_table("journal_positions")
    op.drop_table("erasures")
    op.drop_index(
        "ix_decisions_verdict",
        table_name="decisions",
        sqlite_where=sa.text("verdict > 1"),
        postgresql_where=sa.text("verdict > 1"),
    )
    op.drop_index("ix_decisions_sender", table_name="decisions")
    op.drop_index(
        "ix_decisions_receiver",
        table_name="decisions",
        sqlite_where=sa.text("receiver_id <> ''"),
        postgresql_where=sa.text("receiver_id <> ''"),
    )
    op.drop_index("ix_decisions_message", table_name="decisions")
    op.drop_index("ix_decisions_conversation", table_name="decisions")
    op.drop_table("decisions")
    op.drop_index("ix_decision_matches_decision", table_name="decision_matches")
    op.drop_table("decision_matches")
    op.drop_index("ix_audit_subject", table_name="audit")
    op.drop_table("audit")
