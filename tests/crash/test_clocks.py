"""Clocks that are wrong, or that somebody sets: nothing is sent twice, nothing sticks, and no token is used up."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from crash.bench import Bench
from crash.failpoints import NOT_REACHED, SENT, VIAS
from crash.fleet import until
from crash.nursery import Process
from crash.stage import Person, Stage
from crash.trial import judge
from replysequence.domain.send import State
from replysequence.storage.database import Transaction
from replysequence.storage.tables import email_connections

HOUR, DAY = 3600.0, 86_400.0
STEPS = [
    pytest.param(sign * seconds, id=f"{word}-{name}")
    for sign, word in ((1, "ahead"), (-1, "behind"))
    for seconds, name in ((HOUR, "an-hour"), (DAY, "a-day"))
]


@pytest.fixture
def postgresql_stage(postgresql_bench: Bench) -> Iterator[Stage]:
    with postgresql_bench.stage() as opened:
        yield opened


@pytest.fixture
def sqlite_stage(sqlite_bench: Bench) -> Iterator[Stage]:
    with sqlite_bench.stage() as opened:
        yield opened


def leaves_by_itself(process: Process, person: Person, send_id: str) -> None:
    """It is sent without anybody skipping a wait."""
    until(lambda: person.state(process, send_id) is State.SENT, what=f"the sending of {send_id}")


def token_generations(transaction: Transaction) -> list[int]:
    return list(transaction.execute(select(email_connections.c.token_generation)).scalars())


@pytest.mark.parametrize("ahead", STEPS)
def test_machines_whose_clocks_differ_go_by_that_of_their_postgresql(
    postgresql_stage: Stage, ahead: float
) -> None:
    stage = postgresql_stage
    right, wrong = stage.bear(), stage.bear(ahead=ahead)
    for person in stage.people.values():
        for process, draft in ((wrong, person.draft), (right, person.other_draft)):
            send_id = person.sent(process, draft=draft, key=draft)
            leaves_by_itself(right, person, send_id)
            judge(stage.read(person, send_id), SENT.mailbox)
            assert stage.accepted(send_id) == 1
    assert stage.database.run(token_generations) == [1, 1], "a token was renewed before its time"


@pytest.mark.parametrize("ahead", STEPS)
def test_a_clock_that_is_set_makes_every_mailbox_renew_its_token_once_at_most(
    sqlite_stage: Stage, ahead: float
) -> None:
    stage = sqlite_stage
    process = stage.bear(ahead=ahead)
    for person in stage.people.values():
        made = [person.sent(process, draft=draft, key=draft) for draft in (person.draft, person.other_draft)]
        for send_id in made:
            leaves_by_itself(process, person, send_id)
            judge(stage.read(person, send_id), SENT.mailbox)
            assert stage.accepted(send_id) == 1
    assert max(stage.database.run(token_generations)) <= 2


@pytest.mark.parametrize("ahead", [HOUR, DAY], ids=["an-hour", "a-day"])
@pytest.mark.parametrize("via", VIAS)
def test_a_send_that_waits_by_a_clock_that_was_ahead_leaves_when_the_clock_is_set_right(
    sqlite_stage: Stage, via: str, ahead: float
) -> None:
    stage, person = sqlite_stage, sqlite_stage.people[via]
    before = stage.bear(failpoint="http.connect:refused", ahead=ahead)
    send_id = person.sent(before)
    until(lambda: person.state(before, send_id) is State.QUEUED, what="the failure of the first attempt")
    before.stop()
    after = stage.bear()
    leaves_by_itself(after, person, send_id)
    judge(stage.read(person, send_id), NOT_REACHED.mailbox)
    assert stage.accepted(send_id) == 1
    leaves_by_itself(after, person, person.sent(after, draft=person.other_draft, key="another click"))


def test_the_lease_of_a_process_that_died_by_a_clock_that_was_ahead_does_not_last(
    sqlite_stage: Stage,
) -> None:
    stage, person = sqlite_stage, sqlite_stage.people["gmail"]
    before = stage.bear(failpoint="store.before:die", ahead=DAY)
    send_id = person.sent(before)
    before.wait_for("ended")
    after = stage.bear()
    leaves_by_itself(after, person, send_id)
    assert stage.accepted(send_id) == 1


def test_what_is_planned_for_later_keeps_its_time_when_the_clock_is_set_back(sqlite_stage: Stage) -> None:
    stage, person = sqlite_stage, sqlite_stage.people["resend"]
    before = stage.bear(ahead=HOUR)
    at = (datetime.now(UTC) + timedelta(hours=5)).isoformat()
    body = {"draft_id": person.draft, "send_at": at}
    planned = before.request("POST", "/api/drafts/send", key=person.key, json_body=body).json
    assert (planned["state"], planned["reason"]) == ("waiting", "scheduled")
    before.stop()
    after = stage.bear()
    after.logged("clock.went_back")
    send = stage.read(person, planned["id"])
    assert (send.state, send.next_at, send.send_at) == (
        State.WAITING,
        send.send_at,
        datetime.fromisoformat(at),
    )
