"""What calendars and meeting platforms tell of a person's meetings.

An entry's id is made of whose it is and of what the source calls it. So it is the same when everything is read anew,
and also when the account is disconnected and connected again: a follow-up finds its meeting.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.domain.meeting import Aftermath, Attendee, Entry, Response, Span, Told
from replysequence.storage.database import AnyRow
from replysequence.storage.meeting_sources import Source
from replysequence.storage.tables import meeting_entries, platform_connections

_NAMESPACE = UUID("6f2d3b0e-6a55-4d38-9a0b-6c1f3d8f9a51")
_M = meeting_entries.c
_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
_KEEP = {
    name: (insert := dialect.insert(meeting_entries)).on_conflict_do_update(
        index_elements=[_M.id],
        set_={
            column: insert.excluded[column]
            for column in ("connection_id", "starts_at", "ends_at", "join_key", "entry", "seen_at")
        },
    )
    for name, dialect in _DIALECTS.items()
}
_TOLD = select(
    _M.id,
    _M.connection_id,
    _M.source_id,
    _M.starts_at,
    _M.ends_at,
    _M.join_key,
    _M.entry,
    _M.aftermath,
    platform_connections.c.category,
).join(platform_connections, platform_connections.c.id == _M.connection_id)


def entry_id(*, source: Source, told_id: str) -> str:
    """The id of what ``source`` calls ``told_id``."""
    return str(uuid5(_NAMESPACE, f"{source.user_id}\n{source.provider}\n{source.subject}\n{told_id}"))


def keep(
    connection: Connection, *, source: Source, entries: Sequence[tuple[Entry, str]], at: datetime
) -> None:
    """Keep entries, each with the key of the place where it is; those that are known are renewed."""
    if not entries:
        return
    rows = {
        entry.id: {
            "id": entry_id(source=source, told_id=entry.id),
            "connection_id": source.connection_id,
            "user_id": source.user_id,
            "source_id": entry.id,
            "starts_at": entry.starts_at,
            "ends_at": entry.ends_at,
            "join_key": join_key[:300],
            "entry": _entry_json(entry),
            "seen_at": at,
        }
        for entry, join_key in entries
    }
    connection.execute(_KEEP[connection.dialect.name], list(rows.values()))


def forget(connection: Connection, *, source: Source, gone: Iterable[str]) -> None:
    """Remove entries that no longer exist, each with the occurrences whose ids begin with its id."""
    for told_id in gone:
        named = or_(_M.source_id == told_id, _M.source_id.startswith(f"{told_id}_", autoescape=True))
        connection.execute(
            delete(meeting_entries).where(and_(_M.connection_id == source.connection_id, named))
        )


def forget_unseen(connection: Connection, *, source: Source, since: datetime) -> None:
    """Remove what a whole reading that began then did not bring."""
    connection.execute(
        delete(meeting_entries).where(_M.connection_id == source.connection_id, _M.seen_at < since)
    )


def list_between(connection: Connection, *, user_id: str, span: Span) -> list[Told]:
    """Everything that is told of a person's meetings in ``span``."""
    wanted = _TOLD.where(_M.user_id == user_id, _M.starts_at < span.until, _M.starts_at >= span.since)
    return [_told(row) for row in connection.execute(wanted)]


def starts_at(connection: Connection, *, user_id: str, meeting_id: str) -> datetime | None:
    """When the meeting of that id begins; none when there is none."""
    wanted = select(_M.starts_at).where(_M.user_id == user_id, _M.id == meeting_id)
    return connection.execute(wanted).scalar_one_or_none()


def to_ask_about(
    connection: Connection,
    *,
    source: Source,
    over_since: datetime,
    asked_before: datetime,
    at: datetime,
    limit: int,
) -> list[Told]:
    """Meetings of a platform that are over and were not asked about yet; those of late also a second time, for what is
    written down comes later. The newest first.
    """
    again = and_(_M.ends_at > over_since, _M.asked_at < asked_before)
    wanted = (
        _TOLD.where(
            _M.connection_id == source.connection_id,
            _M.ends_at <= at,
            or_(_M.asked_at.is_(None), again),
        )
        .order_by(_M.ends_at.desc())
        .limit(limit)
    )
    return [_told(row) for row in connection.execute(wanted)]


def keep_aftermath(
    connection: Connection, *, source: Source, meeting_id: str, aftermath: Aftermath, at: datetime
) -> None:
    """Keep who came and what there is, but not the words: they are fetched when a follow-up needs them."""
    said = {
        "came": [_attendee_json(each) for each in aftermath.came],
        "recording": aftermath.recording,
        "transcript": aftermath.transcript,
        "summary": aftermath.has_summary,
    }
    connection.execute(
        update(meeting_entries)
        .where(_M.id == meeting_id, _M.connection_id == source.connection_id)
        .values(aftermath=_json(said), asked_at=at)
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _attendee_json(attendee: Attendee) -> list[object]:
    return [attendee.email, attendee.name, attendee.response, attendee.came]


def _entry_json(entry: Entry) -> str:
    rest = asdict(entry)
    for kept_elsewhere in ("id", "starts_at", "ends_at"):
        del rest[kept_elsewhere]
    return _json(rest | {"attendees": [_attendee_json(each) for each in entry.attendees]})


def _attendees(parts: Iterable[Sequence[Any]]) -> tuple[Attendee, ...]:
    return tuple(Attendee(email, name, Response(said), came) for email, name, said, came in parts)


def _told(row: AnyRow) -> Told:
    rest: dict[str, Any] = json.loads(row.entry)
    after: dict[str, Any] = json.loads(row.aftermath) if row.aftermath else {}
    attendees, links = _attendees(rest.pop("attendees")), tuple(rest.pop("links"))
    return Told(
        id=row.id,
        connection_id=row.connection_id,
        from_calendar=row.category == "calendar",
        entry=Entry(
            row.source_id,
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            attendees=attendees,
            links=links,
            **rest,
        ),
        join_key=row.join_key,
        came=_attendees(after.get("came", [])),
        recording=after.get("recording", False),
        transcript=after.get("transcript", False),
        has_summary=after.get("summary", False),
    )
