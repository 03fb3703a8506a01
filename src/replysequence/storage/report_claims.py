"""What a worker takes of the reports, and how its attempts end.

At each CRM connection they are logged one at a time, in the order in which they came. The first of them stands for
all: as long as it waits, because the CRM is down or asks to wait, nothing behind it is tried. Only one that fails time
and again while others would not is passed by. None of this serves people: rows are found by id alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, func, literal_column, null, select, true, update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.event import Kind
from replysequence.domain.report import Correction, ReportState
from replysequence.storage import events
from replysequence.storage.database import AnyRow
from replysequence.storage.reports import CRM, DISCONNECTED, EXPLAINED
from replysequence.storage.tables import platform_connections, reports, send_attempts, sends

PASSED_BY_AFTER = 6
"""Failures in a row after which a report lets those behind it go first."""

_R, _P, _S = reports.c, platform_connections.c, sends.c
_first, _busy = reports.alias("first"), reports.alias("busy")
_FIRST = (
    select(_first.c.send_id)
    .where(
        _first.c.connection_id == _P.id, _first.c.next_at.is_not(None), _first.c.failures < PASSED_BY_AFTER
    )
    .order_by(_first.c.created_at, _first.c.send_id)
    .limit(1)
    .correlate(platform_connections)
    .scalar_subquery()
)
_IS_BUSY = (
    select(true())
    .where(_busy.c.connection_id == _P.id, _busy.c.claimed_by.is_not(None))
    .correlate(platform_connections)
    .exists()
)
_USABLE = and_(_P.category == CRM, _P.status == ConnectionStatus.ACTIVE)
_FIRSTS = (
    select(_R.connection_id, _R.send_id, _R.provider, _R.next_at)
    .select_from(
        platform_connections.join(reports, and_(_R.connection_id == _P.id, _R.send_id == _FIRST)),
    )
    .where(_USABLE, ~_IS_BUSY)
)
_PASSED_BY = (
    select(_R.connection_id, _R.send_id, _R.provider, _R.next_at)
    .select_from(platform_connections.join(reports, _R.connection_id == _P.id))
    # As in the index, so that it can be used.
    .where(_USABLE, ~_IS_BUSY, _R.next_at.is_not(None), _R.failures >= literal_column(f"{PASSED_BY_AFTER}"))
)
_LOCK = (
    select(_P.id)
    .where(_P.id.in_(bindparam("ids", expanding=True)), _P.status == ConnectionStatus.ACTIVE)
    .order_by(_P.id)
    .with_for_update(key_share=True, skip_locked=True)
)
_busy_now = reports.alias("busy_now")
_TAKE = (
    update(reports)
    .where(
        _R.send_id == bindparam("of"),
        _R.connection_id == bindparam("at_crm"),
        _R.state == ReportState.DUE,
        _R.next_at <= bindparam("at"),
        ~select(true())
        .where(_busy_now.c.connection_id == bindparam("at_crm"), _busy_now.c.claimed_by.is_not(None))
        .exists(),
    )
    .values(
        state=ReportState.CLAIMED,
        attempts=_R.attempts + 1,
        claimed_by=bindparam("me"),
        updated_at=bindparam("at"),
    )
)
_CARRIED = (
    select(
        _R.send_id,
        _R.connection_id,
        _R.user_id,
        _S.draft_id,
        _R.provider,
        _R.state,
        _R.attempts,
        _R.failures,
        _R.look_first,
        _R.correction,
        _R.entry_id,
        func.coalesce(_P.connected_at, _R.created_at).label("connected_at"),
        _R.created_at,
        _S.envelope,
        _S.message,
        _S.thread_id,
        func.coalesce(send_attempts.c.started_at, _R.created_at).label("sent_at"),
    )
    .select_from(
        reports.join(sends, _S.id == _R.send_id)
        .outerjoin(platform_connections, _P.id == _R.connection_id)
        .outerjoin(
            send_attempts, and_(send_attempts.c.send_id == _S.id, send_attempts.c.number == _S.attempt)
        )
    )
    .with_for_update(of=reports)
)
_TAKEN = _CARRIED.where(_R.send_id == bindparam("of"), _R.connection_id == bindparam("at_crm"))
_HELD_BY = _CARRIED.where(_R.claimed_by == bindparam("me")).order_by(_R.connection_id)
_OWNERS = select(_R.claimed_by).where(_R.claimed_by.is_not(None)).distinct()
_MINE = and_(
    _R.send_id == bindparam("of"),
    _R.connection_id == bindparam("at_crm"),
    _R.attempts == bindparam("seen"),
    _R.state.in_([ReportState.CLAIMED, ReportState.LOGGING]),
)
_BEGIN = (
    update(reports)
    .where(
        _MINE,
        _R.claimed_by == bindparam("me"),
        _R.correction.is_not_distinct_from(bindparam("known")),
        select(true()).where(_P.id == bindparam("at_crm"), _P.status == ConnectionStatus.ACTIVE).exists(),
    )
    .values(state=ReportState.LOGGING, look_first=True, updated_at=bindparam("at"))
)
_STATUS = select(_P.status).where(_P.id == bindparam("at_crm")).with_for_update(read=True)
_NEWS = select(_R.correction).where(_MINE).with_for_update()
_END = (
    update(reports)
    .where(_MINE)
    .values(
        state=bindparam("new_state"),
        reason=bindparam("why"),
        explanation=bindparam("explained"),
        failures=bindparam("failed"),
        next_at=bindparam("due"),
        entry_id=func.coalesce(bindparam("entry"), _R.entry_id),
        entry_url=func.coalesce(bindparam("url"), _R.entry_url),
        person=func.coalesce(bindparam("on"), _R.person),
        logged_at=func.coalesce(_R.logged_at, bindparam("logged", type_=_R.logged_at.type)),
        claimed_by=null(),
        updated_at=bindparam("at"),
    )
)


class ReportLost(Exception):
    """This attempt no longer owns its report: somebody believed this worker dead."""


@dataclass(frozen=True, slots=True)
class ClaimedReport:
    """A report that this worker owns until it writes an ending. ``since`` is when it came to be logged, or when its
    CRM was last connected, whichever is later.
    """

    send_id: str
    connection_id: str
    user_id: str
    draft_id: str
    provider: str
    attempts: int
    failures: int
    look_first: bool
    correction: Correction | None
    entry_id: str | None
    since: datetime
    envelope: str = field(repr=False)
    message: str = field(repr=False)
    thread_id: str | None
    sent_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.send_id, self.connection_id


@dataclass(frozen=True, slots=True)
class Round:
    """What one claim took, and when the next one could find more, as things stand; none when nothing is planned."""

    reports: list[ClaimedReport]
    again_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReportEnding:
    """What an attempt came to. ``due`` ones are tried again at ``next_at``. ``told``: what the entry was told."""

    state: ReportState
    reason: str | None = None
    explanation: str | None = None
    next_at: datetime | None = None
    failures: int = 0
    entry_id: str | None = None
    entry_url: str | None = None
    person: str | None = None
    told: Correction | None = None


def claim(connection: Connection, *, incarnation: str, room: Mapping[str, int], at: datetime) -> Round:
    """Take what is due: of each connection the first, by provider at most ``room``; the longest waiting first."""
    rows = sorted(
        [*connection.execute(_FIRSTS).all(), *connection.execute(_PASSED_BY).all()],
        key=lambda row: row.next_at,
    )
    left = dict(room)
    chosen: dict[str, AnyRow] = {}
    again_at: list[datetime] = []
    for row in rows:
        if row.next_at > at:
            again_at.append(row.next_at)
        elif row.connection_id not in chosen and left.get(row.provider, 0) > 0:
            left[row.provider] -= 1
            chosen[row.connection_id] = row
    free = connection.execute(_LOCK, {"ids": list(chosen)}).scalars().all() if chosen else []
    taken = []
    for row in (chosen[connection_id] for connection_id in free):
        values = {"of": row.send_id, "at_crm": row.connection_id, "me": incarnation, "at": at}
        if connection.execute(_TAKE, values).rowcount == 1:
            this = {"of": row.send_id, "at_crm": row.connection_id}
            taken.append(_claimed(connection.execute(_TAKEN, this).one()))
    return Round(taken, min(again_at, default=None))


def begin_logging(connection: Connection, claimed: ClaimedReport, *, incarnation: str, at: datetime) -> bool:
    """Commit that something is about to be written at the CRM. False when it is not to be any more: its CRM cannot be
    used, or something became known about the message.
    """
    values = _this(claimed) | {"me": incarnation, "known": claimed.correction, "at": at}
    return connection.execute(_BEGIN, values).rowcount == 1


def end(connection: Connection, claimed: ClaimedReport, ending: ReportEnding, *, at: datetime) -> ReportState:
    """Write how an attempt ended, with its event; returns the state that this led to.

    What became known meanwhile counts: nothing stays due at a CRM that is gone, what need not be logged any more is
    not, and what is to be told of an entry is due at once. Raises :class:`ReportLost`.
    """
    status = connection.execute(_STATUS, {"at_crm": claimed.connection_id}).scalar_one_or_none()
    row = connection.execute(_NEWS, _this(claimed)).one_or_none()
    if row is None:
        raise ReportLost(*claimed.key)
    correction = Correction(row.correction) if row.correction else None
    ending = _as_known(claimed, ending, correction=correction, status=status, at=at)
    connection.execute(
        _END,
        _this(claimed)
        | {
            "new_state": ending.state,
            "why": ending.reason,
            "explained": ending.explanation,
            "failed": ending.failures,
            "due": ending.next_at,
            "entry": ending.entry_id,
            "url": ending.entry_url,
            "on": ending.person,
            "logged": at if ending.entry_id else None,
            "at": at,
        },
    )
    _tell(connection, claimed, ending, at=at)
    return ending.state


def _as_known(
    claimed: ClaimedReport,
    ending: ReportEnding,
    *,
    correction: Correction | None,
    status: str | None,
    at: datetime,
) -> ReportEnding:
    gone = status is None or status == ConnectionStatus.DISCONNECTING
    entry_id = ending.entry_id or claimed.entry_id
    if (
        ending.state is ReportState.LOGGED
        and ending.reason is None
        and correction is not ending.told
        and not gone
    ):
        return _changed(ending, ReportState.DUE, next_at=at)
    if ending.state is not ReportState.DUE:
        return ending
    if gone and entry_id is not None:
        return ReportEnding(ReportState.LOGGED)
    if gone:
        return ReportEnding(
            ReportState.SKIPPED, DISCONNECTED, "The CRM was disconnected before this was logged."
        )
    if correction is not claimed.correction and correction is not None and entry_id is None:
        return ReportEnding(ReportState.SKIPPED, correction, EXPLAINED[correction])
    return ending


def _changed(ending: ReportEnding, state: ReportState, *, next_at: datetime) -> ReportEnding:
    return ReportEnding(
        state=state,
        next_at=next_at,
        entry_id=ending.entry_id,
        entry_url=ending.entry_url,
        person=ending.person,
    )


def _tell(connection: Connection, claimed: ClaimedReport, ending: ReportEnding, *, at: datetime) -> None:
    data: dict[str, object] = {"provider": claimed.provider, "attempt": claimed.attempts}
    if ending.entry_id is not None or (ending.state is ReportState.LOGGED and ending.told):
        kind = Kind.REPORT_LOGGED
        data |= {"entry_id": ending.entry_id or claimed.entry_id}
    elif ending.state is ReportState.FAILED:
        kind = Kind.REPORT_FAILED
    else:
        return
    if ending.reason:
        data["reason"] = ending.reason
    if ending.told:
        data["correction"] = ending.told
    events.append(
        connection,
        user_id=claimed.user_id,
        kind=kind,
        send_id=claimed.send_id,
        draft_id=claimed.draft_id,
        connection_id=claimed.connection_id,
        data=data,
        at=at,
    )


def owners(connection: Connection) -> list[str]:
    """The incarnations that hold a report right now."""
    return [owner for owner in connection.execute(_OWNERS).scalars() if owner is not None]


def reap(
    connection: Connection,
    *,
    incarnation: str,
    settling: Mapping[str, timedelta],
    at: datetime,
    in_hand: Collection[tuple[str, str]] = (),
) -> int:
    """Let go of the reports that nobody works on any more; what was about to be written at a CRM is due once that has
    settled there, and is looked for first. ``settling`` is by provider.

    ``incarnation`` is dead, or is this process, which still has what is ``in_hand``. Returns how many.
    """
    count = 0
    for row in connection.execute(_HELD_BY, {"me": incarnation}).all():
        claimed = _claimed(row)
        if claimed.key in in_hand:
            continue
        wait = (
            settling.get(claimed.provider, timedelta()) if row.state == ReportState.LOGGING else timedelta()
        )
        ending = ReportEnding(ReportState.DUE, "worker_died", next_at=at + wait, failures=claimed.failures)
        end(connection, claimed, ending, at=at)
        count += 1
    return count


def _claimed(row: AnyRow) -> ClaimedReport:
    return ClaimedReport(
        send_id=row.send_id,
        connection_id=row.connection_id,
        user_id=row.user_id,
        draft_id=row.draft_id,
        provider=row.provider,
        attempts=row.attempts,
        failures=row.failures,
        look_first=row.look_first,
        correction=Correction(row.correction) if row.correction else None,
        entry_id=row.entry_id,
        since=max(row.created_at, row.connected_at),
        envelope=row.envelope,
        message=row.message,
        thread_id=row.thread_id,
        sent_at=row.sent_at,
    )


def _this(claimed: ClaimedReport) -> dict[str, object]:
    return {"of": claimed.send_id, "at_crm": claimed.connection_id, "seen": claimed.attempts}
