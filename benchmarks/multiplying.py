"""A large ledger out of a small one: each send with its draft, attempts and events, as often as wanted.

The copies differ in their ids only, and are written by the database itself.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Column, Connection, Table, text

from replysequence.storage.database import engine_for, parse_url
from replysequence.storage.tables import drafts, events, send_attempts, sends

_TABLES = (drafts, sends, send_attempts, events)
_RENAMED = {
    "drafts.id",
    "sends.id",
    "sends.draft_id",
    "send_attempts.send_id",
    "events.send_id",
    "events.draft_id",
}
"""Columns whose ids end in the number of the copy: what belonged together still does."""
_NUMBERED = {
    "sqlite": "substr({0}, 1, 24) || printf('%08x', copy.number)",
    "postgresql": "(substr({0}::text, 1, 28) || lpad(to_hex(copy.number), 8, '0'))::uuid",
}
_COPIES = """
    WITH RECURSIVE copy(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM copy WHERE number < {copies})
"""


def multiply(database_url: str, *, copies: int, owners: Sequence[str] | None = None) -> None:
    """Add so many copies of every send that the database holds, or of those of some owners."""
    engine = engine_for(parse_url(database_url))
    try:
        for table in _TABLES if copies else ():
            with engine.begin() as connection:
                _copy(connection, table, copies=copies, owners=owners)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("VACUUM ANALYZE"))  # as autovacuum does in life
    finally:
        engine.dispose()


def _copy(connection: Connection, table: Table, *, copies: int, owners: Sequence[str] | None) -> None:
    dialect = connection.dialect.name
    columns = list(_kept(table))
    names = ", ".join(column.name for column in columns)
    values = ", ".join(_value(column, dialect=dialect) for column in columns)
    connection.execute(
        text(
            f"INSERT INTO {table.name} ({names}) {_COPIES.format(copies=copies)} "
            f"SELECT {values} FROM {table.name} AS original CROSS JOIN copy {_of(table, owners, dialect=dialect)}"
        )
    )


def _of(table: Table, owners: Sequence[str] | None, *, dialect: str) -> str:
    """The condition that leaves the rows of these owners."""
    if owners is None:
        return ""
    ids = ", ".join(f"'{owner.replace('-', '') if dialect == 'sqlite' else owner}'" for owner in owners)
    if "user_id" in table.columns:
        return f"WHERE original.user_id IN ({ids})"
    return f"WHERE original.send_id IN (SELECT id FROM sends WHERE user_id IN ({ids}))"


def _kept(table: Table) -> Iterator[Column[object]]:
    """All columns but a number that the database gives itself."""
    return (column for column in table.columns if str(column) != "events.id")


def _value(column: Column[object], *, dialect: str) -> str:
    name = f"original.{column.name}"
    return _NUMBERED[dialect].format(name) if str(column) in _RENAMED else name
