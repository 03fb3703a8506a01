"""The editor's form: what was typed, as it was typed, and the draft content that it means."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar
from uuid import UUID

from starlette.datastructures import FormData

from replysequence.domain.address import Address, parse_addresses
from replysequence.domain.characters import uncarriable, unprintable
from replysequence.domain.draft import Draft, DraftContent
from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import parse_message_id, parse_message_ids

T = TypeVar("T")

_LONGEST_LINE = 1000


@dataclass(frozen=True, slots=True)
class DraftForm:
    """One text a field, so that a page can show again what somebody typed, also when it makes no sense."""

    to: str = ""
    cc: str = ""
    bcc: str = ""
    reply_to: str = ""
    subject: str = ""
    format: str = "text"
    text: str = ""
    html: str = ""
    connection_id: str = ""
    in_reply_to: str = ""
    references: str = ""
    thread_id: str = ""
    send_at: str = ""
    version: str = ""

    @classmethod
    def of_draft(cls, draft: Draft) -> "DraftForm":
        content = draft.content
        return cls(
            to=_joined(content.to),
            cc=_joined(content.cc),
            bcc=_joined(content.bcc),
            reply_to=_joined(content.reply_to),
            subject=content.subject,
            format="html" if content.html else "text",
            text=content.text or "",
            html=content.html or "",
            connection_id=content.connection_id or "",
            in_reply_to=content.in_reply_to or "",
            references=" ".join(content.references),
            thread_id=content.thread_id or "",
            version=str(draft.version),
        )

    @classmethod
    def of_form(cls, form: FormData) -> "DraftForm":
        def typed(name: str) -> str:
            value = form.get(name)
            return value.replace("\r\n", "\n") if isinstance(value, str) else ""

        as_typed = cls(**{name: typed(name) for name in cls.__slots__})
        # The button of a suggested time says which one.
        return replace(as_typed, send_at=typed("later") or as_typed.send_at)

    def read(self) -> "Reading":
        """What it means, or what is wrong with each field."""
        faults: dict[str, str] = {}

        def attempt(name: str, read: Callable[[], T], otherwise: T) -> T:
            try:
                return read()
            except InvalidInput as error:
                faults[name] = error.message
                return otherwise

        def people(name: str, typed: str) -> tuple[Address, ...]:
            return attempt(name, lambda: parse_addresses(typed, field=name), ())

        formatted = self.format == "html"
        content = DraftContent(
            to=people("to", self.to),
            cc=people("cc", self.cc),
            bcc=people("bcc", self.bcc),
            reply_to=people("reply_to", self.reply_to),
            subject=attempt("subject", lambda: _line("subject", self.subject), ""),
            html=attempt("html", lambda: _body("html", self.html), None) if formatted else None,
            text=attempt("text", lambda: _body("text", self.text), None),
            in_reply_to=attempt(
                "in_reply_to",
                lambda: parse_message_id(self.in_reply_to) if self.in_reply_to.strip() else None,
                None,
            ),
            references=attempt("references", lambda: parse_message_ids(self.references), ()),
            thread_id=attempt("thread_id", lambda: _line("thread_id", self.thread_id.strip()) or None, None),
            connection_id=attempt("connection_id", lambda: _id("connection_id", self.connection_id), None),
        )
        return Reading(content=content, faults=faults)

    @property
    def known_version(self) -> int | None:
        """The version that the page showed; none when it says no number."""
        return (
            int(self.version)
            if self.version.isascii() and self.version.isdigit() and len(self.version) < 10
            else None
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """``content`` is to be used only when there are no ``faults`` (field → sentence)."""

    content: DraftContent
    faults: Mapping[str, str] = field(default_factory=dict)


def _joined(addresses: tuple[Address, ...]) -> str:
    return ", ".join(_quoted(address) for address in addresses)


def _quoted(address: Address) -> str:
    if not set(address.name) & set(',;<>"@\\'):
        return str(address)
    name = address.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{address.email}>'


def _line(name: str, typed: str) -> str:
    character = unprintable(typed)
    if character:
        raise InvalidInput(name, f"This holds {character}. Remove it.")
    if len(typed) > _LONGEST_LINE:
        raise InvalidInput(name, f"This is longer than {_LONGEST_LINE} characters.")
    return typed


def _body(name: str, typed: str) -> str | None:
    character = uncarriable(typed)
    if character:
        raise InvalidInput(name, f"The message holds {character}, which mail cannot carry. Remove it.")
    return typed if typed.strip() else None


def _id(name: str, typed: str) -> str | None:
    try:
        return str(UUID(typed)) if typed else None
    except ValueError:
        raise InvalidInput(name, "Choose one of the accounts in the list.") from None
