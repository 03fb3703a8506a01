"""C13: a database that was restored from an older copy sends nothing by itself that it may have sent before."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from crash.bench import Bench
from crash.fleet import until
from crash.stage import Person, Stage
from replysequence.domain.send import State
from replysequence.services.going_back import GoingBack
from replysequence.storage import going_back

VIAS = ("gmail", "resend")


@pytest.fixture(params=["sqlite", "postgresql"])
def bench(request: pytest.FixtureRequest) -> Bench:
    made: Bench = request.getfixturevalue(f"{request.param}_bench")
    return made


@dataclass(frozen=True)
class Past:
    """A database that was copied with a send in it, went on, and can be replaced by its copy."""

    bench: Bench
    name: str
    url: str
    send_id: str = ""
    last_event: int = 0
    """As it was when it was last used."""

    @contextmanager
    def now(self) -> Iterator[Stage]:
        """The database as it is."""
        with self.bench.open(self.url) as stage:
            yield stage

    def restore(self) -> None:
        """Put the copy in its place."""
        self.bench.server.drop(self.name)
        self.bench.server.create(self.name, template=f"{self.name}_copy")

    def forget(self) -> None:
        self.bench.server.drop(self.name)
        self.bench.server.drop(f"{self.name}_copy")


@contextmanager
def copied_when(bench: Bench, via: str, *, broke_at: str) -> Iterator[Past]:
    """A database that was copied when a process broke with a send in it, and in which that send has ended since."""
    name, person = bench.name(), bench.people[via]
    past = Past(bench, name, bench.server.create(name, template=bench.furnished))
    with past.now() as stage:
        victim = stage.bear(failpoint=f"{broke_at}:die")
        person.click(victim).wait()
        victim.wait_for("ended")
    bench.server.create(f"{name}_copy", template=name)
    with past.now() as stage:
        process = stage.bear()
        (send_id,) = person.listed(process)
        stage.settled(process, person, send_id)
        last = stage.database.run(going_back.last_event_id)
        until(lambda: remembered(bench, stage) >= last, what="the note of how far the database has come")
    yield replace(past, send_id=send_id, last_event=last)
    past.forget()


def remembered(bench: Bench, stage: Stage) -> int:
    """How far this machine has seen this database come. The folder holds the notes of other tests' databases too."""
    folder = Path(bench.environ["REPLYSEQUENCE_DATA_DIR"])
    return GoingBack(database=stage.database, folder=folder)._seen


def held(stage: Stage, person: Person, send_id: str) -> bool:
    send = stage.read(person, send_id)
    return (send.state, send.reason, send.next_at) == (State.WAITING, "asks_first", None)


@pytest.mark.parametrize("via", VIAS)
@pytest.mark.parametrize("broke_at", ["accept.after", "claim.after"])
def test_what_was_queued_in_a_restored_copy_asks_first_and_everything_new_leaves(
    bench: Bench, via: str, broke_at: str
) -> None:
    person = bench.people[via]
    with copied_when(bench, via, broke_at=broke_at) as past:
        past.restore()
        with past.now() as stage:
            process = stage.bear()
            new = person.sent(process, draft=person.other_draft, key="another click")
            assert stage.settled(process, person, new) is State.SENT
            assert held(stage, person, past.send_id)
            assert "restored from an older copy" in (stage.read(person, past.send_id).explanation or "")
            assert stage.accepted(past.send_id) == 1
            assert min(event.id for event in stage.read(person, new).events) > past.last_event
            answer = process.request("POST", f"/api/sends/{past.send_id}/cancel", key=person.key)
            assert answer.json["state"] == "cancelled"


@pytest.mark.parametrize("via", VIAS)
def test_what_was_on_the_wire_in_a_restored_copy_is_unknown_and_explained(bench: Bench, via: str) -> None:
    person = bench.people[via]
    with copied_when(bench, via, broke_at="begin.after") as past:
        accepted = bench.box.world.ledger.of_send(past.send_id)
        past.restore()
        with past.now() as stage:
            stage.bear().wait_for("reaped", times=2)
            send = stage.read(person, past.send_id)
            assert (send.state, bool(send.explanation)) == (State.UNKNOWN, True)
            assert bench.box.world.ledger.of_send(past.send_id) == accepted


def test_an_owner_lets_a_send_of_a_restored_copy_leave_and_the_relay_drops_the_second_copy(
    bench: Bench,
) -> None:
    person = bench.people["resend"]
    with copied_when(bench, "resend", broke_at="accept.after") as past:
        past.restore()
        with past.now() as stage:
            process = stage.bear()
            released = process.request("POST", f"/api/sends/{past.send_id}/release", key=person.key)
            assert released.status == 200, released.text
            assert stage.settled(process, person, past.send_id) is State.SENT
            assert stage.accepted(past.send_id) == 1


def test_a_start_on_the_same_database_holds_nothing(bench: Bench) -> None:
    person = bench.people["gmail"]
    with bench.stage() as stage:
        for draft in (person.draft, person.other_draft):
            process = stage.bear()
            assert stage.settled(process, person, person.sent(process, draft=draft, key=draft)) is State.SENT
            last = stage.database.run(going_back.last_event_id)
            until(lambda last=last: remembered(bench, stage) >= last, what="the note of how far it has come")  # type: ignore[misc]
            process.stop()


def test_an_operator_says_that_the_database_was_restored_where_no_machine_remembers(
    bench: Bench, tmp_path: Path
) -> None:
    person = bench.people["gmail"]
    with copied_when(bench, "gmail", broke_at="accept.after") as past:
        past.restore()
        done = subprocess.run(
            [sys.executable, "-m", "replysequence", "restored"],
            env={**bench.settings(past.url), "REPLYSEQUENCE_DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "1 sends wait until their owners say" in done.stdout
        with past.now() as stage:
            assert held(stage, person, past.send_id)
