"""A person's drafts. What is deleted is only hidden: sends that were made from it still refer to it."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, literal, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from replysequence.domain.draft import AttachmentInfo, Draft, DraftContent
from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.message import Address
from replysequence.storage import attachments, events
from replysequence.storage.database import CLOCK, AnyRow, now
from replysequence.storage.ids import new_id
from replysequence.storage.prepared import Prepared
from replysequence.storage.tables import attachments as attachments_table
from replysequence.storage.tables import drafts, users

_D = drafts.c
_HAS_FILES = exists().where(attachments_table.c.draft_id == _D.id, attachments_table.c.removed_at.is_(None))
_GET = select(drafts, _HAS_FILES.label("has_files")).where(
    _D.user_id == bindparam("user_id"), _D.id == bindparam("draft_id"), _D.deleted_at.is_(None)
)
_READ = Prepared(_GET)
_READ_TO_SEND = Prepared(
    _GET.join(users, users.c.id == _D.user_id).add_columns(
        users.c.name.label("author_name"), users.c.email.label("author_email"), CLOCK.label("at")
    )
)


@dataclass(frozen=True, slots=True)
class DraftHead:
    """What a list shows of a draft. (``updated_at``, ``id``) is the cursor of the page that follows it."""

    id: str
    version: int
    subject: str
    to: tuple[Address, ...]
    updated_at: datetime


def create(connection: Connection, *, user_id: str, content: DraftContent) -> Draft:
    """Keep a new draft, as version 1. Raises NotFound when there is no such person."""
    moment = now(connection)
    draft = Draft(new_id(), user_id, 1, content, attachments=(), created_at=moment, updated_at=moment)
    try:
        connection.execute(
            insert(drafts).values(
                id=draft.id,
                user_id=user_id,
                version=1,
                head=_head_json(content),
                body=_body_json(content),
                created_at=moment,
                updated_at=moment,
            )
        )
    except IntegrityError as error:
        raise NotFound("user") from error
    events.append(connection, user_id=user_id, kind=Kind.DRAFT_CREATED, draft_id=draft.id, at=moment)
    return draft


def get(connection: Connection, *, user_id: str, draft_id: str) -> Draft:
    """One draft with the list of its files. Raises NotFound."""
    row = _READ.line(connection, user_id=user_id, draft_id=draft_id)
    if row is None:
        raise NotFound("draft")
    return _draft(row, _files(connection, row))


def get_to_send(connection: Connection, *, user_id: str, draft_id: str) -> tuple[Draft, Address, datetime]:
    """One draft with the list of its files, its author, and the database's time. Raises NotFound."""
    row = _READ_TO_SEND.line(connection, user_id=user_id, draft_id=draft_id)
    if row is None:
        raise NotFound("draft")
    return _draft(row, _files(connection, row)), Address(row.author_name, row.author_email), row.at


def list_for_user(
    connection: Connection, *, user_id: str, before: tuple[datetime, str] | None = None, limit: int = 50
) -> list[DraftHead]:
    """A person's drafts, the last changed first: at most ``limit``, from after the cursor ``before``."""
    wanted = (
        select(_D.id, _D.version, _D.head, _D.updated_at)
        .where(_D.user_id == user_id, _D.deleted_at.is_(None))
        .order_by(_D.updated_at.desc(), _D.id.desc())
        .limit(limit)
    )
    if before is not None:
        position = tuple_(literal(before[0], _D.updated_at.type), literal(before[1], _D.id.type))
        wanted = wanted.where(tuple_(_D.updated_at, _D.id) < position)
    return [_head(row) for row in connection.execute(wanted)]


def update_content(
    connection: Connection, *, user_id: str, draft_id: str, content: DraftContent, version: int | None = None
) -> Draft:
    """Replace what a draft says; its version grows by one.

    With ``version``, only if that is still the current one: else raises Conflict(code="version_conflict")
    whose details hold the current ``version``. Raises NotFound.
    """
    change = (
        update(drafts)
        .where(_D.id == draft_id, _D.user_id == user_id, _D.deleted_at.is_(None))
        .values(
            version=_D.version + 1,
            head=_head_json(content),
            body=_body_json(content),
            updated_at=now(connection),
        )
        .returning(drafts)
    )
    if version is not None:
        change = change.where(_D.version == version)
    row = connection.execute(change).one_or_none()
    if row is None:
        current = get(connection, user_id=user_id, draft_id=draft_id)
        raise Conflict(
            "This draft was changed somewhere else meanwhile. Load it again, and repeat your change.",
            code="version_conflict",
            details={"version": current.version},
        )
    return _draft(row, attachments.list_for_draft(connection, user_id=user_id, draft_id=draft_id))


def delete(connection: Connection, *, user_id: str, draft_id: str) -> None:
    """Hide a draft for good. Raises NotFound, also when it was deleted before."""
    moment = now(connection)
    hide = (
        update(drafts)
        .where(_D.id == draft_id, _D.user_id == user_id, _D.deleted_at.is_(None))
        .values(deleted_at=moment)
    )
    if connection.execute(hide).rowcount == 0:
        raise NotFound("draft")
    events.append(connection, user_id=user_id, kind=Kind.DRAFT_DELETED, draft_id=draft_id, at=moment)


def _head_json(content: DraftContent) -> str:
    return _json(
        {
            "to": _pairs(content.to),
            "cc": _pairs(content.cc),
            "bcc": _pairs(content.bcc),
            "reply_to": _pairs(content.reply_to),
            "subject": content.subject,
            "in_reply_to": content.in_reply_to,
            "references": content.references,
            "thread_id": content.thread_id,
            "connection_id": content.connection_id,
        }
    )


def _body_json(content: DraftContent) -> str:
    return _json({"html": content.html, "text": content.text})


def _content(head: str, body: str) -> DraftContent:
    parts: dict[str, Any] = json.loads(head)
    bodies: dict[str, str | None] = json.loads(body)
    return DraftContent(
        to=_addresses(parts["to"]),
        cc=_addresses(parts["cc"]),
        bcc=_addresses(parts["bcc"]),
        reply_to=_addresses(parts["reply_to"]),
        subject=parts["subject"],
        html=bodies["html"],
        text=bodies["text"],
        in_reply_to=parts["in_reply_to"],
        references=tuple(parts["references"]),
        thread_id=parts["thread_id"],
        connection_id=parts["connection_id"],
    )


def _json(value: object) -> str:
    """ASCII only: neither database minds any character that way, not even NUL or half a surrogate pair."""
    return json.dumps(value, separators=(",", ":"))


def _pairs(addresses: Iterable[Address]) -> list[tuple[str, str]]:
    return [(address.name, address.email) for address in addresses]


def _addresses(pairs: Iterable[tuple[str, str]]) -> tuple[Address, ...]:
    return tuple(Address(name, email) for name, email in pairs)


def _files(connection: Connection, row: AnyRow) -> tuple[AttachmentInfo, ...]:
    if not row.has_files:
        return ()
    return attachments.list_for_draft(connection, user_id=row.user_id, draft_id=row.id)


def _draft(row: AnyRow, files: tuple[AttachmentInfo, ...]) -> Draft:
    return Draft(
        id=row.id,
        user_id=row.user_id,
        version=row.version,
        content=_content(row.head, row.body),
        attachments=files,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _head(row: AnyRow) -> DraftHead:
    parts: dict[str, Any] = json.loads(row.head)
    return DraftHead(row.id, row.version, parts["subject"], _addresses(parts["to"]), row.updated_at)
