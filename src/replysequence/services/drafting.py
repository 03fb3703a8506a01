"""Writing drafts, and looking at what they will become before anything is sent."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from replysequence.domain.characters import unprintable
from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.draft import AttachmentInfo, Draft, DraftContent
from replysequence.domain.errors import Conflict, InvalidInput
from replysequence.domain.message import Address, Attachment, Problem, media_type
from replysequence.domain.plain_text import plain_text
from replysequence.domain.send import State
from replysequence.domain.template import unfilled
from replysequence.providers.registry import Registry
from replysequence.services.composing import LONG, aside, composed
from replysequence.services.page import Page
from replysequence.services.sanitizing import leaves_out, sanitize
from replysequence.services.sending import read_material, route_of
from replysequence.storage import attachments, connections, drafts, sends
from replysequence.storage.database import Database, Transaction
from replysequence.storage.ids import new_id

MAX_ATTACHMENT = 25 * 1024 * 1024
"""Bytes of one file; what a provider takes is told by preflight."""
MAX_ATTACHED = 2 * MAX_ATTACHMENT
"""Bytes of all files of a draft: room to swap one large file for another, and an end to what a preflight reads."""
MAX_TEXT = 2 * 1024 * 1024
MAX_HTML = 500_000
"""Characters. Gmail shows the first 102 kB of a message; and the sanitiser's time grows with the square of what is
strange in it, such as a hundred thousand nested or misspelt tags."""
MAX_TAGS = 20_000
"""Tags of a draft's HTML, for the same reason."""
MAX_HEADER = 100_000
"""Characters of everything else together: more is no draft."""


@dataclass(frozen=True, slots=True)
class DraftLine:
    """A draft in a list, with where its latest send stands."""

    id: str
    subject: str
    to: tuple[Address, ...]
    updated_at: datetime
    version: int
    state: State | None
    send_id: str | None


@dataclass(frozen=True, slots=True)
class Preflight:
    """How a draft would leave if it were sent now, and everything in its way. ``size`` is bytes before
    encoding. ``waits``: sent now, it would wait until its account is connected again.
    """

    via: str | None
    via_title: str | None
    connection_id: str | None
    sender: Address | None
    reply_to: tuple[Address, ...]
    problems: tuple[Problem, ...]
    size: int
    waits: bool = False

    @property
    def can_send(self) -> bool:
        """Whether nothing blocks it."""
        return not any(problem.severity == "blocker" for problem in self.problems)


class Drafting:
    """Drafts and their files."""

    def __init__(self, *, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def list(self, user_id: str, *, before: str | None = None, limit: int = 50) -> Page[DraftLine]:
        """A person's drafts, last changed first. ``before`` is the ``next`` of the page before."""
        return await self._database.read(_list, user_id=user_id, before=before, limit=limit)

    async def get(self, user_id: str, *, draft_id: str) -> Draft:
        """One draft. Raises :class:`NotFound`."""
        return await self._database.read(drafts.get, user_id=user_id, draft_id=draft_id)

    async def create(self, user_id: str, *, content: DraftContent) -> Draft:
        """Keep a new draft. Raises :class:`InvalidInput` (too long, or a mailbox that is not there)."""
        require_sizes(content)
        return await self._database.transaction(_create, user_id=user_id, content=content)

    async def update(
        self, user_id: str, *, draft_id: str, content: DraftContent, version: int | None = None
    ) -> Draft:
        """Replace what a draft says; its version grows by one.

        Raises :class:`NotFound`, :class:`InvalidInput`, and :class:`Conflict` when ``version`` is not the
        present one.
        """
        require_sizes(content)
        return await self._database.transaction(
            _update, user_id=user_id, draft_id=draft_id, content=content, version=version
        )

    async def delete(self, user_id: str, *, draft_id: str) -> None:
        """Throw a draft away. Raises :class:`NotFound`, and :class:`Conflict` while it is being sent."""
        await self._database.transaction(_delete, user_id=user_id, draft_id=draft_id)

    async def attach(self, user_id: str, *, draft_id: str, attachment: Attachment) -> AttachmentInfo:
        """Put a file on a draft. Raises :class:`NotFound`, and :class:`InvalidInput` when it is too large
        or nameless.
        """
        if len(attachment.content) > MAX_ATTACHMENT:
            raise InvalidInput("attachment", "The file is larger than 25 MB. Share it by a link instead.")
        if not attachment.filename.strip() or len(attachment.filename) > 255:
            raise InvalidInput("attachment", "The file needs a name of at most 255 characters.")
        for named in (attachment.filename, attachment.content_id or ""):
            character = unprintable(named)
            if character:
                raise InvalidInput("attachment", f"The name of the file holds {character}. Rename the file.")
        kept = Attachment(
            filename=attachment.filename,
            content_type=media_type(attachment.content_type),
            content=attachment.content,
            content_id=attachment.content_id,
        )
        return await self._database.transaction(_attach, user_id=user_id, draft_id=draft_id, attachment=kept)

    async def detach(self, user_id: str, *, draft_id: str, attachment_id: str) -> None:
        """Take a file off a draft. Raises :class:`NotFound`."""
        await self._database.transaction(
            attachments.remove, user_id=user_id, draft_id=draft_id, attachment_id=attachment_id
        )

    async def attachment(self, user_id: str, *, draft_id: str, attachment_id: str) -> Attachment:
        """A file with its content. Raises :class:`NotFound`."""
        return await self._database.read(
            attachments.get, user_id=user_id, draft_id=draft_id, attachment_id=attachment_id
        )

    async def preview(self, user_id: str, *, draft_id: str) -> str:
        """The HTML that a recipient gets, sanitised. Raises :class:`NotFound`."""
        draft = await self.get(user_id, draft_id=draft_id)
        html = draft.content.html or ""
        return await aside(lambda: sanitize(html), long=len(html) > LONG)

    async def preview_text(self, user_id: str, *, draft_id: str) -> str:
        """The plain text that a recipient gets. Raises :class:`NotFound`."""
        draft = await self.get(user_id, draft_id=draft_id)
        if draft.content.text is not None:
            return draft.content.text
        html = draft.content.html or ""
        return await aside(lambda: plain_text(sanitize(html)), long=len(html) > LONG)

    async def preflight(self, user_id: str, *, draft_id: str) -> Preflight:
        """Which address and path a draft would leave by now, and every blocker and warning. Raises
        :class:`NotFound`.
        """
        material = await self._database.read(read_material, user_id=user_id, draft_id=draft_id)
        try:
            route = route_of(material, registry=self._registry)
        except (Conflict, InvalidInput) as error:
            field = error.field if isinstance(error, InvalidInput) else "connection_id"
            return Preflight(None, None, None, None, (), (Problem(field, error.message),), size=0)
        message, problems = await composed(
            material.draft,
            route=route,
            files=material.files,
            send_id=new_id(),
            date=material.at,
            registry=self._registry,
        )
        mailbox = next((each for each in material.connections if each.id == route.connection_id), None)
        if mailbox is not None and mailbox.problem:
            waits = f"{mailbox.problem} Until then this message waits; it is not sent another way."
            problems.append(Problem("connection_id", waits, "warning"))
        written = material.draft.content.html
        if written and leaves_out(written):
            problems.append(
                Problem(
                    "html", "Parts that mail programs do not show, such as scripts, are left out.", "warning"
                )
            )
        problems += _fields_left(material.draft.content)
        return Preflight(
            via=route.via,
            via_title=self._registry.provider(route.via).title,
            connection_id=route.connection_id,
            sender=route.sender,
            reply_to=message.reply_to,
            problems=tuple(problems),
            size=_size(message.html, message.text, *(file.content for file in message.attachments)),
            waits=mailbox is not None and mailbox.status is ConnectionStatus.NEEDS_RECONNECT,
        )


def _fields_left(content: DraftContent) -> list[Problem]:
    """Merge fields that a template has left in a draft because nothing was known to stand there."""
    places = (("subject", content.subject), ("html", content.html or ""), ("text", content.text or ""))
    return [
        Problem(
            place,
            f"“{{{{ {field} }}}}” still stands there: nothing was known to put in its place. Write it, or take it out.",
            "warning",
        )
        for place, text in places
        for field in unfilled(text)
    ]


def _size(*parts: str | bytes | None) -> int:
    return sum(len(part.encode()) if isinstance(part, str) else len(part) for part in parts if part)


def require_sizes(content: DraftContent) -> None:
    """Refuse what no mail has, before it is stored. What a provider takes is preflight's matter."""
    if content.text is not None and len(content.text) > MAX_TEXT:
        raise InvalidInput("text", "The text is longer than 2 million characters.")
    if content.html is not None and len(content.html) > MAX_HTML:
        raise InvalidInput(
            "html", "The HTML is longer than 500,000 characters. Attach large images as files."
        )
    if content.html is not None and content.html.count("<") > MAX_TAGS:
        raise InvalidInput("html", "The HTML has more than 20,000 tags. Simplify it.")
    if len(content.subject) > 255:
        raise InvalidInput("subject", "The subject is longer than 255 characters.")
    rest = [content.thread_id or "", content.in_reply_to or "", *content.references]
    if sum(map(len, rest)) > MAX_HEADER:
        raise InvalidInput("references", "The reply details are too long.")


def _require_mailbox(transaction: Transaction, *, user_id: str, content: DraftContent) -> None:
    if content.connection_id is None:
        return
    if not any(
        each.id == content.connection_id for each in connections.list_for_user(transaction, user_id=user_id)
    ):
        raise InvalidInput("connection_id", "There is no such e-mail account, or it is not yours.")


def _create(transaction: Transaction, *, user_id: str, content: DraftContent) -> Draft:
    _require_mailbox(transaction, user_id=user_id, content=content)
    return drafts.create(transaction, user_id=user_id, content=content)


def _update(
    transaction: Transaction, *, user_id: str, draft_id: str, content: DraftContent, version: int | None
) -> Draft:
    _require_mailbox(transaction, user_id=user_id, content=content)
    return drafts.update_content(
        transaction, user_id=user_id, draft_id=draft_id, content=content, version=version
    )


def _attach(
    transaction: Transaction, *, user_id: str, draft_id: str, attachment: Attachment
) -> AttachmentInfo:
    added = attachments.add(transaction, user_id=user_id, draft_id=draft_id, attachment=attachment)
    held = attachments.list_for_draft(transaction, user_id=user_id, draft_id=draft_id)
    if sum(info.size for info in held) > MAX_ATTACHED:
        raise InvalidInput(
            "attachment", "The files of this draft would be larger than 50 MB together. Take one off first."
        )
    return added


def _delete(transaction: Transaction, *, user_id: str, draft_id: str) -> None:
    latest = sends.latest_of_drafts(transaction, user_id=user_id, draft_ids=[draft_id]).get(draft_id)
    if latest is not None and latest[1] in {State.QUEUED, State.WAITING, State.CLAIMED, State.SENDING}:
        raise Conflict(
            "This draft is being sent. Cancel the send first, or wait until it has left.",
            code="being_sent",
            details={"send_id": latest[0]},
        )
    drafts.delete(transaction, user_id=user_id, draft_id=draft_id)


def _list(transaction: Transaction, *, user_id: str, before: str | None, limit: int) -> Page[DraftLine]:
    found = drafts.list_for_user(
        transaction, user_id=user_id, before=None if before is None else _cursor(before), limit=limit + 1
    )
    shown = found[:limit]
    states = sends.latest_of_drafts(transaction, user_id=user_id, draft_ids=[head.id for head in shown])
    lines = [
        DraftLine(
            id=head.id,
            subject=head.subject,
            to=head.to,
            updated_at=head.updated_at,
            version=head.version,
            state=states[head.id][1] if head.id in states else None,
            send_id=states[head.id][0] if head.id in states else None,
        )
        for head in shown
    ]
    more = len(found) > limit
    return Page(items=lines, next=f"{shown[-1].updated_at.isoformat()}_{shown[-1].id}" if more else None)


def _cursor(text: str) -> tuple[datetime, str]:
    moment, _, draft_id = text.rpartition("_")
    try:
        at = datetime.fromisoformat(moment)
        if at.tzinfo is not None:
            return at.astimezone(UTC), str(UUID(draft_id))
    except (ValueError, OverflowError):
        pass
    raise InvalidInput("before", "This is not the cursor of a page.")
