"""The arithmetic of pace: never over a provider's limit in any window, and hardly under it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replysequence.domain.pacing import DAY, USAGE_STEP, Pace, Rate, Used, leaves_at, piece_of

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
GMAIL, PROJECT, RESEND = Rate(60, MINUTE), Rate(12_000, MINUTE), Rate(10, SECOND)
WORKSPACE = Pace(1, GMAIL, messages_per_day=2_000, recipients_per_day=10_000)

every_rate = pytest.mark.parametrize(
    "rate", [GMAIL, PROJECT, RESEND, Rate(150, MINUTE), Rate(1, MINUTE)], ids=str
)


def calls_of(rate: Rate, asked_at: Sequence[datetime], *, wanted: int = 1_000_000) -> list[datetime]:
    """When calls begin, if as many as are allowed begin at each of these moments."""
    began: list[datetime] = []
    paced_until = None
    for at in asked_at:
        free = min(wanted, rate.free(paced_until=paced_until, at=at))
        if free:
            paced_until = rate.after(paced_until=paced_until, at=at, calls=free)
            began += [at] * free
    return began


def most_in_any_window(began: Sequence[datetime], period: timedelta) -> int:
    first, most = 0, 0
    for last, at in enumerate(began):
        while began[first] <= at - period:
            first += 1
        most = max(most, last - first + 1)
    return most


@every_rate
@given(gaps=st.lists(st.integers(0, 3_000), min_size=1, max_size=300))
def test_no_window_ever_holds_more_calls_than_the_provider_allows(rate: Rate, gaps: list[int]) -> None:
    unit = rate.period / 1_000
    asked_at = [NOON + sum(gaps[: n + 1]) * unit for n in range(len(gaps))]
    assert most_in_any_window(calls_of(rate, asked_at), rate.period) <= rate.calls


@every_rate
def test_a_queue_that_is_always_full_uses_nearly_all_that_is_allowed(rate: Rate) -> None:
    began: list[datetime] = []
    at, paced_until = NOON, None
    while len(began) < 20 * rate.calls:
        free = rate.free(paced_until=paced_until, at=at)
        paced_until = rate.after(paced_until=paced_until, at=at, calls=free)
        began += [at] * free
        at = paced_until
    optimum = (began[-1] - began[0]) / rate.period * rate.calls
    assert len(began) / optimum >= 0.95
    assert most_in_any_window(began, rate.period) <= rate.calls


def test_after_a_rest_a_burst_begins_at_once_and_no_more() -> None:
    assert PROJECT.free(paced_until=None, at=NOON) == PROJECT.burst > 100
    paced_until = PROJECT.after(paced_until=None, at=NOON, calls=PROJECT.burst)
    assert PROJECT.free(paced_until=paced_until, at=NOON) == 0
    assert PROJECT.free(paced_until=paced_until, at=paced_until) == 1
    assert PROJECT.free(paced_until=paced_until, at=NOON + DAY) == PROJECT.burst


def test_one_mailbox_never_begins_two_at_once() -> None:
    assert GMAIL.burst == 1
    assert GMAIL.after(paced_until=NOON - DAY, at=NOON, calls=1) == NOON + GMAIL.interval


def test_a_told_rate_counts_in_the_periods_of_the_provider() -> None:
    relay = Pace(50, RESEND)
    assert relay.told(None) is relay
    assert relay.told(6_000).rate == Rate(100, SECOND)
    assert relay.told(1).rate == Rate(1, SECOND)


@pytest.mark.parametrize(
    ("used", "recipients", "fits"),
    [
        ((0, 0), 100, True),
        ((1_999, 0), 1, True),
        ((2_000, 0), 1, False),
        ((5, 9_990), 10, True),
        ((5, 9_991), 10, False),
    ],
)
def test_a_message_fits_when_the_day_has_room_for_it_and_all_its_recipients(
    used: tuple[int, int], recipients: int, *, fits: bool
) -> None:
    assert WORKSPACE.fits(Used(NOON, *used), recipients=recipients) is fits


def test_room_comes_back_when_enough_of_the_oldest_is_a_day_old() -> None:
    usage = [
        Used(NOON, 1_500, 1_500),
        Used(NOON + USAGE_STEP, 499, 499),
        Used(NOON + 2 * USAGE_STEP, 1, 8_001),
    ]
    assert WORKSPACE.fits_at(usage, recipients=1) == NOON + USAGE_STEP + DAY
    assert WORKSPACE.fits_at(usage, recipients=1_600) == NOON + 2 * USAGE_STEP + DAY
    assert WORKSPACE.fits_at(usage[1:], recipients=1) is None


def test_a_piece_of_usage_begins_at_a_quarter_of_an_hour() -> None:
    assert piece_of(NOON + timedelta(minutes=29, seconds=59)) == NOON + USAGE_STEP


@given(ahead=st.integers(0, 9_000), used=st.integers(0, 2_500))
def test_who_stands_behind_more_never_leaves_earlier(ahead: int, used: int) -> None:
    moments = [
        leaves_at(
            WORKSPACE, ahead=ahead + more, first_at=NOON, used=Used(NOON, used, used), day_frees_at=NOON + DAY
        )
        for more in (0, 1, 2_000)
    ]
    assert moments == sorted(moments)
    assert moments[0] >= NOON + min(ahead, max(0, 2_000 - used)) * GMAIL.interval or used + ahead >= 2_000


def test_what_does_not_fit_into_the_day_leaves_when_it_is_over() -> None:
    third_day = leaves_at(
        WORKSPACE, ahead=4_500, first_at=NOON, used=Used(NOON, 0, 0), day_frees_at=NOON + DAY
    )
    assert third_day == NOON + 2 * DAY + 500 * GMAIL.interval
