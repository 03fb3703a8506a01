"""What a worker takes: sends that are due, each under a new attempt number, never faster than their providers allow.

All sends of a round are taken together, in a handful of statements however many they are. Every transition is a
conditional update that names the send, the attempt number and the state it starts from; the attempt number is the
fencing token. None of this serves people: rows are found by id alone.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, Integer, String, bindparam, func, insert, literal, null, select, update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.pacing import Pace, PaceOf, Rate, Used
from replysequence.domain.send import CLAIMABLE, GIVE_UP_AFTER, IN_HAND, State
from replysequence.storage import connection_tokens, holding, routes
from replysequence.storage.column_types import Id, UtcDateTime
from replysequence.storage.connection_tokens import SealedTokens
from replysequence.storage.database import AnyRow
from replysequence.storage.given import Given
from replysequence.storage.tables import email_connections, in_states, route_usage, send_attempts
from replysequence.storage.tables import routes as routes_table
from replysequence.storage.tables import sends as sends_table

PROVIDER_DOWN = "provider_down"
"""Why all mailboxes of a provider pause: it fails for many of them at once."""
PROBE_EVERY = timedelta(seconds=15)
"""How often one send tries whether a provider that is down is back."""
LOOK_AGAIN = timedelta(seconds=5)
"""A queue whose places are all taken is woken by the send that ends. Should that cross our look, it is looked at again
after this time.
"""

_S = sends_table.c
_R = routes_table.c
_C = email_connections.c


class AttemptLost(Exception):
    """This attempt no longer owns its send: it was cancelled, or somebody believed this worker dead."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A send that this worker owns until it writes an ending."""

    id: str
    user_id: str
    draft_id: str
    attempt: int
    via: str
    route_id: str
    connection_id: str | None
    envelope: str = field(repr=False)
    message: str = field(repr=False)
    thread_id: str | None
    give_up_at: datetime
    first_attempt_at: datetime | None
    recipients: int
    at: datetime = field(kw_only=True)
    """When it was claimed, by the database's clock."""
    tokens: SealedTokens | None = field(default=None, repr=False, kw_only=True)
    """The tokens of its mailbox as they were then."""
    per_minute: int | None = field(default=None, kw_only=True)
    """The rate that its route was last told."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one claim took, and when the next one could find more, as things stand; none when nothing is planned."""

    sends: list[Claimed]
    again_at: datetime | None


CARRIED = (
    _S.id,
    _S.user_id,
    _S.draft_id,
    _S.attempt,
    _S.via,
    _S.route_id,
    _S.connection_id,
    _S.envelope,
    _S.message,
    _S.thread_id,
    _S.give_up_at,
    _S.first_attempt_at,
    _S.recipients,
)
"""The columns of :class:`Claimed`, in its order."""

_SHARED = (
    select(_R.id, _R.paced_until, _R.paused_until, _R.pause_reason)
    .where(_R.id.in_(bindparam("names", expanding=True)))
    .order_by(_R.id)
    .with_for_update()
)
_used = select(func.coalesce(func.sum(route_usage.c.messages), 0)).where(
    route_usage.c.route_id == _R.id, route_usage.c.began_at > bindparam("since")
)
_DUE = (
    select(
        _R.id,
        _R.paced_until,
        _R.per_minute,
        select(func.count())
        .where(_S.route_id == _R.id, in_states(_S.state, IN_HAND))
        .correlate(routes_table)
        .scalar_subquery()
        .label("active"),
        _used.correlate(routes_table).scalar_subquery().label("messages"),
        _used.with_only_columns(func.coalesce(func.sum(route_usage.c.recipients), 0))
        .correlate(routes_table)
        .scalar_subquery()
        .label("recipients"),
        _C.email,
        _C.status,
    )
    .select_from(routes_table.outerjoin(email_connections, _C.id == _R.connection_id))
    .where(_R.via == bindparam("via"), _R.next_at <= bindparam("at"))
    .order_by(_R.next_at)
    .limit(bindparam("count"))
    .with_for_update(of=routes_table, skip_locked=True)
)
_STANDING = select(_C.status, _C.status_reason, _C.problem).where(_C.id == bindparam("connection_id"))
_DUE_SENDS = (
    in_states(_S.state, CLAIMABLE),
    _S.next_at.is_not(None),  # a partial index is used where its own words are found
    _S.next_at <= bindparam("at"),
)
_NEXT_ATTEMPT = [column + 1 if column is _S.attempt else column for column in CARRIED]
_WITH_TOKENS = select(*_NEXT_ATTEMPT, *connection_tokens.COLUMNS).select_from(
    sends_table.outerjoin(email_connections, _C.id == _S.connection_id)
)
_first = sends_table.alias("first")
_ROUTES = Given(id=String(64))
_FIRST_OF_EACH = _ROUTES.statement(
    lambda given: _WITH_TOKENS.where(
        _S.id.in_(
            select(
                select(_first.c.id)
                .where(
                    _first.c.route_id == given.c.id,
                    in_states(_first.c.state, CLAIMABLE),
                    _first.c.next_at.is_not(None),
                    _first.c.next_at <= bindparam("at"),
                )
                .order_by(_first.c.next_at, _first.c.id)
                .limit(1)
                .correlate(given)
                .scalar_subquery()
            ).select_from(given)
        )
    )
)
_NEXT_OF_ONE = (
    _WITH_TOKENS.where(_S.route_id == bindparam("route_id"), *_DUE_SENDS)
    .order_by(_S.next_at, _S.id)
    .limit(bindparam("places"))
)
_ATTEMPTS = Given(id=Id(), attempt=Integer())
_CLAIM = _ATTEMPTS.statement(
    lambda given: (
        update(sends_table)
        .where(
            _S.id == given.c.id,
            _S.attempt == given.c.attempt - 1,
            in_states(_S.state, CLAIMABLE),
        )
        .values(
            state=State.CLAIMED,
            attempt=given.c.attempt,
            claimed_by=bindparam("incarnation"),
            reason=null(),
            explanation=null(),
            next_at=null(),
            updated_at=bindparam("at"),
        )
    )
)
_NEW_ATTEMPT = _ATTEMPTS.statement(
    lambda given: insert(send_attempts).from_select(
        ["send_id", "number", "incarnation", "phase", "started_at"],
        select(
            given.c.id,
            given.c.attempt,
            bindparam("incarnation", type_=Id()),
            literal("claimed"),
            bindparam("at", type_=UtcDateTime()),
        ),
    )
)
_FULL = _ROUTES.statement(
    lambda given: (
        update(routes_table).where(_R.id.in_(select(given.c.id))).values(next_at=bindparam("again_at"))
    )
)
_SHARED_PACED = (
    update(routes_table).where(_R.id == bindparam("route_id")).values(paced_until=bindparam("paced"))
)
_PROBED = update(routes_table).where(_R.id == bindparam("route_id")).values(paused_until=bindparam("until"))
_NEXT_DUE = select(func.min(_R.next_at)).where(_R.via == bindparam("via"), _R.next_at.is_not(None))
_BEGIN = _ATTEMPTS.statement(
    lambda given: (
        update(sends_table)
        .where(
            _S.id == given.c.id,
            _S.attempt == given.c.attempt,
            _S.state == State.CLAIMED,
            _S.claimed_by == bindparam("incarnation"),
        )
        .values(
            state=State.SENDING,
            first_attempt_at=func.coalesce(_S.first_attempt_at, bindparam("at")),
            updated_at=bindparam("at"),
        )
    )
)


def claim(
    connection: Connection,
    *,
    incarnation: str,
    room: Mapping[str, int],
    pace_of: PaceOf,
    shared: Mapping[str, Rate],
    at: datetime,
) -> Round:
    """Take sends that are due: of each provider at most ``room``, the mailbox that has waited longest first.

    No mailbox gets more than its pace, and all of a provider's together no more than its ``shared`` rate. A mailbox
    that cannot be used takes no claim: its sends are put to wait for their owner.
    """
    together = _together(connection, names=[via for via, free in room.items() if free > 0])
    rounds = [
        _of_provider(
            connection,
            via,
            incarnation=incarnation,
            free=room[via],
            pace_of=pace_of,
            shared=shared.get(via),
            state=state,
            at=at,
        )
        for via, state in together.items()
    ]
    moments = [each.again_at for each in rounds if each.again_at is not None]
    return Round([send for each in rounds for send in each.sends], min(moments, default=None))


@dataclass(frozen=True, slots=True)
class _Together:
    """How all mailboxes of a provider, or one relay, stand."""

    paced_until: datetime | None
    paused_until: datetime | None
    is_down: bool


def _together(connection: Connection, *, names: Sequence[str]) -> dict[str, _Together]:
    """The rows of these providers, locked: one worker at a time shares out what a provider takes."""
    if not names:
        return {}
    rows = {row.id: row for row in connection.execute(_SHARED, {"names": sorted(names)})}
    for name in sorted(set(names) - set(rows)):
        routes.take(connection, route_id=name, via=name)
    return {
        name: _Together(row.paced_until, row.paused_until, row.pause_reason == PROVIDER_DOWN)
        if (row := rows.get(name))
        else _Together(None, None, is_down=False)
        for name in names
    }


def _of_provider(
    connection: Connection,
    via: str,
    *,
    incarnation: str,
    free: int,
    pace_of: PaceOf,
    shared: Rate | None,
    state: _Together,
    at: datetime,
) -> Round:
    if state.is_down:
        if state.paused_until is not None and state.paused_until > at:
            return Round([], state.paused_until)
        free = 1
    if shared is not None:
        free = min(free, shared.free(paced_until=state.paced_until, at=at))
    taken: list[Claimed] = []
    if free > 0:
        taken = _take_due(connection, via, incarnation=incarnation, free=free, pace_of=pace_of, at=at)
    if taken and state.is_down:
        connection.execute(_PROBED, {"route_id": via, "until": at + PROBE_EVERY})
    paced_until = state.paced_until
    if taken and shared is not None:
        paced_until = shared.after(paced_until=paced_until, at=at, calls=len(taken))
        connection.execute(_SHARED_PACED, {"route_id": via, "paced": paced_until})
    again_at = connection.execute(_NEXT_DUE, {"via": via}).scalar_one()
    if again_at is not None and shared is not None and paced_until is not None:
        again_at = max(again_at, paced_until)
    return Round(taken, again_at)


@dataclass(frozen=True, slots=True)
class _Place:
    """A route with room for more, before it is known what waits there."""

    route: AnyRow
    pace: Pace
    count: int
    used: Used


def _take_due(
    connection: Connection, via: str, *, incarnation: str, free: int, pace_of: PaceOf, at: datetime
) -> list[Claimed]:
    rows = connection.execute(_DUE, {"via": via, "at": at, "count": free, "since": routes.since(at)}).all()
    places: list[_Place] = []
    left = free
    for row in rows:
        if row.id != via and row.status != ConnectionStatus.ACTIVE:
            _hold(connection, route_id=row.id, at=at)
            continue
        pace = pace_of(via, row.email).told(row.per_minute)
        count = min(left, pace.concurrency - row.active, pace.rate.free(paced_until=row.paced_until, at=at))
        count = max(0, count)
        left -= count
        places.append(_Place(row, pace, count, Used(at, row.messages, row.recipients)))
    found = _waiting_in(connection, places, at=at)
    taken = [send for place in places for send in _fitting(connection, place, found[place.route.id], at=at)]
    _write(connection, taken, incarnation=incarnation, at=at)
    _set_paces(connection, places, taken, at=at)
    return taken


def _hold(connection: Connection, *, route_id: str, at: datetime) -> None:
    """Let the sends of a mailbox wait, unless it was reconnected just before the lock: nothing would free them."""
    mailbox = connection.execute(_STANDING, {"connection_id": route_id}).one_or_none()
    reason, explanation = "disconnected", "This e-mail account is no longer connected. Cancel this send."
    if mailbox and mailbox.status == ConnectionStatus.ACTIVE:
        return
    if mailbox and mailbox.status == ConnectionStatus.NEEDS_RECONNECT:
        reason, explanation = mailbox.status_reason or mailbox.status, mailbox.problem or explanation
    holding.hold(connection, connection_id=route_id, reason=reason, explanation=explanation, at=at)


def _waiting_in(
    connection: Connection, places: Sequence[_Place], *, at: datetime
) -> dict[str, list[Claimed]]:
    """The oldest due sends by route: one of each mailbox, as many as there are places for a relay."""
    found: dict[str, list[Claimed]] = {place.route.id: [] for place in places}
    told = {place.route.id: place.route.per_minute for place in places}
    single = [place.route.id for place in places if place.count == 1]
    rows: list[AnyRow] = []
    if single:
        given = _ROUTES.rows(connection, [(route_id,) for route_id in single])
        rows += connection.execute(_FIRST_OF_EACH[connection.dialect.name], {**given, "at": at}).all()
    for place in places:
        if place.count > 1:
            rows += connection.execute(
                _NEXT_OF_ONE, {"route_id": place.route.id, "places": place.count, "at": at}
            ).all()
    for row in rows:
        found[row.route_id].append(
            Claimed(
                *row[: len(CARRIED)],
                at=at,
                tokens=connection_tokens.of_row(row[len(CARRIED) :]),
                per_minute=told[row.route_id],
            )
        )
    return found


def _fitting(
    connection: Connection, place: _Place, waiting: Sequence[Claimed], *, at: datetime
) -> list[Claimed]:
    """Those that the day's limits of their mailbox still take. When one does not fit, the mailbox pauses."""
    used = place.used
    for number, send in enumerate(waiting):
        if not place.pace.fits(used, recipients=send.recipients):
            _pause_until_it_fits(connection, place, send, at=at)
            return list(waiting[:number])
        used = Used(at, used.messages + 1, used.recipients + send.recipients)
    return list(waiting)


def _pause_until_it_fits(connection: Connection, place: _Place, send: Claimed, *, at: datetime) -> None:
    usage = routes.usage(connection, route_id=place.route.id, at=at)
    until = place.pace.fits_at(usage, recipients=send.recipients) or at + PROBE_EVERY
    routes.pause(
        connection,
        route_id=place.route.id,
        until=until,
        reason="daily_limit",
        explanation=(
            "This account has sent as much as its provider takes in 24 hours. The rest leaves by itself as room comes "
            "back."
        ),
    )
    routes.extend(connection, route_id=place.route.id, until=until + GIVE_UP_AFTER)


def _write(connection: Connection, taken: Sequence[Claimed], *, incarnation: str, at: datetime) -> None:
    if not taken:
        return
    dialect = connection.dialect.name
    given = _ATTEMPTS.rows(connection, [(send.id, send.attempt) for send in taken])
    values = {**given, "incarnation": incarnation, "at": at}
    if connection.execute(_CLAIM[dialect], values).rowcount != len(taken):
        # Who changes a send holds its route, and these routes are ours.
        raise AttemptLost("a send that was about to be claimed has changed under its route's lock")
    connection.execute(_NEW_ATTEMPT[dialect], values)


def _set_paces(
    connection: Connection, places: Sequence[_Place], taken: Sequence[Claimed], *, at: datetime
) -> None:
    calls = Counter(send.route_id for send in taken)
    routes.pace(
        connection,
        {
            place.route.id: place.pace.rate.after(
                paced_until=place.route.paced_until, at=at, calls=calls[place.route.id]
            )
            for place in places
            if calls[place.route.id]
        },
    )
    full = [place.route.id for place in places if place.route.active >= place.pace.concurrency]
    if full:
        given = _ROUTES.rows(connection, [(route_id,) for route_id in full])
        connection.execute(_FULL[connection.dialect.name], {**given, "again_at": at + LOOK_AGAIN})
    routes.reschedule(connection, route_ids={place.route.id for place in places} - calls.keys() - set(full))
    limited = {place.route.id for place in places if place.pace.has_daily_limit}
    routes.use(
        connection, [(send.route_id, send.recipients) for send in taken if send.route_id in limited], at=at
    )


def begin_sending(
    connection: Connection, beginning: Sequence[Claimed], *, incarnation: str, at: datetime
) -> None:
    """Commit that the exchanges are about to begin.

    Raises :class:`AttemptLost` when one of them may not: then none has, and each is to be tried alone.
    """
    given = _ATTEMPTS.rows(connection, [(send.id, send.attempt) for send in beginning])
    values = {**given, "incarnation": incarnation, "at": at}
    if connection.execute(_BEGIN[connection.dialect.name], values).rowcount != len(beginning):
        raise AttemptLost(beginning[0].id)
