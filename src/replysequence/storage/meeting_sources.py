"""How far each calendar and meeting platform has been read, and who reads it right now.

One process at a time reads a source: it takes a lease, by the database's clock. What keeps two from hurting each other
is not the lease, though: reading changes nothing elsewhere, and what is read is kept by its own id.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.meeting import Span
from replysequence.storage.tables import meeting_sources, platform_connections

LEASE = timedelta(minutes=3)
"""Longer than one reading may take."""
CATEGORIES = ("calendar", "meetings")

_S, _C = meeting_sources.c, platform_connections.c
_INSERT = {
    "sqlite": sqlite.insert(meeting_sources).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(meeting_sources).on_conflict_do_nothing(),
}
_KNOWN = (
    select(_C.id, _C.user_id)
    .select_from(platform_connections.outerjoin(meeting_sources, _S.connection_id == _C.id))
    .where(_C.category.in_(CATEGORIES), _S.connection_id.is_(None))
)
_DUE = (
    select(
        _C.id,
        _C.user_id,
        _C.provider,
        _C.subject,
        _C.api_url,
        _S.mark,
        _S.read_until,
        _S.read_at,
        _S.failures,
    )
    .select_from(platform_connections.join(meeting_sources, _S.connection_id == _C.id))
    .where(
        _C.status == ConnectionStatus.ACTIVE,
        _S.next_at <= bindparam("at", type_=_S.next_at.type),
        or_(_S.claimed_until.is_(None), _S.claimed_until <= bindparam("at", type_=_S.next_at.type)),
    )
    .order_by(_S.next_at)
    .limit(bindparam("limit"))
)


@dataclass(frozen=True, slots=True)
class Source:
    """A calendar or meeting platform of somebody, taken to be read. ``subject`` is the account at the provider."""

    connection_id: str
    user_id: str
    provider: str
    subject: str
    api_url: str | None
    mark: str | None
    read_until: datetime | None
    read_at: datetime | None
    failures: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How a source stands for its owner. ``read_at`` is none until it was read once."""

    connection_id: str
    read_at: datetime | None
    is_read: bool
    """Right now, or at once."""
    problem: str | None


def claim(connection: Connection, *, owner: str, limit: int, at: datetime) -> list[Source]:
    """Take what is due to be read, for a worker."""
    new = connection.execute(_KNOWN).all()
    if new:
        rows = [
            {"connection_id": row.id, "user_id": row.user_id, "next_at": at, "failures": 0} for row in new
        ]
        connection.execute(_INSERT[connection.dialect.name], rows)
    taken = []
    for row in connection.execute(_DUE, {"at": at, "limit": limit}).all():
        free = or_(_S.claimed_until.is_(None), _S.claimed_until <= at)
        claimed = _change(
            connection, _S.connection_id == row.id, free, claimed_by=owner, claimed_until=at + LEASE
        )
        if claimed:
            taken.append(Source(*row))
    return taken


def finish(
    connection: Connection,
    *,
    source: Source,
    mark: str | None,
    read_until: datetime | None,
    at: datetime,
    next_at: datetime,
) -> None:
    """Note that a source was read. ``read_until`` is none when only changes were."""
    whole = {} if read_until is None else {"read_until": read_until}
    _end(
        connection,
        source,
        mark=mark,
        read_at=at,
        next_at=next_at,
        failures=0,
        reason=None,
        problem=None,
        **whole,
    )


def fail(connection: Connection, *, source: Source, reason: str, problem: str, next_at: datetime) -> None:
    """Note that a source could not be read; what was read before stays."""
    _end(
        connection,
        source,
        failures=source.failures + 1,
        reason=reason[:64],
        problem=problem,
        next_at=next_at,
    )


def forget_mark(connection: Connection, *, source: Source) -> None:
    """From now on everything has to be read anew: its provider no longer knows the mark."""
    _change(connection, _S.connection_id == source.connection_id, mark=None)


def ask_for(connection: Connection, *, user_id: str, read_before: datetime, at: datetime) -> bool:
    """Have a person's sources read at once that were last read before then; whether there are any."""
    due = or_(_S.read_at.is_(None), _S.read_at < read_before)
    return _change(connection, _S.user_id == user_id, due, _S.next_at > at, _S.failures == 0, next_at=at) > 0


def standing(connection: Connection, *, user_id: str, at: datetime) -> list[Standing]:
    """How a person's sources stand, also those that are still to be read for the first time."""
    rows = connection.execute(
        select(
            _C.id, _C.status, _C.problem.label("broken"), _S.read_at, _S.next_at, _S.claimed_until, _S.problem
        )
        .select_from(platform_connections.outerjoin(meeting_sources, _S.connection_id == _C.id))
        .where(
            _C.user_id == user_id,
            _C.category.in_(CATEGORIES),
            _C.status != ConnectionStatus.DISCONNECTING,
        )
        .order_by(_C.connected_at, _C.id)
    )
    return [
        Standing(
            connection_id=row.id,
            read_at=row.read_at,
            is_read=row.status == ConnectionStatus.ACTIVE
            and (
                row.next_at is None
                or row.next_at <= at
                or (row.claimed_until is not None and row.claimed_until > at)
            ),
            problem=row.broken or row.problem,
        )
        for row in rows
    ]


def span_read(span: Span, source: Source) -> bool:
    """Whether everything in ``span`` has been read once, so that changes are enough."""
    return source.mark is not None and source.read_until is not None and source.read_until >= span.until


def _end(connection: Connection, source: Source, **values: Any) -> None:
    _change(
        connection,
        _S.connection_id == source.connection_id,
        claimed_by=None,
        claimed_until=None,
        **values,
    )


def _change(connection: Connection, *where: ColumnElement[bool], **values: Any) -> int:
    changed: Mapping[str, Any] = values
    return connection.execute(update(meeting_sources).where(*where).values(changed)).rowcount
