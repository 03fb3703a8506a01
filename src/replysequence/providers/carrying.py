"""Writing a message out for a provider, and telling beforehand whether the provider would carry it."""

from collections.abc import Callable

import pybase64

from replysequence.domain.encoding import in_lines
from replysequence.domain.errors import InvalidInput, Rejected
from replysequence.domain.message import Message, Problem
from replysequence.domain.mime import write_message

_BYTES_A_CHARACTER = 32
_BYTES_A_BYTE = 2
_BYTES_A_PART = 2_000
"""How far words, files, and each person or file with its headers can grow on the way out: the HTML goes along with a
plain form, which can be seven times as long, and as many bytes are escaped, encoded, and encoded once more."""


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
    `check_message` of the domain reports in more detail. It is called only where the message could be too large.
    """
    problems = []
    count = len(message.recipients)
    if count > max_recipients:
        text = (
            f"{count} recipients are too many: {provider} takes {max_recipients} in to, cc and bcc together."
        )
        problems.append(Problem("to", text))
    if most_bytes(message) <= max_bytes:
        return problems
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


def most_bytes(message: Message) -> int:
    """What `message` comes to at most in any provider's form, at the cost of counting."""
    people = (message.sender, *message.recipients, *message.reply_to)
    files = message.attachments
    words = (
        *(message.subject, message.html or "", message.text or "", message.in_reply_to or ""),
        *message.references,
        *(each.name + each.email for each in people),
        *(file.filename + file.content_type for file in files),
    )
    return (
        _BYTES_A_CHARACTER * sum(map(len, words))
        + _BYTES_A_BYTE * sum(len(file.content) for file in files)
        + _BYTES_A_PART * (1 + len(people) + len(files))
    )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _base64_lines(data: bytes) -> bytes:
    return in_lines(pybase64.b64encode(data))
