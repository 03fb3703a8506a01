"""Fixtures of the crash tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crash.bench import Bench, Server, SqliteFolder, bench


@pytest.fixture(scope="module")
def sqlite_bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Crash tests on SQLite."""
    yield from _bench(SqliteFolder(tmp_path_factory.mktemp("sqlite")), tmp_path_factory.mktemp("crash"))


@pytest.fixture(scope="module")
def postgresql_bench(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Crash tests on PostgreSQL."""
    yield from _bench(postgresql, tmp_path_factory.mktemp("crash"))


def _bench(server: Server, folder: Path) -> Iterator[Bench]:
    with bench(server, folder) as made:
        yield made
