"""Bring a database to the schema of this program, also from inside an installed package."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import OperationalError

from replysequence.domain.errors import Conflict, DatabaseUnavailable
from replysequence.storage.database import engine_for, parse_url

__all__ = ["alembic_config", "pending", "upgrade"]

_LOCK = 0x5265706C79  # "Reply", as the key of an advisory lock

logging.getLogger("alembic").setLevel(logging.WARNING)


def upgrade(url: str) -> None:
    """Bring the database at ``url`` up to date, all of it or nothing. Makes a SQLite file that is not there.

    Several processes may do so at once: one works, the others wait and find it done.
    Raises :class:`~replysequence.domain.errors.Conflict` when the database was made by a newer version, and
    :class:`~replysequence.domain.errors.DatabaseUnavailable` when it cannot be used, with the reason.
    """
    try:
        with _engine(parse_url(url)) as engine, engine.begin() as connection:  # on SQLite this is the lock
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            command.upgrade(alembic_config(connection), "head")
    except CommandError as error:
        raise Conflict(
            f"This database belongs to another version of ReplySequence ({error}). "
            "Start that version, or a newer one.",
            code="database_newer",
        ) from error


def pending(url: str) -> bool:
    """Whether :func:`upgrade` has something to do. Changes nothing.

    Raises :class:`~replysequence.domain.errors.DatabaseUnavailable` when it cannot be used, with the reason.
    """
    parsed = parse_url(url)
    if _is_missing_file(parsed):
        return True
    with _engine(parsed) as engine, engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_heads()
    return set(present) != set(ScriptDirectory.from_config(alembic_config(None)).get_heads())


def alembic_config(connection: Connection | None) -> Config:
    """What Alembic needs to work on ``connection``, in place of an alembic.ini."""
    config = Config()
    config.set_main_option("script_location", "replysequence.storage:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _engine(url: URL) -> Iterator[Engine]:
    engine = engine_for(url)
    try:
        yield engine
    except OperationalError as error:
        reason = str(error.orig).partition("\n")[0]  # the driver's own words, which hold no password
        raise DatabaseUnavailable(
            f"The database cannot be used: {reason}. Nothing was started.", may_have_committed=True
        ) from error
    finally:
        engine.dispose()


def _is_missing_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()
