"""Fixtures: a fresh database for each test, on each of the two engines that we run on."""

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from replysequence.storage.migrations import upgrade
from support.postgresql import PostgreSQL, running_postgresql
from support.programs import find_program

_numbers = count(1)
TEMPLATE = "migrated_template"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """The server that all PostgreSQL tests share; it starts with the first that asks."""
    with running_postgresql(find_program("postgresql")) as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """Runs its test twice, once on each engine."""
    kind: str = request.param
    return kind


@pytest.fixture
def empty_database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database of this test's own, without a single table."""
    if database_kind == "sqlite":
        yield _sqlite_url(tmp_path / "empty.db")
    else:
        yield from _postgresql_database(request.getfixturevalue("postgresql"), template="template0")


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database of this test's own, migrated to the newest schema and empty."""
    if database_kind == "sqlite":
        file = tmp_path / "migrated.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite_file"), file)
        yield _sqlite_url(file)
    else:
        server = request.getfixturevalue("migrated_postgresql")
        yield from _postgresql_database(server, template=TEMPLATE)


@pytest.fixture(scope="session")
def migrated_sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that tests copy: migrating anew for each of them would take most of their time."""
    folder = tmp_path_factory.mktemp("sqlite")
    file = folder / "template.db"
    upgrade(_sqlite_url(file))
    assert [path.name for path in folder.iterdir()] == [file.name], "upgrade() left the database open"
    return file


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: PostgreSQL) -> PostgreSQL:
    """The shared server, with a migrated database that tests are made from."""
    upgrade(postgresql.create(TEMPLATE))
    return postgresql


def _sqlite_url(file: Path) -> str:
    return f"sqlite:///{file}"


def _postgresql_database(server: PostgreSQL, *, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    yield server.create(name, template=template)
    server.drop(name)
