"""Bring a database to the schema of this program, also from inside an installed package.

Alembic is heavy, so no process that stays imports this: ``python -m replysequence.storage.migrations`` does the work
and ends.
"""

import logging

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text

from replysequence.storage.database import parse_url
from replysequence.storage.schema import engine_of, newer

__all__ = ["alembic_config", "upgrade"]

_LOCK = 0x5265706C79  # "Reply", as the key of an advisory lock

logging.getLogger("alembic").setLevel(logging.WARNING)


def upgrade(url: str) -> None:
    """Bring the database at ``url`` up to date, all of it or nothing. Makes a SQLite file that is not there.

    Several processes may do so at once: one works, the others wait and find it done.
    Raises :class:`~replysequence.domain.errors.Conflict` when the database was made by a newer version, and
    :class:`~replysequence.domain.errors.DatabaseUnavailable` when it cannot be used, with the reason.
    """
    try:
        with engine_of(parse_url(url)) as engine, engine.begin() as connection:  # on SQLite this is the lock
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise newer(str(error)) from error


def alembic_config(connection: Connection | None) -> Config:
    """What Alembic needs to work on ``connection``, or only to read its scripts, in place of an alembic.ini."""
    config = Config()
    config.set_main_option("script_location", "replysequence.storage:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
