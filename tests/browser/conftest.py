"""The whole app behind a real browser: one sandbox and one app on SQLite for each test, so that ledgers start empty."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from replysequence.sandbox.running import RunningSandbox, sandbox
from support.at_the_browser import AtTheBrowser
from support.browser import OpenPage
from support.webapp import RunningApp, running_app


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    """The providers."""
    with sandbox() as running:
        yield running


@pytest.fixture
def web(migrated_sqlite_file: Path, tmp_path: Path, box: RunningSandbox) -> Iterator[RunningApp]:
    """The app, with its worker."""
    file = tmp_path / "web.db"
    shutil.copyfile(migrated_sqlite_file, file)
    with running_app(f"sqlite:///{file}", tmp_path, box=box) as app:
        yield app


@pytest.fixture
def alice(web: RunningApp, open_page: OpenPage) -> AtTheBrowser:
    """Alice, signed in at her browser; she administers this installation."""
    return AtTheBrowser(open_page(), web, visitor=web.browser("Alice", is_admin=True))


@pytest.fixture
def alice_without_script(web: RunningApp, open_page: OpenPage) -> AtTheBrowser:
    """The same at a browser that runs no script."""
    page = open_page(javascript=False)
    return AtTheBrowser(page, web, visitor=web.browser("Alice", is_admin=True))
