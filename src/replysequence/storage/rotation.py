"""Seal every stored secret anew with the first key, while the program runs."""

from dataclasses import dataclass

from sqlalchemy import Column, ColumnElement, Connection, and_, bindparam, func, select, update

from replysequence.domain.errors import VaultError
from replysequence.storage.database import Database
from replysequence.storage.vault import FORMAT, Cell, Vault, secret_columns

BATCH = 500


@dataclass(frozen=True, slots=True)
class ColumnReport:
    """What became of the secrets in one column.

    ``done`` were sealed anew. ``skipped`` were changed by somebody else meanwhile; the next run looks at them
    again. ``failed`` holds the ids of rows that cannot be opened: they were left as they are.
    ``remaining`` counts what is still not sealed with the first key.
    """

    table: str
    column: str
    done: int
    skipped: int
    failed: tuple[str, ...]
    remaining: int


@dataclass(frozen=True, slots=True)
class RotationReport:
    """What a rotation did, column by column, and the key that it moved everything to."""

    key_id: str
    columns: tuple[ColumnReport, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing needs any other key now, so that the other keys can be taken away."""
        return not any(column.remaining for column in self.columns)


@dataclass(frozen=True, slots=True)
class _Step:
    done: int = 0
    skipped: int = 0
    failed: tuple[str, ...] = ()
    last: str | None = None


def rotate(database: Database, *, vault: Vault) -> RotationReport:
    """Seal with the first key of ``vault`` what other keys of it sealed, 500 at a time. Blocks.

    It may be stopped at any moment and run again, and several may run at once. A cell that changes meanwhile
    keeps its new content: it is replaced only while it still holds what was read.
    """
    database.run(vault.check)
    columns = tuple(_rotate_column(database, column, vault=vault) for column in secret_columns())
    return RotationReport(key_id=vault.current_key_id, columns=columns)


def _rotate_column(database: Database, column: Column[str], *, vault: Vault) -> ColumnReport:
    done = skipped = 0
    failed: tuple[str, ...] = ()
    after: str | None = None
    while True:
        step = database.run(_rotate_batch, column, vault=vault, after=after)
        done, skipped, failed = done + step.done, skipped + step.skipped, failed + step.failed
        if step.last is None:
            break
        after = step.last
    remaining = database.run(_count_remaining, column, vault=vault)
    return ColumnReport(column.table.name, column.name, done, skipped, failed, remaining)


def _rotate_batch(connection: Connection, column: Column[str], *, vault: Vault, after: str | None) -> _Step:
    table = column.table
    wanted = (
        select(table.c.id, table.c.user_id, table.c.provider, column.label("sealed"))
        .where(_sealed_otherwise(column, vault=vault))
        .order_by(table.c.id)
        .limit(BATCH)
    )
    rows = connection.execute(wanted if after is None else wanted.where(table.c.id > after)).all()
    replace = (
        update(table)
        .where(table.c.id == bindparam("row_id"), column == bindparam("old"))
        .values({column: bindparam("new")})
    )
    done = skipped = 0
    failed: list[str] = []
    for row in rows:
        cell = Cell(table.name, column.name, row_id=row.id, user_id=row.user_id, provider=row.provider)
        try:
            sealed = vault.seal(vault.open(row.sealed, cell=cell), cell=cell)
        except VaultError:
            failed.append(row.id)
            continue
        replaced = connection.execute(replace, {"row_id": row.id, "old": row.sealed, "new": sealed}).rowcount
        done += replaced
        skipped += 1 - replaced
    return _Step(done, skipped, tuple(failed), last=rows[-1].id if rows else None)


def _count_remaining(connection: Connection, column: Column[str], *, vault: Vault) -> int:
    return connection.execute(select(func.count()).where(_sealed_otherwise(column, vault=vault))).scalar_one()


def _sealed_otherwise(column: Column[str], *, vault: Vault) -> ColumnElement[bool]:
    beginning = f"{FORMAT}.{vault.current_key_id}."
    return and_(column.is_not(None), func.substr(column, 1, len(beginning)) != beginning)
