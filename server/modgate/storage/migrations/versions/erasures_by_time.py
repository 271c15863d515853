"""Find erasures by time: every batch asks for those since its oldest entry."""

from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Apply."""
    op.create_index("ix_erasures_at", "erasures", ["at_ms"], unique=False)


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_erasures_at", table_name="erasures")
