"""The whole app on a port, once a file and database, with the sandbox as its providers."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from replysequence.sandbox.running import sandbox
from support.databases import TEMPLATE
from support.webapp import RunningApp, Visitor, running_app

_numbers = count(1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def web(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app, on each of the two databases."""
    folder = tmp_path_factory.mktemp("web")
    with database_for(request, folder) as url, sandbox() as box, running_app(url, folder, box=box) as app:
        yield app


@contextmanager
def database_for(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of a migrated, empty database of the engine that `request` is for."""
    if request.param == "sqlite":
        file = folder / "web.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite_file"), file)
        yield f"sqlite:///{file}"
        return
    server = request.getfixturevalue("migrated_postgresql")
    name = f"web_{next(_numbers)}"
    yield server.create(name, template=TEMPLATE)
    server.drop(name)


@pytest.fixture
def alice(web: RunningApp) -> Visitor:
    """The owner, at her browser; she administers this installation."""
    return web.browser("Alice", is_admin=True)


@pytest.fixture
def bob(web: RunningApp) -> Visitor:
    """On the team, at his browser."""
    return web.browser("Bob")


@pytest.fixture
def charlie(web: RunningApp) -> Visitor:
    """A stranger with an account."""
    return web.browser("Charlie")


@pytest.fixture
def anonymous(web: RunningApp) -> Visitor:
    """Nobody."""
    return web.anonymous
