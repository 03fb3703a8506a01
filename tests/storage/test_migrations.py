"""The migrations and the tables in the code are one schema, on both databases."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

import replysequence
from replysequence.domain.errors import Conflict, DatabaseUnavailable
from replysequence.storage.database import Database, engine_for, parse_url
from replysequence.storage.migrations import upgrade
from replysequence.storage.schema import pending
from replysequence.storage.tables import metadata

SCHEMA = {
    "sqlite": [
        """
        SELECT type, name, sql FROM sqlite_master
        WHERE name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'
        """
    ],
    "postgresql": [
        """
        SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, is_identity,
               column_default
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
        """,
        """
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        """,
        """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 'alembic_version'::regclass
        """,
    ],
}

COLUMN_ADDED = re.compile(r", (\w+ (?:CHAR|VARCHAR|TEXT|INTEGER|DATETIME|BOOLEAN|FLOAT))")


def schema(connection: Connection) -> list[tuple[object, ...]]:
    statements = SCHEMA[connection.dialect.name]
    rows = [row for statement in statements for row in connection.execute(text(statement))]
    return sorted((tuple(_in_order(value) for value in row) for row in rows), key=repr)


def _in_order(value: object) -> object:
    """SQLite keeps the text of CREATE TABLE, in which constraints may stand in any order, and writes a column
    that was added later behind the last one, on its line.
    """
    if not isinstance(value, str):
        return value
    return sorted(line.strip(" \t,") for line in COLUMN_ADDED.sub(r"\n\1", value).splitlines())


def test_alembic_finds_no_difference_to_the_tables(database_url: str) -> None:
    engine = engine_for(parse_url(database_url))
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_migrated_schema_is_the_created_one_to_the_letter(database_url: str) -> None:
    engine = engine_for(parse_url(database_url))
    with engine.begin() as connection:
        migrated = schema(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        assert migrated == schema(connection)
    engine.dispose()
    assert len(migrated) > 20


def test_an_empty_database_is_pending_until_it_is_upgraded(empty_database_url: str) -> None:
    assert pending(empty_database_url)
    upgrade(empty_database_url)
    assert not pending(empty_database_url)
    upgrade(empty_database_url)
    assert not pending(empty_database_url)


def test_asking_whether_it_is_pending_makes_no_file(tmp_path: Path) -> None:
    assert pending(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_processes_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    program = "import sys; from replysequence.storage.migrations import upgrade; upgrade(sys.argv[1])"
    with ThreadPoolExecutor(3) as threads:
        started = [
            threads.submit(
                subprocess.run, [sys.executable, "-c", program, empty_database_url], capture_output=True
            )
            for _ in range(3)
        ]
        answers = [process.result() for process in started]
    assert [(answer.returncode, answer.stderr) for answer in answers] == [(0, b"")] * 3
    assert not pending(empty_database_url)


def test_a_failed_upgrade_leaves_nothing_behind(empty_database_url: str) -> None:
    database = Database.open(empty_database_url)
    database.run(lambda connection: connection.execute(text("CREATE TABLE events (other integer)")))
    with pytest.raises(Exception, match="events"):
        upgrade(empty_database_url)
    tables = database.run(table_names)
    database.close()
    assert tables == ["events"]


@pytest.mark.parametrize("work", [upgrade, pending])
def test_a_server_that_is_not_there_is_an_error_with_its_reason_and_without_the_password(
    work: Callable[[str], object],
) -> None:
    with pytest.raises(DatabaseUnavailable, match="refused") as refused:
        work("postgresql://nobody:opensesame@127.0.0.1:1/none")
    assert "opensesame" not in refused.value.message


def table_names(connection: Connection) -> list[str]:
    return sorted(connection.dialect.get_table_names(connection))


def test_a_database_of_a_newer_version_is_refused_with_advice(database_url: str) -> None:
    database = Database.open(database_url)
    database.run(
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    )
    database.close()
    with pytest.raises(Conflict, match="newer") as refused:
        upgrade(database_url)
    assert refused.value.code == "database_newer"


def test_the_migrations_run_from_where_a_wheel_is_installed(empty_database_url: str, tmp_path: Path) -> None:
    """Not from the checkout, and below a folder whose name has a percent sign and a space."""
    place = tmp_path / "site packages 100%"
    package = Path(replysequence.__file__).parent
    shutil.copytree(package, place / "replysequence", ignore=shutil.ignore_patterns("__pycache__"))
    program = (
        "import sys; sys.path.insert(0, sys.argv[2]); from replysequence.storage import migrations;"
        "assert migrations.__file__.startswith(sys.argv[2]), migrations.__file__;"
        "migrations.upgrade(sys.argv[1])"
    )
    command = [sys.executable, "-P", "-c", program, empty_database_url, str(place)]
    answer = subprocess.run(command, capture_output=True, check=False)
    assert (answer.returncode, answer.stderr) == (0, b"")
    assert not pending(empty_database_url)
