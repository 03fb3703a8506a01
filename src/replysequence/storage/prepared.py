"""Statements of the send path: written with SQLAlchemy, run by the driver itself.

A statement that SQLAlchemy runs is looked up, bound, run and read through objects made for that one time: some ten
times what SQLite takes for it. A prepared one is compiled once for each kind of database, and after that only its
values are converted. Errors, listeners and transactions are the connection's own, so both kinds go together.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase

Convert: TypeAlias = Callable[[Any], Any]


class Line(tuple[Any, ...]):
    """A row: its columns by name, or as a tuple in their order."""

    __slots__ = ()

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Prepared:
    """One statement whose bind parameters are given as keywords; for an INSERT of ``columns`` their values.

    For fixed statements: what depends on the number of values (an expanding ``IN``) is not for here. Any thread.
    """

    def __init__(self, statement: Select[Any] | UpdateBase, *, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def lines(self, connection: Connection, **values: object) -> list[Line]:
        """All rows that it gives."""
        compiled = self._for(connection)
        return [compiled.line(raw) for raw in compiled.run(connection, values).fetchall()]

    def line(self, connection: Connection, **values: object) -> Line | None:
        """Its only row, or None when there is none. A second one would be an error in the statement: it is not read."""
        return next(iter(self.lines(connection, **values)), None)

    def run(self, connection: Connection, **values: object) -> int:
        """Run what gives no rows; how many it changed."""
        changed: int = self._for(connection).run(connection, values).rowcount
        return changed

    def _for(self, connection: Connection) -> "_Compiled":
        name = connection.dialect.name
        compiled = self._compiled.get(name)
        if compiled is None:
            compiled = self._compiled[name] = _Compiled(
                self._statement, connection.dialect, columns=self._columns
            )
        return compiled


class _Compiled:
    """A statement as one kind of database takes it."""

    def __init__(
        self, statement: Select[Any] | UpdateBase, dialect: Dialect, *, columns: Sequence[str] | None
    ) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
        self._dialect = dialect
        self._sql = str(compiled)
        self._order: Sequence[str] | None = compiled.positiontup if compiled.positional else None
        self._fixed = {name: value for name, value in compiled.params.items() if value is not None}
        self._bound = _converters(
            {name: bound.type for bound, name in compiled.bind_names.items()}, dialect, "bind_processor"
        )
        shown = statement.exported_columns.values()
        read = _converters({str(each.key): each.type for each in shown}, dialect, "result_processor", None)
        names = [str(each.key) for each in shown]
        self._read = [(names.index(name), convert) for name, convert in read.items()]
        self._line: type[Line] = type(
            "Line",
            (Line,),
            {"__slots__": (), **{name: property(itemgetter(place)) for place, name in enumerate(names)}},
        )

    def run(self, connection: Connection, values: Mapping[str, Any]) -> Any:
        """The driver's cursor, after the statement has run. Raises SQLAlchemy's errors, as the connection would."""
        given = {**self._fixed, **values}
        for name, convert in self._bound.items():
            given[name] = convert(given[name])
        parameters = given if self._order is None else tuple([given[name] for name in self._order])
        if not connection.in_transaction():
            connection.begin()
        driver: Any = connection.connection.driver_connection
        cursor = driver.cursor()
        for heard in connection.dispatch.before_cursor_execute:
            heard(connection, cursor, self._sql, parameters, None, False)
        try:
            cursor.execute(self._sql, parameters)
        except self._dialect.loaded_dbapi.Error as error:
            lost = self._dialect.is_disconnect(error, driver, cursor)
            if lost:
                connection.invalidate(error)
            raise DBAPIError.instance(
                self._sql,
                None,  # errors end up in logs
                error,
                self._dialect.loaded_dbapi.Error,
                hide_parameters=True,
                connection_invalidated=lost,
                dialect=self._dialect,
            ) from error
        return cursor

    def line(self, raw: Sequence[Any]) -> Line:
        """A row of the driver's, its values converted."""
        values = list(raw)
        for place, convert in self._read:
            values[place] = convert(values[place])
        return self._line(values)


def _converters(types: Mapping[str, Any], dialect: Dialect, kind: str, *more: object) -> dict[str, Convert]:
    """What converts the values of these types, by name; those that need nothing are left out."""
    found = {name: getattr(each.dialect_impl(dialect), kind)(dialect, *more) for name, each in types.items()}
    return {name: convert for name, convert in found.items() if convert is not None}
