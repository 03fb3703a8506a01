"""Writing a message out for a provider, and telling beforehand whether the provider would carry it."""

from collections.abc import Callable

import pybase64

from replysequence.domain.errors import InvalidInput, Rejected
from replysequence.domain.message import Message, Problem
from replysequence.domain.mime import write_message


def write_mime(message: Message) -> bytes:
    """`message` as RFC 5322 bytes for a service that takes the recipients from the headers, Bcc among them.

    Raises :class:`Rejected` when it cannot be written as it was meant.
    """
    try:
        return write_message(message, include_bcc=True, encode_base64=_base64_lines)
    except InvalidInput as fault:
        field, reason = fault.field, fault.message
    raise Rejected(reason, code="invalid_message", details={"field": field})


def problems_of(
    message: Message, *, provider: str, max_recipients: int, max_bytes: int, size: Callable[[], int]
) -> list[Problem]:
    """What keeps `provider` from carrying `message`.

    `size` builds what would be sent and measures it, in bytes; it may raise :class:`Rejected`, which
    `check_message` of the domain reports in more detail.
    """
    problems = []
    count = len(message.recipients)
    if count > max_recipients:
        text = (
            f"{count} recipients are too many: {provider} takes {max_recipients} in to, cc and bcc together."
        )
        problems.append(Problem("to", text))
    try:
        total = size()
    except Rejected:
        return problems
    if total > max_bytes:
        text = (
            f"The finished message has {_megabytes(total)}; {provider} takes {_megabytes(max_bytes)}. Remove "
            "or "
            "shrink a file, or share it by a link."
        )
        problems.append(Problem("attachments" if message.attachments else "html", text))
    return problems


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _base64_lines(data: bytes) -> bytes:
    return pybase64.encodebytes(data).replace(b"\n", b"\r\n")
