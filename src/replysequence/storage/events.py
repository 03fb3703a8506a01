"""The events of a person: appended, never changed. Each is written in the transaction of what it tells."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from replysequence.domain.event import Event, Kind
from replysequence.storage.database import AnyRow, now
from replysequence.storage.prepared import Prepared
from replysequence.storage.tables import events

_INSERT = insert(events).inline()
_INSERT_ONE = Prepared(
    insert(events).returning(events.c.id),
    columns=("user_id", "kind", "at", "send_id", "draft_id", "connection_id", "data"),
)
_OF_SEND = Prepared(
    select(events)
    .where(events.c.send_id == bindparam("send_id"), events.c.user_id == bindparam("user_id"))
    .order_by(events.c.id)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to append. ``data`` holds ids and words, never contents and never a secret."""

    user_id: str
    kind: Kind
    at: datetime
    send_id: str | None = None
    draft_id: str | None = None
    connection_id: str | None = None
    data: Mapping[str, object] | None = None


def append(
    connection: Connection,
    *,
    user_id: str,
    kind: Kind,
    send_id: str | None = None,
    draft_id: str | None = None,
    connection_id: str | None = None,
    data: Mapping[str, object] | None = None,
    at: datetime | None = None,
) -> Event:
    """Append one event, and return it. ``at`` is the database's time unless the caller has it already."""
    event = NewEvent(
        user_id=user_id,
        kind=kind,
        at=at or now(connection),
        send_id=send_id,
        draft_id=draft_id,
        connection_id=connection_id,
        data=data,
    )
    [(event_id,)] = _INSERT_ONE.lines(connection, **_row(event))
    return Event(
        id=event_id,
        user_id=user_id,
        kind=kind,
        at=event.at,
        send_id=send_id,
        draft_id=draft_id,
        connection_id=connection_id,
        data=data or {},
    )


def append_many(connection: Connection, new_events: Sequence[NewEvent]) -> None:
    """Append events in the order given, in one statement."""
    rows = [_row(event) for event in new_events]
    if rows:
        connection.execute(_INSERT, rows)


def of_send(connection: Connection, *, user_id: str, send_id: str) -> list[Event]:
    """Everything that happened to one send, oldest first."""
    return [_event(row) for row in _OF_SEND.lines(connection, user_id=user_id, send_id=send_id)]


def list_for_user(
    connection: Connection,
    *,
    user_id: str,
    before: int | None = None,
    limit: int = 50,
    draft_id: str | None = None,
    send_id: str | None = None,
) -> list[Event]:
    """A person's events, newest first: at most ``limit``, and only those older than the event ``before``."""
    wanted = select(events).where(events.c.user_id == user_id).order_by(events.c.id.desc()).limit(limit)
    if before is not None:
        wanted = wanted.where(events.c.id < before)
    if draft_id is not None:
        wanted = wanted.where(events.c.draft_id == draft_id)
    if send_id is not None:
        wanted = wanted.where(events.c.send_id == send_id)
    return [_event(row) for row in connection.execute(wanted)]


def _row(event: NewEvent) -> dict[str, object]:
    return {
        "user_id": event.user_id,
        "kind": event.kind.value,
        "at": event.at,
        "send_id": event.send_id,
        "draft_id": event.draft_id,
        "connection_id": event.connection_id,
        "data": json.dumps(dict(event.data or {}), separators=(",", ":")),
    }


def _event(row: AnyRow) -> Event:
    return Event(
        id=row.id,
        user_id=row.user_id,
        kind=Kind(row.kind),
        at=row.at,
        send_id=row.send_id,
        draft_id=row.draft_id,
        connection_id=row.connection_id,
        data=json.loads(row.data),
    )
