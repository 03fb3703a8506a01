"""The files on a draft. One that was taken off is kept: an accepted send still needs it."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, insert, select, update

from replysequence.domain.draft import AttachmentInfo
from replysequence.domain.errors import NotFound
from replysequence.domain.message import Attachment
from replysequence.storage.database import AnyRow, now
from replysequence.storage.ids import new_id
from replysequence.storage.tables import attachments, drafts

_A = attachments.c
_OF_DRAFT = (
    select(_A.id, _A.filename, _A.content_type, _A.size, _A.content_id)
    .where(_A.user_id == bindparam("user_id"), _A.draft_id == bindparam("draft_id"), _A.removed_at.is_(None))
    .order_by(_A.created_at, _A.id)
)
_FILE = (_A.id, _A.filename, _A.content_type, _A.content, _A.content_id)


def add(connection: Connection, *, user_id: str, draft_id: str, attachment: Attachment) -> AttachmentInfo:
    """Put a file on a draft, whose version grows by one. Raises NotFound when the draft is not there."""
    _raise_version(connection, user_id=user_id, draft_id=draft_id)
    info = AttachmentInfo(
        id=new_id(),
        filename=attachment.filename,
        content_type=attachment.content_type,
        size=len(attachment.content),
        content_id=attachment.content_id,
    )
    connection.execute(
        insert(attachments).values(
            id=info.id,
            user_id=user_id,
            draft_id=draft_id,
            filename=info.filename,
            content_type=info.content_type,
            content_id=info.content_id,
            size=info.size,
            content=attachment.content,
            created_at=now(connection),
        )
    )
    return info


def remove(connection: Connection, *, user_id: str, draft_id: str, attachment_id: str) -> None:
    """Take a file off a draft, whose version grows by one. Raises NotFound."""
    _raise_version(connection, user_id=user_id, draft_id=draft_id)
    take_off = (
        update(attachments)
        .where(
            _A.id == attachment_id,
            _A.draft_id == draft_id,
            _A.user_id == user_id,
            _A.removed_at.is_(None),
        )
        .values(removed_at=now(connection))
    )
    if connection.execute(take_off).rowcount == 0:
        raise NotFound("attachment")


def list_for_draft(connection: Connection, *, user_id: str, draft_id: str) -> tuple[AttachmentInfo, ...]:
    """The files on a draft, without their contents, in the order in which they were added."""
    rows = connection.execute(_OF_DRAFT, {"user_id": user_id, "draft_id": draft_id})
    return tuple(
        AttachmentInfo(row.id, row.filename, row.content_type, row.size, row.content_id) for row in rows
    )


def get(connection: Connection, *, user_id: str, draft_id: str, attachment_id: str) -> Attachment:
    """One file on a draft with its content. Raises NotFound."""
    wanted = select(*_FILE).where(
        _A.id == attachment_id, _A.draft_id == draft_id, _A.user_id == user_id, _A.removed_at.is_(None)
    )
    row = connection.execute(wanted).one_or_none()
    if row is None:
        raise NotFound("attachment")
    return _attachment(row)


def load(connection: Connection, *, user_id: str, attachment_ids: Sequence[str]) -> dict[str, Attachment]:
    """Files by id with their contents, for a message that was accepted with them; also those taken off since.

    An id that is not there, or belongs to somebody else, is left out.
    """
    wanted = select(*_FILE).where(_A.user_id == user_id, _A.id.in_(attachment_ids))
    return {row.id: _attachment(row) for row in connection.execute(wanted)}


def _raise_version(connection: Connection, *, user_id: str, draft_id: str) -> None:
    change = (
        update(drafts)
        .where(drafts.c.id == draft_id, drafts.c.user_id == user_id, drafts.c.deleted_at.is_(None))
        .values(version=drafts.c.version + 1, updated_at=now(connection))
    )
    if connection.execute(change).rowcount == 0:
        raise NotFound("draft")


def _attachment(row: AnyRow) -> Attachment:
    return Attachment(row.filename, row.content_type, bytes(row.content), row.content_id)
