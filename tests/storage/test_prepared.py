"""Prepared statements do what the connection would do with the same statement, on both databases."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Connection, bindparam, insert, select, update
from sqlalchemy.exc import IntegrityError, ProgrammingError

from replysequence.domain.errors import DatabaseUnavailable
from replysequence.storage import users
from replysequence.storage.database import Database, engine_for
from replysequence.storage.ids import new_id
from replysequence.storage.prepared import Prepared
from replysequence.storage.tables import sessions
from replysequence.storage.tables import users as users_table
from storage.test_failures import cut_all_connections

_U = users_table.c
COLUMNS = ("id", "email", "name", "password_hash", "is_admin", "undo_seconds", "created_at", "updated_at")
ADD = Prepared(insert(users_table).returning(_U.id, _U.created_at), columns=COLUMNS)
FIND = Prepared(
    select(*(each for each in _U if each.name != "password_hash")).where(_U.email == bindparam("email"))
)
ADMINS = Prepared(select(_U.name).where(_U.is_admin.is_(True), _U.undo_seconds == 7).order_by(_U.name))
RENAME = Prepared(
    update(users_table).where(_U.id == bindparam("who")).values(name="Renamed", time_zone=bindparam("zone"))
)


def _new(name: str, **other: object) -> dict[str, object]:
    at = datetime(2026, 11, 22, 10, 30, 0, 5, tzinfo=UTC)
    return {
        "id": new_id(),
        "email": f"{name}@team.example",
        "name": name,
        "password_hash": "-",
        "is_admin": True,
        "undo_seconds": 7,
        "created_at": at,
        "updated_at": at,
        **other,
    }


def test_values_come_back_as_they_went_in(database: Database) -> None:
    at = datetime(2026, 11, 22, 12, tzinfo=timezone(timedelta(hours=2)))
    alice = _new("alice", created_at=at)
    made = database.run(lambda connection: ADD.line(connection, **alice))
    assert made is not None
    assert (made.id, made.created_at) == (alice["id"], at)
    assert made.created_at.tzinfo is UTC

    def both(connection: Connection) -> None:
        found = FIND.line(connection, email="alice@team.example")
        plain = connection.execute(select(users_table).where(_U.email == "alice@team.example")).one()
        assert found is not None
        for name in found.__class__.__dict__.keys() - {"__slots__", "__module__", "__doc__"}:
            assert getattr(found, name) == getattr(plain, name)
        assert found.is_admin is True
        assert found.time_zone is None

    database.run(both)


def test_rows_are_all_there_and_none_is_none(database: Database) -> None:
    def work(connection: Connection) -> tuple[list[str], object]:
        for name in ("bob", "alice"):
            ADD.line(connection, **_new(name))
        ADD.line(connection, **_new("charlie", is_admin=False))
        return [line.name for line in ADMINS.lines(connection)], FIND.line(connection, email="nobody")

    assert database.run(work) == (["alice", "bob"], None)


def test_it_says_how_many_rows_it_changed(database: Database, alice: str) -> None:
    def rename(connection: Connection, who: str) -> int:
        return RENAME.run(connection, who=who, zone="Europe/Berlin")

    assert database.run(rename, alice) == 1
    assert database.run(rename, new_id()) == 0
    person = database.run(users.get, user_id=alice)
    assert (person.name, person.time_zone) == ("Renamed", "Europe/Berlin")


def test_a_forgotten_value_is_an_error(database: Database, alice: str) -> None:
    with pytest.raises((KeyError, ProgrammingError), match="zone"):
        database.run(lambda connection: RENAME.run(connection, who=alice))


def test_a_broken_rule_is_the_same_error_as_of_the_connection(database: Database, alice: str) -> None:
    """Whoever catches it can go on behind a savepoint, and the error quotes no value."""
    twice = _new("alice")

    def work(connection: Connection) -> str:
        with pytest.raises(IntegrityError) as caught, connection.begin_nested():
            ADD.line(connection, **twice)
        return str(caught.value) + str(RENAME.run(connection, who=alice, zone="UTC"))

    told = database.run(work)
    assert told.endswith("1")
    assert "alice@team.example" not in told.partition("[SQL")[2]


def test_it_begins_a_transaction_where_none_runs(database: Database) -> None:
    """As the connection would: what nobody commits is not kept."""
    engine = engine_for(database.url)
    with engine.connect() as connection:
        ADD.line(connection, **_new("alice"))
        assert connection.in_transaction()
    assert database.run(lambda connection: FIND.line(connection, email="alice@team.example")) is None
    with engine.connect() as connection:
        ADD.line(connection, **_new("alice"))
        connection.commit()
    assert database.run(lambda connection: FIND.line(connection, email="alice@team.example")) is not None
    engine.dispose()


def test_a_lost_connection_is_noticed_and_the_work_begun_anew(database: Database) -> None:
    if database.kind == "sqlite":
        pytest.skip("there is no connection to lose")
    tries: list[Connection] = []

    def work(connection: Connection) -> bool:
        tries.append(connection)
        if len(tries) == 1:
            cut_all_connections(database)
        return FIND.line(connection, email="nobody") is None

    assert database.run(work)
    assert len(tries) == 2


def test_what_the_database_cannot_do_is_told_in_words_of_ours(database: Database) -> None:
    def work(connection: Connection) -> None:
        connection.exec_driver_sql("DROP TABLE sessions")
        Prepared(select(sessions.c.token_hash)).lines(connection)

    with pytest.raises((DatabaseUnavailable, ProgrammingError)):
        database.run(work)
