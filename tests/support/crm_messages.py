"""A message as CRMs are told of it, to be varied by tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from replysequence.domain.address import Address
from replysequence.domain.report import LoggedEmail

SEND_ID = "0193b2c4-0000-7000-8000-000000000001"
ALICE = Address("Alice Archer", "alice@acme.example")
BOB = Address("Bob Q. Brown", "bob@customer.example")
CHARLIE = Address("", "charlie@stranger.example")

LOGGED = LoggedEmail(
    send_id=SEND_ID,
    message_id=f"{SEND_ID}@acme.example",
    sent_at=datetime(2026, 11, 22, 9, 30, 0, 123_000, tzinfo=UTC),
    sender=ALICE,
    to=(BOB,),
    cc=(),
    bcc=(),
    subject="Our meeting",
    html="<p>Hello Bob</p>",
    text="Hello Bob",
    in_reply_to=None,
    thread_id=None,
    url=f"https://mail.example/sends/{SEND_ID}",
)


def a_logged_email(**changes: Any) -> LoggedEmail:
    """The plain message with some fields changed."""
    return replace(LOGGED, **changes)
