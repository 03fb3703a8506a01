"""A sandbox for each test, and offices that work with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from replysequence.sandbox.running import RunningSandbox, sandbox
from replysequence.sandbox.world import World
from replysequence.services import tokens
from support.office import PUBLIC_URL, Opening, opening


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    """A fresh sandbox, with the callbacks of the app registered."""
    world = World()
    world.register_app(PUBLIC_URL)
    with sandbox(world) as running:
        yield running


@pytest.fixture
def office(
    database_url: str, tmp_path: Path, box: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> Opening:
    """async with office() as it: the parts of a process, on this test's database and sandbox."""
    monkeypatch.setattr(tokens, "SECOND_LOOK", 0.01)
    return opening(database_url, tmp_path / "data", box)
