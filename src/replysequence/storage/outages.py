"""Providers that are down, for every worker and every page: a pause of the row that all sends of a provider share.

While it lasts one send is let through from time to time (see ``claims.py``). Who sees it leave ends the pause.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, or_, select, update

from replysequence.domain.send import CLAIMABLE
from replysequence.storage import routes
from replysequence.storage.claims import PROVIDER_DOWN
from replysequence.storage.tables import in_states, sends
from replysequence.storage.tables import routes as routes_table

FIRST_PROBE = timedelta(seconds=5)
"""How long nothing at all is sent at first: most trouble is over at once."""

_R = routes_table.c
_BEGIN = (
    update(routes_table)
    .where(
        _R.id == bindparam("provider"),
        _R.pause_reason.is_distinct_from(PROVIDER_DOWN),
        or_(_R.paused_until.is_(None), _R.paused_until <= bindparam("until")),
    )
    .values(
        paused_until=bindparam("until"),
        pause_reason=PROVIDER_DOWN,
        pause_explanation=bindparam("explanation"),
        down_since=bindparam("at"),
    )
)
_PRESENT = select(_R.id, _R.pause_explanation, _R.down_since).where(
    _R.id.in_(bindparam("providers", expanding=True)), _R.pause_reason == PROVIDER_DOWN
)
_WAITING = select(func.count()).where(
    sends.c.user_id == bindparam("user_id"),
    sends.c.route_id.in_(bindparam("route_ids", expanding=True)),
    in_states(sends.c.state, CLAIMABLE),
    sends.c.next_at <= bindparam("at"),
)


@dataclass(frozen=True, slots=True)
class Outage:
    """A provider is down. ``explanation`` is a sentence for people, ``since`` aware UTC."""

    explanation: str
    since: datetime


def begin(connection: Connection, *, provider: str, explanation: str, at: datetime) -> bool:
    """Send nothing through this provider for the time being; False when it was known, or pauses for longer anyway."""
    routes.take(connection, route_id=provider, via=provider)
    values = {"provider": provider, "until": at + FIRST_PROBE, "explanation": explanation, "at": at}
    return connection.execute(_BEGIN, values).rowcount > 0


def end(connection: Connection, *, provider: str) -> bool:
    """Send through it as before; False when it was not down."""
    ended = routes.resume(connection, route_id=provider, reason=PROVIDER_DOWN)
    routes.reschedule(connection, route_ids=[provider])  # a relay's row is a queue as well
    return ended


def present(connection: Connection, *, providers: Iterable[str]) -> dict[str, Outage]:
    """Those of these providers that are down now."""
    rows = connection.execute(_PRESENT, {"providers": list(providers)})
    return {row.id: Outage(row.pause_explanation, row.down_since) for row in rows}


def waiting(connection: Connection, *, user_id: str, route_ids: Iterable[str], at: datetime) -> int:
    """How many sends of this person in these queues should have left by ``at``."""
    values = {"user_id": user_id, "route_ids": list(route_ids), "at": at}
    return connection.execute(_WAITING, values).scalar_one()
