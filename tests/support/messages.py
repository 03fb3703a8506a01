"""A plain message of the cast, to be varied by tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from replysequence.domain.message import Address, Message

ALICE = Address("Alice", "alice@acme.example")
BOB = Address("Bob", "bob@customer.example")
CHARLIE = Address("Charlie", "charlie@stranger.example")

PLAIN = Message(
    sender=ALICE,
    to=(BOB,),
    cc=(),
    bcc=(),
    reply_to=(),
    subject="Our meeting",
    html="<p>Hello Bob</p>",
    text=None,
    attachments=(),
    message_id="<send-1@acme.example>",
    date=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
)


def a_message(**changes: Any) -> Message:
    """The plain message with some fields changed."""
    return replace(PLAIN, **changes)
