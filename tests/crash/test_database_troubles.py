"""The database goes away, or its disk is full, while sends are under way: what is known is kept and written later."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from crash.bench import Bench, bench
from crash.failpoints import NO_DATABASE, OUT, SENT, VIAS, Ends
from crash.stage import Person, Stage
from crash.trial import judge
from replysequence.domain.send import State
from support.postgresql import Cluster, cluster
from support.programs import find_program


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[Cluster]:
    """A PostgreSQL that only these tests use: they stop it."""
    with cluster(find_program("postgresql")) as made:
        yield made


@pytest.fixture(scope="module")
def unsteady_bench(own_postgresql: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(own_postgresql.start(), tmp_path_factory.mktemp("unsteady")) as made:
        yield made


@pytest.fixture
def postgresql_stage(unsteady_bench: Bench) -> Iterator[Stage]:
    with unsteady_bench.stage() as stage:
        # In a crash, a sequence goes back to where it was in the template unless a checkpoint came in between.
        stage.database.run(lambda transaction: transaction.execute(text("CHECKPOINT")).close())
        yield stage


@pytest.fixture
def sqlite_stage(sqlite_bench: Bench) -> Iterator[Stage]:
    with sqlite_bench.stage() as stage:
        yield stage


def ended_as(stage: Stage, person: Person, send_id: str, ends: Ends) -> None:
    """The send ended so, and was accepted as often as that says."""
    end = ends.relay if person.via == "resend" else ends.mailbox
    assert end is not None
    judge(stage.read(person, send_id), end)
    assert stage.accepted(send_id) == end.accepted


@pytest.mark.parametrize("via", VIAS)
def test_a_verdict_outlives_a_postgresql_that_was_stopped(
    postgresql_stage: Stage, own_postgresql: Cluster, via: str
) -> None:
    stage, person = postgresql_stage, postgresql_stage.people[via]
    process = stage.bear(failpoint="http.status:stall")
    send_id = person.sent(process)
    process.wait_for("stalled")
    own_postgresql.stop()
    process.resume()
    process.logged("verdict.kept")
    assert stage.accepted(send_id) == 1
    own_postgresql.start()
    assert stage.settled(process, person, send_id) is State.SENT
    ended_as(stage, person, send_id, SENT)


@pytest.mark.parametrize("via", VIAS)
def test_a_verdict_that_died_with_its_process_is_unknown_and_explained(
    postgresql_stage: Stage, own_postgresql: Cluster, via: str
) -> None:
    stage, person = postgresql_stage, postgresql_stage.people[via]
    process = stage.bear(failpoint="http.status:stall")
    send_id = person.sent(process)
    process.wait_for("stalled")
    own_postgresql.stop()
    process.resume()
    process.logged("verdict.kept")
    process.kill()
    own_postgresql.start()
    stage.settled(stage.bear(), person, send_id)
    ended_as(stage, person, send_id, OUT)


def test_while_postgresql_is_away_people_are_told_and_nothing_is_half_accepted(
    postgresql_stage: Stage, own_postgresql: Cluster
) -> None:
    stage = postgresql_stage
    process = stage.bear()
    assert all(person.listed(process) == [] for person in stage.people.values())
    own_postgresql.stop()
    for person in stage.people.values():
        answer = person.click(process).wait()
        assert answer is not None
        assert (answer.status, answer.json["error"]["code"]) == (503, "database_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    own_postgresql.start()
    for person in stage.people.values():
        assert person.listed(process) == []
        send_id = person.sent(process)
        assert stage.settled(process, person, send_id) is State.SENT
        ended_as(stage, person, send_id, SENT)


def test_a_worker_that_comes_back_late_after_a_restart_repairs_what_was_taken_for_lost(
    postgresql_stage: Stage, own_postgresql: Cluster
) -> None:
    """With the server every lock is gone: until the worker has taken its own again, others may believe it dead."""
    stage = postgresql_stage
    person = stage.people["gmail"]
    process = stage.bear(failpoint="http.status:stall")
    send_id = person.sent(process)
    process.wait_for("stalled")
    own_postgresql.stop()
    own_postgresql.start()
    other = stage.bear()
    assert stage.settled(other, person, send_id) is State.UNKNOWN
    process.resume()
    process.logged("attempt.ended")
    assert (stage.read(person, send_id).state, stage.accepted(send_id)) == (State.SENT, 1)


def test_a_full_disk_at_accepting_is_said_and_nothing_is_half_written(sqlite_stage: Stage) -> None:
    stage, person = sqlite_stage, sqlite_stage.people["gmail"]
    process = stage.bear(shortage="pages")
    assert person.listed(process) == []
    process.turn()
    answer = person.click(process, draft=person.large_draft).wait()
    assert answer is not None
    assert (answer.status, answer.json["error"]["code"]) == (507, "storage_full")
    assert person.listed(process) == []
    process.turn()
    send_id = person.sent(process, draft=person.large_draft)
    assert stage.settled(process, person, send_id) is State.SENT
    ended_as(stage, person, send_id, SENT)


def test_a_disk_that_cannot_be_written_at_accepting_keeps_nothing(sqlite_stage: Stage) -> None:
    stage, person = sqlite_stage, sqlite_stage.people["resend"]
    process = stage.bear(failpoint="accept.before:turn")
    answer = person.click(process).wait()
    assert answer is not None
    assert answer.status == 503
    process.turn()
    assert person.listed(process) == []
    send_id = person.sent(process)
    assert stage.settled(process, person, send_id) is State.SENT
    ended_as(stage, person, send_id, SENT)


@pytest.mark.parametrize("via", VIAS)
def test_on_a_disk_that_cannot_be_written_nothing_begins_to_leave(sqlite_stage: Stage, via: str) -> None:
    stage, person = sqlite_stage, sqlite_stage.people[via]
    process = stage.bear(failpoint="begin.before:turn")
    send_id = person.sent(process)
    process.wait_for("failed")
    process.turn()
    assert stage.settled(process, person, send_id) is State.SENT
    ended_as(stage, person, send_id, NO_DATABASE)


@pytest.mark.parametrize("via", VIAS)
def test_a_verdict_waits_for_room_on_the_disk(sqlite_stage: Stage, via: str) -> None:
    stage, person = sqlite_stage, sqlite_stage.people[via]
    process = stage.bear(failpoint="end.before:turn")
    send_id = person.sent(process)
    process.wait_for("failed")
    assert stage.read(person, send_id).state is State.SENDING
    process.turn()
    assert stage.settled(process, person, send_id) is State.SENT
    ended_as(stage, person, send_id, SENT)


@pytest.mark.parametrize("via", VIAS)
def test_a_process_that_dies_while_it_cannot_write_its_verdict_leaves_an_explained_unknown(
    sqlite_stage: Stage, via: str
) -> None:
    stage, person = sqlite_stage, sqlite_stage.people[via]
    process = stage.bear(failpoint="end.before:turn")
    send_id = person.sent(process)
    process.wait_for("failed")
    process.kill()
    stage.settled(stage.bear(), person, send_id)
    ended_as(stage, person, send_id, OUT)
