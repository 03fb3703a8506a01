"""A message as it was at acceptance: JSON in ``sends``, its files by their ids in ``attachments``."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from replysequence.domain.message import Address, Attachment, Message


def freeze(message: Message, *, attachment_ids: Sequence[str]) -> str:
    """``message`` as JSON text. ``attachment_ids`` name the stored files of ``message.attachments``, in
    their order.
    """
    return json.dumps(
        {
            "subject": message.subject,
            "html": message.html,
            "text": message.text,
            "message_id": message.message_id,
            "date": message.date.isoformat(),
            "in_reply_to": message.in_reply_to,
            "references": message.references,
            "attachments": list(attachment_ids),
        },
        ensure_ascii=False,
    )


def redated(frozen: str, *, date: datetime) -> str:
    """The same message with another Date: its owner changed when it leaves."""
    return json.dumps({**json.loads(frozen), "date": date.isoformat()}, ensure_ascii=False)


def freeze_envelope(message: Message) -> str:
    """The addresses of ``message`` as JSON text."""
    return json.dumps(
        {
            "sender": _written([message.sender])[0],
            "to": _written(message.to),
            "cc": _written(message.cc),
            "bcc": _written(message.bcc),
            "reply_to": _written(message.reply_to),
        },
        ensure_ascii=False,
    )


def thaw(
    frozen: str, envelope: str, *, send_id: str | None, files: Mapping[str, Attachment] | None
) -> Message:
    """The message again, with ``files`` by attachment id, or without its files where that is none. The same send
    always gives the same message.
    """
    words = json.loads(frozen)
    people = json.loads(envelope)
    return Message(
        sender=_read([people["sender"]])[0],
        to=_read(people["to"]),
        cc=_read(people["cc"]),
        bcc=_read(people["bcc"]),
        reply_to=_read(people["reply_to"]),
        subject=words["subject"],
        html=words["html"],
        text=words["text"],
        attachments=() if files is None else tuple(files[each] for each in words["attachments"]),
        message_id=words["message_id"],
        date=datetime.fromisoformat(words["date"]),
        in_reply_to=words["in_reply_to"],
        references=tuple(words["references"]),
        send_id=send_id,
    )


def attachment_ids(frozen: str) -> list[str]:
    """The ids of the files that a frozen message needs."""
    ids: list[str] = json.loads(frozen)["attachments"]
    return ids


def people(envelope: str) -> tuple[Address, Address | None, tuple[Address, ...]]:
    """Sender, first Reply-To and all recipients of a stored envelope."""
    read = json.loads(envelope)
    reply_to = _read(read["reply_to"])
    return (
        _read([read["sender"]])[0],
        reply_to[0] if reply_to else None,
        _read([*read["to"], *read["cc"], *read["bcc"]]),
    )


def _written(addresses: Sequence[Address]) -> list[list[str]]:
    return [[address.name, address.email] for address in addresses]


def _read(written: Sequence[Sequence[str]]) -> tuple[Address, ...]:
    return tuple(Address(name, email) for name, email in written)
