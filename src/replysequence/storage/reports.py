"""Reports as they come to be, and as their owners see and steer them: one for each send and CRM.

A report is made in the transaction in which its send becomes sent, so a send is never sent without it. What a worker
does to it is in ``report_claims.py``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, case, func, null, or_, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.report import Correction, CrmOptions, Report, ReportState
from replysequence.storage import frozen
from replysequence.storage.database import AnyRow, notify
from replysequence.storage.tables import platform_connections, reports, sends

CHANNEL = "reports"
"""Where workers hear that there is something to log."""
CRM = "crm"
"""The category of connections that are told of every send."""
LOGGED_BY_ITSELF = "crm_logged_it"
"""Why a logged report has no entry of ours: the CRM had one."""
DISCONNECTED = "disconnected"

_R, _P = reports.c, platform_connections.c
_WHO_WANTS = (
    select(_P.id, _P.user_id, _P.provider, _P.options)
    .where(
        _P.user_id.in_(bindparam("user_ids", expanding=True)),
        _P.category == CRM,
        _P.status != ConnectionStatus.DISCONNECTING,
    )
    # Until this transaction ends none of them is taken down, which drops what is to be logged there.
    .with_for_update(read=True)
)
_ENVELOPES = select(sends.c.id, sends.c.envelope).where(sends.c.id.in_(bindparam("ids", expanding=True)))
_ADD = {
    "sqlite": sqlite.insert(reports).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(reports).on_conflict_do_nothing(),
}
_SHOWN = select(
    *(column for column in _R if column.name not in {"claimed_by", "look_first", "failures"}),
    sends.c.subject,
    _P.status.label("connection_status"),
    _P.status_reason,
    _P.problem,
).select_from(
    reports.join(sends, sends.c.id == _R.send_id).outerjoin(platform_connections, _P.id == _R.connection_id)
)
"""Reports as their owners see them, each with how its connection stands."""
_OF_SEND = _SHOWN.where(_R.user_id == bindparam("user_id"), _R.send_id == bindparam("send_id")).order_by(
    _R.connection_id
)
_THIS = and_(_R.send_id == bindparam("of"), _R.connection_id == bindparam("at_crm"))
_GET = _SHOWN.where(_R.user_id == bindparam("user_id"), _THIS)
_COUNTS = (
    select(_R.connection_id, _R.state, func.count().label("number"))
    .where(
        _R.connection_id.in_(select(_P.id).where(_P.user_id == bindparam("user_id"), _P.category == CRM)),
        _R.state.in_([ReportState.DUE, ReportState.CLAIMED, ReportState.LOGGING, ReportState.FAILED]),
    )
    .group_by(_R.connection_id, _R.state)
)
_AGAIN = (
    update(reports)
    .where(
        _R.user_id == bindparam("owner"),
        _THIS,
        _R.state.in_([ReportState.FAILED, ReportState.SKIPPED]),
        select(_P.id).where(_P.id == _R.connection_id, _P.status != ConnectionStatus.DISCONNECTING).exists(),
    )
    .values(
        state=ReportState.DUE,
        reason=null(),
        explanation=null(),
        failures=0,
        next_at=case(
            (
                and_(_R.look_first, _R.updated_at > bindparam("settled_by")),
                bindparam("once_settled", type_=_R.next_at.type),
            ),
            else_=bindparam("at", type_=_R.next_at.type),
        ),
        created_at=bindparam("at"),
        updated_at=bindparam("at"),
    )
)
_NEWS = and_(
    _R.user_id == bindparam("owner"),
    _R.send_id == bindparam("of"),
    _R.correction.is_distinct_from(bindparam("news")),
)
_NOT_LOGGED_ANY_MORE = (
    update(reports)
    .where(_NEWS, _R.state == ReportState.DUE, _R.entry_id.is_(None))
    .values(
        state=ReportState.SKIPPED,
        correction=bindparam("news"),
        reason=bindparam("news"),
        explanation=bindparam("explained"),
        next_at=null(),
        updated_at=bindparam("at"),
    )
)
_TO_BE_CORRECTED = (
    update(reports)
    .where(
        _NEWS,
        _R.state == ReportState.LOGGED,
        or_(_R.reason.is_(None), _R.reason != LOGGED_BY_ITSELF),  # what the CRM wrote is not ours to change
    )
    .values(
        state=ReportState.DUE,
        correction=bindparam("news"),
        failures=0,
        next_at=bindparam("at"),
        created_at=bindparam("at"),
        updated_at=bindparam("at"),
    )
)
_NOTED = update(reports).where(_NEWS).values(correction=bindparam("news"))
_DROP = (
    update(reports)
    .where(
        _R.user_id == bindparam("owner"), _R.connection_id == bindparam("at_crm"), _R.state == ReportState.DUE
    )
    .values(
        state=case((_R.entry_id.is_(None), ReportState.SKIPPED.value), else_=ReportState.LOGGED.value),
        reason=DISCONNECTED,
        explanation="The CRM was disconnected before this was logged.",
        next_at=null(),
        updated_at=bindparam("at"),
    )
)
_RELEASE = (
    update(reports)
    .where(
        _R.user_id == bindparam("owner"), _R.connection_id == bindparam("at_crm"), _R.state == ReportState.DUE
    )
    .where(_R.next_at > bindparam("at"))
    .values(failures=0, next_at=bindparam("at"))
)

EXPLAINED = {
    Correction.BOUNCED: "The message bounced before it was logged, so it is not logged.",
    Correction.NOT_SENT: "It turned out before it was logged that the message was not sent, so it is not logged.",
}
"""Why something that was never logged need not be logged any more."""

Cursor = tuple[datetime, str, str]
"""Where a page ends: the moment, the send and the connection of its last report."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many reports of a connection wait, and how many the CRM refused for good."""

    waiting: int = 0
    failed: int = 0


def add(connection: Connection, sent: Sequence[tuple[str, str]], *, at: datetime) -> None:
    """Make what is due for sends that have become sent, given as (user id, send id), at each CRM whose owner wants
    them logged. Call it in that transaction, behind the events.

    One statement where nobody of them has a CRM.
    """
    if not sent:
        return
    wanting = connection.execute(_WHO_WANTS, {"user_ids": sorted({user_id for user_id, _ in sent})}).all()
    if not wanting:
        return
    chosen = {row.id: CrmOptions.of(json.loads(row.options)) for row in wanting}
    senders = _senders(connection, sent) if any(options.senders for options in chosen.values()) else {}
    rows = [
        _new(row, send_id=send_id, at=at)
        for user_id, send_id in sent
        for row in wanting
        if row.user_id == user_id and chosen[row.id].wants(senders.get(send_id, ""))
    ]
    if rows:
        connection.execute(_ADD[connection.dialect.name], rows)
        notify(connection, CHANNEL)


def _senders(connection: Connection, sent: Sequence[tuple[str, str]]) -> dict[str, str]:
    rows = connection.execute(_ENVELOPES, {"ids": [send_id for _, send_id in sent]})
    return {row.id: frozen.people(row.envelope)[0].email for row in rows}


def _new(crm: AnyRow, *, send_id: str, at: datetime) -> dict[str, object]:
    return {
        "send_id": send_id,
        "connection_id": crm.id,
        "user_id": crm.user_id,
        "provider": crm.provider,
        "state": ReportState.DUE,
        "attempts": 0,
        "failures": 0,
        "look_first": False,
        "next_at": at,
        "created_at": at,
        "updated_at": at,
    }


def correct(
    connection: Connection, *, user_id: str, send_id: str, correction: Correction, at: datetime
) -> None:
    """Something became known about a sent message: what is logged is due again, to be told; what is not logged yet
    need not be any more. What a worker has in hand is looked at when it ends.
    """
    values = {"owner": user_id, "of": send_id, "news": correction, "at": at}
    connection.execute(_NOT_LOGGED_ANY_MORE, values | {"explained": EXPLAINED[correction]})
    if connection.execute(_TO_BE_CORRECTED, values).rowcount:
        notify(connection, CHANNEL)
    connection.execute(_NOTED, values)


def of_send(connection: Connection, *, user_id: str, send_id: str) -> list[Report]:
    """How one send stands in each CRM."""
    return [_report(row) for row in connection.execute(_OF_SEND, {"user_id": user_id, "send_id": send_id})]


def get(connection: Connection, *, user_id: str, send_id: str, connection_id: str) -> Report:
    """How one send stands in one CRM. Raises :class:`NotFound`."""
    values = {"user_id": user_id, "of": send_id, "at_crm": connection_id}
    row = connection.execute(_GET, values).one_or_none()
    if row is None:
        raise NotFound("report")
    return _report(row)


def page(
    connection: Connection,
    *,
    user_id: str,
    before: Cursor | None = None,
    limit: int = 50,
    send_id: str | None = None,
    connection_id: str | None = None,
    states: Sequence[ReportState] = (),
) -> list[Report]:
    """An owner's reports, those that came to be logged last first; ``before`` is the place to continue after."""
    place = tuple_(_R.created_at, _R.send_id, _R.connection_id)
    wanted = (
        _SHOWN.where(_R.user_id == user_id)
        .order_by(_R.created_at.desc(), _R.send_id.desc(), _R.connection_id.desc())
        .limit(limit)
    )
    if before is not None:
        wanted = wanted.where(place < before)
    if send_id is not None:
        wanted = wanted.where(_R.send_id == send_id)
    if connection_id is not None:
        wanted = wanted.where(_R.connection_id == connection_id)
    if states:
        wanted = wanted.where(_R.state.in_([str(state) for state in states]))
    return [_report(row) for row in connection.execute(wanted)]


def counts(connection: Connection, *, user_id: str) -> dict[str, Counts]:
    """By connection: what waits at this owner's CRMs, and what failed there."""
    found: dict[str, Counts] = {}
    for row in connection.execute(_COUNTS, {"user_id": user_id}):
        before = found.get(row.connection_id, Counts())
        failed = row.number if row.state == ReportState.FAILED else 0
        found[row.connection_id] = Counts(before.waiting + row.number - failed, before.failed + failed)
    return found


def again(
    connection: Connection,
    *,
    user_id: str,
    send_id: str,
    connection_id: str,
    settling: timedelta,
    at: datetime,
) -> None:
    """Try a report anew that failed or was skipped; one whose last write is not ``settling`` ago waits for that, so
    that it is found if it is there.

    Raises :class:`NotFound`, and :class:`Conflict` when it is neither, or its CRM is disconnected.
    """
    changed = connection.execute(
        _AGAIN,
        {
            "owner": user_id,
            "of": send_id,
            "at_crm": connection_id,
            "settled_by": at - settling,
            "once_settled": at + settling,
            "at": at,
        },
    ).rowcount
    if changed:
        notify(connection, CHANNEL)
        return
    found = get(connection, user_id=user_id, send_id=send_id, connection_id=connection_id)
    if found.state in (ReportState.FAILED, ReportState.SKIPPED):
        raise Conflict("Its CRM is disconnected, so it cannot be logged there.", code=DISCONNECTED)
    raise Conflict(
        f"Only what failed or was skipped can be logged again; this is {found.state}.",
        code="not_over",
        details={"state": found.state},
    )


def drop(connection: Connection, *, user_id: str, connection_id: str, at: datetime) -> int:
    """A CRM is being taken down: nothing more is logged there. Returns how many reports waited."""
    return connection.execute(_DROP, {"owner": user_id, "at_crm": connection_id, "at": at}).rowcount


def release(connection: Connection, *, user_id: str, connection_id: str, at: datetime) -> None:
    """A CRM was connected again: what waited there is due now."""
    connection.execute(_RELEASE, {"owner": user_id, "at_crm": connection_id, "at": at})
    notify(connection, CHANNEL)


def _report(row: AnyRow) -> Report:
    held = row.state == ReportState.DUE and row.connection_status == ConnectionStatus.NEEDS_RECONNECT
    return Report(
        send_id=row.send_id,
        connection_id=row.connection_id,
        user_id=row.user_id,
        provider=row.provider,
        subject=row.subject,
        state=ReportState(row.state),
        correction=Correction(row.correction) if row.correction else None,
        reason=row.status_reason if held else row.reason,
        explanation=row.problem if held else row.explanation,
        attempts=row.attempts,
        next_at=None if held else row.next_at,
        entry_id=row.entry_id,
        entry_url=row.entry_url,
        person=row.person,
        logged_at=row.logged_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
