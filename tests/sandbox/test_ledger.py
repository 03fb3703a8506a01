import hashlib
import json
from pathlib import Path

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.clock import Clock
from replysequence.sandbox.faults import Fault
from replysequence.sandbox.running import sandbox
from replysequence.sandbox.world import World
from support.google_app import MESSAGE, WORKSPACE, GoogleApp


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_acceptance_is_in_the_file_before_the_answer_leaves(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    world = World(ledger_path=path)
    world.register_app("http://localhost:8000")
    with sandbox(world) as running:
        app = GoogleApp(running)
        token = app.connect()["access_token"]
        world.faults.arm(Fault(kind="reset_after_acceptance", vendor=Vendor.GOOGLE))

        with pytest.raises(ConnectionResetError):
            app.send(token)

        [entry] = lines(path)

    assert entry["n"] == 1
    assert (entry["vendor"], entry["account"]) == ("google", WORKSPACE)
    assert (entry["send_id"], entry["idempotency_key"]) == ("send-1", None)
    assert (entry["recipients"], entry["subject"]) == (["charlie@customer.example"], "Our meeting")
    assert entry["sha256"] == hashlib.sha256(MESSAGE).hexdigest()


def test_a_second_sandbox_appends_to_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        world = World(ledger_path=path)
        world.register_app("http://localhost:8000")
        with sandbox(world) as running:
            app = GoogleApp(running)
            app.send(app.connect()["access_token"])

    assert [line["send_id"] for line in lines(path)] == ["send-1", "send-1"]


def test_a_send_that_was_accepted_twice_shows_twice(app: GoogleApp) -> None:
    token = app.connect()["access_token"]
    app.send(token)
    app.send(token)

    assert [entry.n for entry in app.box.world.ledger.of_send("send-1")] == [1, 2]
    assert app.box.world.ledger.of_send("send-2") == []


def test_the_clock_only_moves_forward() -> None:
    clock = Clock()
    before = clock.now()
    clock.advance(3600)

    assert (clock.now() - before).total_seconds() >= 3600
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
