"""Tells of sends that wait for their mailbox's turn when they will leave, and why then."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from replysequence.domain.pacing import Rate
from replysequence.domain.send import Send
from replysequence.providers.registry import Registry
from replysequence.storage.claims import PROVIDER_DOWN
from replysequence.storage.database import Transaction, now
from replysequence.storage.departures import Departure, departures

WORTH_TELLING = timedelta(seconds=3)
"""A shorter wait is over before it is read."""

_PERIODS = {timedelta(seconds=1): "second", timedelta(minutes=1): "minute"}


def departing(transaction: Transaction, found: Sequence[Send], *, registry: Registry) -> list[Send]:
    """``found`` with the time at which each of them leaves, where it must wait for others of its mailbox.
    When a provider that is down will be back nobody can tell.
    """
    at = now(transaction)
    told = [send for send in found if send.reason != PROVIDER_DOWN]
    leaving = departures(transaction, told, pace_of=registry.pace, at=at)
    return [
        _told(send, departure, registry=registry)
        if (departure := leaving.get(send.id)) and departure.at > at + WORTH_TELLING
        else send
        for send in found
    ]


def _told(send: Send, departure: Departure, *, registry: Registry) -> Send:
    if send.reason is not None:
        return replace(send, leaves_at=departure.at)
    title = registry.provider(send.route.via).title
    why = f"{title} takes {_words(departure.pace.rate)}{' from one mailbox' if send.route.connection_id else ''}."
    return replace(
        send, leaves_at=departure.at, reason="paced", explanation=f"{why} This one waits its turn."
    )


def _words(rate: Rate) -> str:
    return f"{rate.calls:,} messages a {_PERIODS[rate.period]}"
