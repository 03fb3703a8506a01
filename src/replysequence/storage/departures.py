"""When what waits behind others will leave: read from the queue that it stands in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Tuple, bindparam, func, literal_column, select, tuple_

from replysequence.domain import pacing
from replysequence.domain.pacing import Pace, PaceOf, Used
from replysequence.domain.send import CLAIMABLE, Send
from replysequence.storage import routes
from replysequence.storage.column_types import NOBODY
from replysequence.storage.tables import email_connections, in_states, sends
from replysequence.storage.tables import routes as routes_table

COUNTED = 20_000
"""Who has more before it leaves later than this says: counting on would cost more than the answer is worth."""

_R = routes_table.c


def _place(name: str) -> Tuple:
    """A place in a queue, as two parameters."""
    return tuple_(
        bindparam(f"{name}_time", type_=sends.c.next_at.type), bindparam(f"{name}_id", type_=sends.c.id.type)
    )


_ROUTE = (
    select(_R.via, _R.paced_until, _R.paused_until, _R.per_minute, email_connections.c.email)
    .select_from(routes_table.outerjoin(email_connections, email_connections.c.id == _R.connection_id))
    .where(_R.id == bindparam("route_id"))
)
_PLACE = tuple_(sends.c.next_at, sends.c.id)
_BETWEEN = select(func.count()).select_from(
    select(literal_column("1"))
    .where(
        sends.c.route_id == bindparam("route_id"),
        in_states(sends.c.state, CLAIMABLE),
        sends.c.next_at.is_not(None),
        _place("from") <= _PLACE,
        _place("to") > _PLACE,
    )
    .limit(COUNTED)
    .subquery()
)
_START = (datetime(1970, 1, 1, tzinfo=UTC), NOBODY)


@dataclass(frozen=True, slots=True)
class Departure:
    """About when a send leaves, and the pace that it waits for."""

    at: datetime
    pace: Pace


def departures(
    connection: Connection, waiting: Sequence[Send], *, pace_of: PaceOf, at: datetime
) -> dict[str, Departure]:
    """By send id: for those that are due at ``at`` but must wait for others, for a pause or for the pace."""
    behind: dict[str, list[tuple[datetime, str]]] = {}
    for send in waiting:
        if send.state in CLAIMABLE and send.next_at is not None and send.next_at <= at:
            behind.setdefault(send.route.id, []).append((send.next_at, send.id))
    found: dict[str, Departure] = {}
    for route_id, places in behind.items():
        queue = _queue(connection, route_id=route_id, pace_of=pace_of, at=at)
        if queue is None:
            continue
        ahead, last = 0, _START
        for place in sorted(places):
            ahead += _count(connection, route_id=route_id, start=last, end=place)
            last = place
            moment = pacing.leaves_at(
                queue.pace,
                ahead=ahead,
                first_at=queue.first_at,
                used=queue.used,
                day_frees_at=queue.day_frees_at,
            )
            if moment > at:
                found[place[1]] = Departure(moment, queue.pace)
    return found


def _count(
    connection: Connection, *, route_id: str, start: tuple[datetime, str], end: tuple[datetime, str]
) -> int:
    """How many stand from ``start`` on and before ``end``: so each row is read once, however many sends ask."""
    return connection.execute(
        _BETWEEN,
        {
            "route_id": route_id,
            "from_time": start[0],
            "from_id": start[1],
            "to_time": end[0],
            "to_id": end[1],
        },
    ).scalar_one()


@dataclass(frozen=True, slots=True)
class _Queue:
    pace: Pace
    first_at: datetime
    used: Used
    day_frees_at: datetime | None


def _queue(connection: Connection, *, route_id: str, pace_of: PaceOf, at: datetime) -> _Queue | None:
    row = connection.execute(_ROUTE, {"route_id": route_id}).one_or_none()
    if row is None or (row.email is None and row.via != route_id):
        return None
    pace = pace_of(row.via, row.email).told(row.per_minute)
    usage = routes.usage(connection, route_id=route_id, at=at) if pace.has_daily_limit else []
    used = Used(at, sum(each.messages for each in usage), sum(each.recipients for each in usage))
    return _Queue(
        pace=pace,
        first_at=max(at, row.paced_until or at, row.paused_until or at),
        used=used,
        day_frees_at=pace.fits_at(usage, recipients=1),
    )
