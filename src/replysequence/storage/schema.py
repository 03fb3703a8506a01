"""Whether a database has the schema of this program. Cheap, for every start asks: only ``migrations`` needs Alembic."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, inspect, text
from sqlalchemy.exc import OperationalError

from replysequence.domain.errors import Conflict, DatabaseUnavailable
from replysequence.storage.database import engine_for, parse_url

__all__ = ["engine_of", "newer", "pending", "revisions"]


def revisions() -> list[str]:
    """The revisions that this program knows, from the first to the newest; their files begin with them."""
    versions = Path(__file__).with_name("migrations") / "versions"
    return sorted(path.name.partition("_")[0] for path in versions.glob("[0-9]*_*.py"))


def pending(url: str) -> bool:
    """Whether the database at ``url`` has to be migrated. Changes nothing, and makes no SQLite file.

    Raises :class:`~replysequence.domain.errors.Conflict` when the database was made by a newer version, and
    :class:`~replysequence.domain.errors.DatabaseUnavailable` when it cannot be used, with the reason.
    """
    parsed = parse_url(url)
    if _is_missing_file(parsed):
        return True
    present = _revision(parsed)
    known = revisions()
    if present is not None and present not in known:
        raise newer(f"it has the schema {present}, and this one knows {known[-1]}")
    return present != known[-1]


def newer(reason: str) -> Conflict:
    """The error that a database of a newer version deserves."""
    return Conflict(
        f"This database belongs to another version of ReplySequence ({reason}). "
        "Start that version, or a newer one.",
        code="database_newer",
    )


@contextmanager
def engine_of(url: URL) -> Iterator[Engine]:
    """An engine for a moment. A database that cannot be used is a DatabaseUnavailable with the driver's reason."""
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


def _revision(url: URL) -> str | None:
    with engine_of(url) as engine, engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _is_missing_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()
