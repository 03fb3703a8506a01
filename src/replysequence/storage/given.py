"""Rows that a statement is given in one parameter, as JSON: it runs once, however many they are.

To run it once for each costs several times as much: SQLAlchemy binds every row on its own, and at every row SQLite's
driver lets go of the interpreter's lock and has to get it back.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection, FromClause, Text, bindparam, cast, func, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

T = TypeVar("T")

_DIALECTS = {"sqlite": sqlite.dialect(), "postgresql": postgresql.dialect()}  # type: ignore[no-untyped-call]
_ROWS = bindparam("rows", type_=Text())


class Given:
    """Rows of these columns, as a table called ``given`` that statements are built on."""

    def __init__(self, **columns: TypeEngine[Any]) -> None:
        self._columns = columns
        self.tables: Mapping[str, FromClause] = {
            "sqlite": self._in_sqlite(),
            "postgresql": self._in_postgresql(),
        }
        self._converters = {
            name: [
                (place, convert)
                for place, kind in enumerate(columns.values())
                if (convert := kind.bind_processor(dialect)) is not None
            ]
            for name, dialect in _DIALECTS.items()
        }

    def statement(self, build: Callable[[FromClause], T]) -> dict[str, T]:
        """What ``build`` makes of the table of given rows, by the name of the dialect."""
        return {name: build(table) for name, table in self.tables.items()}

    def rows(self, connection: Connection, rows: Iterable[Iterable[Any]]) -> dict[str, Any]:
        """The parameter of a statement for these rows, each with a value for every column."""
        listed = [list(row) for row in rows]
        for place, convert in self._converters[connection.dialect.name]:
            for row in listed:
                row[place] = convert(row[place])
        return {"rows": json.dumps(listed, separators=(",", ":"), default=str)}

    def _in_sqlite(self) -> FromClause:
        value = func.json_each(_ROWS).table_valued("value").c.value
        return select(
            *(
                func.json_extract(value, literal_column(f"'$[{place}]'"), type_=kind).label(name)
                for place, (name, kind) in enumerate(self._columns.items())
            )
        ).subquery("given")

    def _in_postgresql(self) -> FromClause:
        value = func.jsonb_array_elements(cast(_ROWS, postgresql.JSONB)).table_valued("value").c.value
        return select(
            *(
                cast(value.op("->>")(literal_column(str(place))), kind).label(name)
                for place, (name, kind) in enumerate(self._columns.items())
            )
        ).subquery("given")
