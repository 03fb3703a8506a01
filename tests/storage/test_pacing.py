"""How many a worker takes: a mailbox its pace, a provider its rate, a day its limits, and nobody more."""

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from replysequence.domain.pacing import DAY, USAGE_STEP, Pace, Rate
from replysequence.domain.send import GIVE_UP_AFTER, Outcome, State
from replysequence.storage import routes
from replysequence.storage.claims import PROBE_EVERY, PROVIDER_DOWN, Claimed
from replysequence.storage.database import Database
from replysequence.storage.departures import departures
from replysequence.storage.endings import Pause
from storage.conftest import Connect
from support.ledger import NOON, PACES, RELAY, Ledger, mailbox_route

MINUTE = timedelta(minutes=1)
SLOW = {**PACES, "gmail": Pace(1, Rate(60, MINUTE)), "resend": Pace(50, Rate(10, timedelta(seconds=1)))}
ONE_MAILBOX_A_DAY = {
    **PACES,
    "gmail": Pace(1, PACES["gmail"].rate, messages_per_day=3, recipients_per_day=10),
}


@pytest.fixture
def ledger(database: Database) -> Ledger:
    return Ledger(database)


@pytest.fixture
def mailbox(alice: str, connect: Connect) -> Callable[[str], str]:
    """A new mailbox of Alice's, with a queue of its own."""
    return lambda name: connect(alice, name).id


def drained(
    ledger: Ledger, *, until: datetime, paces: dict[str, Pace], shared: dict[str, Rate] | None = None
) -> list[tuple[datetime, Claimed]]:
    """What is claimed and sent if a worker looks whenever it was told to, from noon on."""
    at: datetime | None = NOON
    sent = []
    while at is not None and at <= until:
        taken = ledger.round(at=at, paces=paces, shared=shared or {})
        for claimed in taken.sends:
            ledger.begin(claimed, at=at)
            ledger.end(claimed, State.SENT, at=at)
            sent.append((at, claimed))
        if not taken.sends:
            assert taken.again_at is None or taken.again_at > at
            at = taken.again_at
    return sent


def test_a_mailbox_leaves_its_time_between_two_sends_and_says_when_the_next_is_due(
    ledger: Ledger, alice: str, mailbox: Callable[[str], str]
) -> None:
    route = mailbox_route(mailbox("work"))
    made = [ledger.accepted(alice, route=route) for _ in range(5)]
    sent = drained(ledger, until=NOON + MINUTE, paces=SLOW)
    moments = [at for at, _ in sent]
    assert [claimed.id for _, claimed in sent] == made
    gaps = {later - earlier for earlier, later in pairwise(moments)}
    assert gaps == {SLOW["gmail"].rate.interval}


def test_a_slow_mailbox_delays_no_other(ledger: Ledger, alice: str, mailbox: Callable[[str], str]) -> None:
    busy, calm = mailbox_route(mailbox("busy")), mailbox_route(mailbox("calm"))
    for _ in range(20):
        ledger.accepted(alice, route=busy)
    mine = ledger.accepted(alice, route=calm, at=NOON)
    assert mine in {claimed.id for claimed in ledger.round(paces=SLOW).sends}


def test_all_mailboxes_of_a_provider_together_keep_its_rate(
    ledger: Ledger, alice: str, mailbox: Callable[[str], str]
) -> None:
    for number in range(12):
        ledger.accepted(alice, route=mailbox_route(mailbox(f"box {number}")))
    shared = {"gmail": Rate(120, MINUTE)}
    sent = drained(ledger, until=NOON + MINUTE, paces=SLOW, shared=shared)
    assert len(sent) == 12
    assert sent[-1][0] - sent[0][0] >= 8 * shared["gmail"].interval
    assert len({at for at, _ in sent}) >= 4


def test_a_relay_keeps_its_rate_however_many_places_it_has(ledger: Ledger, alice: str) -> None:
    for _ in range(25):
        ledger.accepted(alice)
    sent = drained(ledger, until=NOON + MINUTE, paces=SLOW)
    assert len(sent) == 25
    for first, _ in sent:
        within = [at for at, _ in sent if first <= at < first + timedelta(seconds=1)]
        assert len(within) <= 10


def test_a_relays_own_word_about_its_rate_counts_from_the_next_claim_on(ledger: Ledger, alice: str) -> None:
    for _ in range(31):
        ledger.accepted(alice)
    (first,) = ledger.round(paces=SLOW).sends
    ledger.begin(first)
    ledger.end(first, State.SENT, per_minute=60_000)
    later = NOON + timedelta(seconds=1)
    assert len(ledger.round(at=later, paces=SLOW).sends) == 20  # a burst of 1,000 a second


def test_a_full_day_pauses_the_mailbox_until_room_comes_back_and_nothing_expires_meanwhile(
    ledger: Ledger, alice: str, mailbox: Callable[[str], str]
) -> None:
    route = mailbox_route(mailbox("work"))
    made = [ledger.accepted(alice, route=route) for _ in range(5)]
    sent = drained(ledger, until=NOON + timedelta(hours=1), paces=ONE_MAILBOX_A_DAY)
    assert [claimed.id for _, claimed in sent] == made[:3]
    frees_at = NOON + USAGE_STEP + DAY
    assert ledger.next_due() == frees_at

    (fourth,) = ledger.round(at=frees_at, paces=ONE_MAILBOX_A_DAY).sends
    assert fourth.id == made[3]
    assert fourth.give_up_at == frees_at + GIVE_UP_AFTER


def test_recipients_count_against_the_day_and_one_that_does_not_fit_keeps_its_place(
    ledger: Ledger, alice: str, mailbox: Callable[[str], str]
) -> None:
    route = mailbox_route(mailbox("work"))
    large = [ledger.accept(ledger.new(alice, route=route, recipients=9)) for _ in range(2)]
    small = ledger.accepted(alice, route=route, at=NOON + timedelta(seconds=1))
    sent = drained(ledger, until=NOON + timedelta(hours=1), paces=ONE_MAILBOX_A_DAY)
    assert [claimed.id for _, claimed in sent] == large[:1]
    after = drained(ledger, until=NOON + 2 * DAY, paces=ONE_MAILBOX_A_DAY)
    assert [claimed.id for _, claimed in after] == [large[1], small]


def test_a_limit_that_the_provider_names_gives_what_waits_its_time_back(
    ledger: Ledger, alice: str, mailbox: Callable[[str], str]
) -> None:
    route = mailbox_route(mailbox("work"))
    refused, behind = (ledger.accepted(alice, route=route) for _ in range(2))
    (claimed,) = ledger.claim()
    ledger.begin(claimed)
    until = NOON + timedelta(hours=20)
    pause = Pause(until, "rate_limited", "Later, please.", give_up_at=until + GIVE_UP_AFTER)
    ledger.end(claimed, State.QUEUED, next_at=until, outcome=Outcome.REFUSED, pause=pause)
    assert ledger.claim(at=until - MINUTE) == []
    (next_one,) = ledger.claim(at=until)
    assert next_one.id in (refused, behind)
    assert next_one.give_up_at == until + GIVE_UP_AFTER


def test_a_provider_that_is_down_is_tried_by_one_send_at_a_time(
    ledger: Ledger, alice: str, mailbox: Callable[[str], str]
) -> None:
    for number in range(4):
        ledger.accepted(alice, route=mailbox_route(mailbox(f"box {number}")))
    other = ledger.accepted(alice, route=RELAY)
    assert ledger.round(room={"gmail": 0, "resend": 0}).sends == []
    ledger.database.run(routes.take, route_id="gmail", via="gmail")
    back_at = NOON + MINUTE
    ledger.database.run(
        routes.pause, route_id="gmail", until=back_at, reason=PROVIDER_DOWN, explanation="Gmail is down."
    )
    assert [claimed.id for claimed in ledger.round().sends] == [other]
    assert len(ledger.round(at=back_at).sends) == 1
    waiting = ledger.round(at=back_at)
    assert (waiting.sends, waiting.again_at) == ([], back_at + PROBE_EVERY)
    assert ledger.database.run(routes.resume, route_id="gmail", reason=PROVIDER_DOWN)
    assert len(ledger.round(at=back_at).sends) == 3


def test_who_waits_behind_others_is_told_when_it_leaves(
    ledger: Ledger, alice: str, mailbox: Callable[[str], str]
) -> None:
    route = mailbox_route(mailbox("work"))
    made = [ledger.accepted(alice, route=route) for _ in range(4)]
    (first,) = ledger.round(paces=SLOW).sends
    ledger.carried_out(first, State.SENT)
    found = [ledger.get(alice, send_id) for send_id in made]
    leaving = ledger.database.run(departures, found, pace_of=lambda via, _: SLOW[via], at=NOON)
    interval = SLOW["gmail"].rate.interval
    assert {send_id: departure.at for send_id, departure in leaving.items()} == {
        send_id: NOON + (place + 1) * interval for place, send_id in enumerate(made[1:])
    }


def test_a_claim_takes_as_many_statements_for_twenty_mailboxes_as_for_two(
    ledger: Ledger, alice: str, mailbox: Callable[[str], str]
) -> None:
    for number in range(30):
        ledger.accepted(alice, route=mailbox_route(mailbox(f"box {number}")))
    counts = []
    assert len(ledger.round(room={"gmail": 1}).sends) == 1
    for room in (2, 20):
        with ledger.statements() as asked:
            taken = ledger.round(room={"gmail": room}).sends
        assert len(taken) == room
        counts.append(len(asked))
    assert counts[0] == counts[1]
