"""Migrations lead to the tables that the code uses."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from modgate.storage import Database
from modgate.storage.tables import metadata


def test_migrated_tables_are_those_of_the_code(tmp_path: Path) -> None:
    """A fresh store has exactly the tables, columns and indexes that the code declares."""
    database = Database(f"sqlite:///{tmp_path}/below/modgate.db")
    database.migrate()
    with database.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    database.close()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    """Every start migrates; a store that is up to date is left alone."""
    database = Database(f"sqlite:///{tmp_path}/modgate.db")
    database.migrate()
    database.migrate()
    with database.transaction(write=False) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA auto_vacuum").scalar() == 2
    database.close()


@pytest.mark.parametrize("url", ["no address: hunter2", "mongodb://user:hunter2@host/name"])
def test_an_address_that_cannot_be_used_is_refused_without_being_quoted(url: str) -> None:
    """The operator learns what to write, and the log does not learn the password."""
    with pytest.raises(ValueError, match=r"storage\.database") as refused:
        Database(url)
    assert "hunter2" not in str(refused.value)
