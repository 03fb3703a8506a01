"""Alembic runs this for every command, with the open transaction of ``migrations.upgrade``."""

from alembic import context

from replysequence.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
