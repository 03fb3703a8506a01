"""The whole app on a port, once a file and database, with the sandbox as its providers."""

import shutil
from collections.abc import Iterator
from itertools import count

import pytest

from replysequence.sandbox.running import RunningSandbox, sandbox
from support.databases import TEMPLATE
from support.webapp import RunningApp, Visitor, running_app

_numbers = count(1)


@pytest.fixture(scope="module")
def box() -> Iterator[RunningSandbox]:
    """The providers of one file's tests."""
    with sandbox() as running:
        yield running


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def web(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, box: RunningSandbox
) -> Iterator[RunningApp]:
    """The app, on each of the two databases."""
    folder = tmp_path_factory.mktemp("web")
    if request.param == "sqlite":
        file = folder / "web.db"
        shutil.copyfile(request.getfixturevalue("migrated_sqlite_file"), file)
        with running_app(f"sqlite:///{file}", folder, box=box) as app:
            yield app
        return
    server = request.getfixturevalue("migrated_postgresql")
    name = f"web_{next(_numbers)}"
    with running_app(server.create(name, template=TEMPLATE), folder, box=box) as app:
        yield app
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
