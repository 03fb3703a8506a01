"""Rows that are given to a statement in one parameter arrive as they are, and find theirs by an index."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Connection, Integer, Text, event, select

from replysequence.domain.send import State
from replysequence.storage.column_types import NOBODY, Id, UtcDateTime
from replysequence.storage.database import Database
from replysequence.storage.given import Given
from replysequence.storage.ids import new_id
from storage.conftest import Connect
from support.ledger import Ledger, mailbox_route

AT = datetime(2026, 11, 22, 9, 30, 0, 123456, tzinfo=UTC)
THINGS = Given(place=Integer(), id=Id(), at=UtcDateTime(), words=Text())
_ALL = THINGS.statement(lambda given: select(*given.c).order_by(given.c.place))


def read_back(database: Database, *rows: tuple[object, ...]) -> list[tuple[object, ...]]:
    def ask(connection: Connection) -> list[tuple[object, ...]]:
        given = THINGS.rows(connection, rows)
        return [tuple(row) for row in connection.execute(_ALL[connection.dialect.name], given)]

    return database.run(ask)


def test_rows_arrive_as_they_are(database: Database) -> None:
    rows = [(n, new_id(), AT + timedelta(microseconds=n), f'“Grüße” \\ " {n}\n') for n in range(50)]
    assert read_back(database, *rows) == rows


def test_nothing_stays_nothing(database: Database) -> None:
    assert read_back(database, (1, None, None, None), (2, None, None, "")) == [
        (1, None, None, None),
        (2, None, None, ""),
    ]


def test_no_rows_are_none(database: Database) -> None:
    assert read_back(database) == []


def test_columns_keep_their_rules(database: Database) -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert read_back(database, (1, "no id", elsewhere, "x")) == [(1, NOBODY, AT, "x")]
    with pytest.raises(Exception, match="naive"):
        read_back(database, (1, None, AT.replace(tzinfo=None), "x"))


@pytest.mark.parametrize("database_kind", ["sqlite"])
def test_no_step_of_a_send_looks_through_a_table(database: Database, alice: str, connect: Connect) -> None:
    ledger = Ledger(database)
    ledger.accepted(alice, route=mailbox_route(connect(alice).id))
    asked: list[tuple[str, Any]] = []

    @event.listens_for(database._engines[0], "before_cursor_execute")
    def note(_connection: object, _cursor: object, sql: str, parameters: object, *_: object) -> None:
        asked.append((sql, parameters))

    [claimed] = ledger.claim()
    ledger.carried_out(claimed, State.SENT)
    given = [each for each in asked if "json_each" in each[0]]
    assert len(given) >= 8, "claim, attempt, pace, use, begin, end, attempt, event, release"

    def explain(connection: Connection) -> list[str]:
        return [
            row[3]
            for sql, parameters in given
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
        ]

    steps = database.run(explain)
    scans = [step for step in steps if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]
    assert steps
    assert not scans
