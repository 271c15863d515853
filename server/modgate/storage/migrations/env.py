"""Runs the steps on the connection that the caller has opened, inside its transaction."""

from alembic import context

from modgate.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
