"""From a draft and a route to the message that leaves. Preview, preflight and acceptance all come here."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from replysequence.domain.draft import Draft
from replysequence.domain.message import Address, Attachment, Message, Problem, check_message, new_message_id
from replysequence.domain.send import Route
from replysequence.providers.registry import Registry
from replysequence.services.sanitizing import sanitize

T = TypeVar("T")

LONG = 50_000
"""More characters than this are worked on on another thread: on the event loop everybody else would wait."""
HEAVY = 1_000_000
"""Bytes of files, for the same reason."""


def compose(
    draft: Draft, *, route: Route, files: Sequence[Attachment], send_id: str, date: datetime
) -> Message:
    """The message that ``draft`` becomes on ``route``; ``date`` is when it leaves, as far as known."""
    content = draft.content
    reply_to: tuple[Address, ...] = content.reply_to
    if not reply_to and route.reply_to is not None:
        reply_to = (route.reply_to,)
    return Message(
        sender=route.sender,
        to=content.to,
        cc=content.cc,
        bcc=content.bcc,
        reply_to=reply_to,
        subject=content.subject,
        html=sanitize(content.html) if content.html else None,
        # Absent text stays absent: a provider that takes one body (Graph's JSON form) is given the HTML alone.
        text=content.text,
        attachments=tuple(files),
        message_id=new_message_id(send_id, route.sender.domain),
        date=date,
        in_reply_to=content.in_reply_to,
        references=content.references,
        send_id=send_id,
    )


def problems_of(message: Message, *, draft: Draft, route: Route, registry: Registry) -> list[Problem]:
    """Everything that keeps ``message`` from leaving on ``route``, and everything worth a warning."""
    problems = check_message(message)
    if route.connection_id is None:
        return problems + registry.relay_named(route.via).check(message)
    return problems + registry.mailbox(route.via).check(message, thread_id=draft.content.thread_id)


async def composed(
    draft: Draft,
    *,
    route: Route,
    files: Sequence[Attachment],
    send_id: str,
    date: datetime,
    registry: Registry,
) -> tuple[Message, list[Problem]]:
    """What :func:`compose` and :func:`problems_of` make of a draft, at no cost to others when that is long work."""

    def work() -> tuple[Message, list[Problem]]:
        message = compose(draft, route=route, files=files, send_id=send_id, date=date)
        return message, problems_of(message, draft=draft, route=route, registry=registry)

    written = len(draft.content.html or "") + len(draft.content.text or "")
    return await aside(work, long=written > LONG or sum(len(file.content) for file in files) > HEAVY)


async def aside(work: Callable[[], T], *, long: bool) -> T:
    """Do ``work`` here, or on another thread where it is ``long``."""
    return await asyncio.to_thread(work) if long else work()
