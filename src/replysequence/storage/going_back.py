"""What went back in time: the database, restored from an older copy, or the clock that it goes by.

An older copy does not know what was sent after it was made, so nothing in it may leave by itself. A clock that was set
back makes every time that was reckoned before lie too far ahead.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, bindparam, func, null, or_, select, text, update

from replysequence.domain.event import Kind
from replysequence.domain.send import CLAIMABLE, SCHEDULED, State
from replysequence.storage import endings, incarnations, routes
from replysequence.storage.database import now
from replysequence.storage.holding import ASKS_FIRST, MOVED, moved
from replysequence.storage.tables import email_connections, events, in_states, reports, sends
from replysequence.storage.tables import routes as routes_table

TOLERANCE = timedelta(minutes=1)
"""Two machines' clocks, or two transactions at once, may differ; a wait that is this much too long does no harm."""
LONGEST_LEASE = timedelta(minutes=1)
KEYS_FORGOTTEN = timedelta(days=2)
"""Longer than a relay remembers a key. When a first attempt was really made nobody can tell any more, so nothing is
repeated under its key.
"""

_EXPLANATION = (
    "The server's database was restored from an older copy, so this may have left already. Look among what you have "
    "sent before you send it."
)
_NEWEST_EVENT = select(events.c.at).order_by(events.c.id.desc()).limit(1)
_LAST_EVENT_ID = select(func.coalesce(func.max(events.c.id), 0))
_EVENTS_EVER = {
    "sqlite": text("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'events'"),
    "postgresql": text("SELECT last_value FROM events_id_seq"),
}
_SKIP_EVENT_IDS = {
    "sqlite": (
        text("DELETE FROM sqlite_sequence WHERE name = 'events'"),
        text("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', :last)"),
    ),
    "postgresql": (text("SELECT setval('events_id_seq', :last)"),),
}
_UNFINISHED_ROUTES = select(sends.c.route_id).where(in_states(sends.c.state, CLAIMABLE)).distinct()
_HOLD = (
    update(sends)
    .where(in_states(sends.c.state, CLAIMABLE), sends.c.reason.is_distinct_from(ASKS_FIRST))
    .values(
        state=State.WAITING,
        reason=ASKS_FIRST,
        explanation=_EXPLANATION,
        next_at=null(),
        updated_at=bindparam("at"),
    )
    .returning(*MOVED)
)


@dataclass(frozen=True, slots=True)
class Held:
    """What a restored database had not ended: sends that wait for their owners' word now, and those of which nobody
    knows whether they left.
    """

    waiting: int
    unknown: int


def last_event_id(connection: Connection) -> int:
    """The highest id of an event that is on disk."""
    last: int = connection.execute(_LAST_EVENT_ID).scalar_one()
    return last


def events_ever(connection: Connection) -> int:
    """The highest id that an event can have had. It only grows, also when events are removed."""
    last: int = connection.execute(_EVENTS_EVER[connection.dialect.name]).scalar_one()
    return last


def skip_event_ids(connection: Connection, *, last: int) -> None:
    """Give new events ids above ``last``: an id is a cursor that somebody may hold from before."""
    for statement in _SKIP_EVENT_IDS[connection.dialect.name]:
        connection.execute(statement, {"last": last} if ":last" in str(statement) else {})


def hold_unfinished(connection: Connection) -> Held:
    """Let nothing leave that was accepted in an older copy, unless its owner says so.

    What was on the wire when the copy was made is unknown, also through a relay: its keys may be forgotten.
    """
    at = now(connection)
    unknown = 0
    for owner in endings.owners(connection):
        if incarnations.is_dead(connection, incarnation=owner):
            ended = endings.reap(connection, incarnation=owner, repeatable={}, at=at)
            unknown += ended.get(State.UNKNOWN, 0)
    route_ids = list(connection.execute(_UNFINISHED_ROUTES).scalars())
    routes.lock_all(connection, route_ids=route_ids)
    rows = connection.execute(_HOLD, {"at": at}).all()
    moved(connection, rows, kind=Kind.SEND_WAITING, reason=ASKS_FIRST, at=at)
    routes.reschedule(connection, route_ids=route_ids)
    return Held(waiting=len(rows), unknown=unknown)


def clock_went_back(connection: Connection) -> bool:
    """Whether the last event lies in the future. Events come in order, so the next one sets this right."""
    newest = connection.execute(_NEWEST_EVENT).scalar_one_or_none()
    return newest is not None and newest > now(connection) + TOLERANCE


def forget_old_clock(connection: Connection) -> None:
    """Let nothing wait for a time that was reckoned by a clock that was ahead, but for what a person chose."""
    at = now(connection)
    route_ids = list(connection.execute(_UNFINISHED_ROUTES).scalars())
    routes.lock_all(connection, route_ids=route_ids)
    connection.execute(
        update(sends)
        .where(
            in_states(sends.c.state, CLAIMABLE),
            sends.c.next_at > at,
            or_(sends.c.reason.is_(None), sends.c.reason != SCHEDULED),
        )
        .values(next_at=at)
    )
    connection.execute(
        update(sends)
        .where(in_states(sends.c.state, CLAIMABLE), sends.c.first_attempt_at > at)
        .values(first_attempt_at=at - KEYS_FORGOTTEN)
    )
    connection.execute(update(routes_table).where(routes_table.c.paced_until > at).values(paced_until=None))
    connection.execute(
        update(routes_table)
        .where(routes_table.c.paused_until > at)
        .values(paused_until=None, pause_reason=None, pause_explanation=None)
    )
    connection.execute(
        update(email_connections)
        .where(email_connections.c.refresh_until > at + LONGEST_LEASE)
        .values(refresh_owner=None, refresh_until=None)
    )
    connection.execute(update(reports).where(reports.c.next_at > at).values(next_at=at))
    routes.reschedule(connection, route_ids=route_ids)
