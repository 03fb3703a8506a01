"""The independent reader: whatever is changed in finished bytes, it notices, and names the field."""

from dataclasses import replace

import pytest

from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import Address, Attachment, Message
from replysequence.domain.mime import write_message
from replysequence.domain.readback import verify
from support.messages import ALICE, BOB, CHARLIE, a_message

FULL = a_message(
    sender=Address("Alice Müller", "alice@acme.example"),
    to=(BOB, Address("Doe, John", "john@customer.example")),
    cc=(CHARLIE,),
    bcc=(Address("", "hidden@customer.example"),),
    reply_to=(ALICE,),
    subject="Grüße nach dem Gespräch, mit einem Betreff, der auf zwei Zeilen geht",
    html="<p>Grüße, wie besprochen am Dienstag</p>",
    text="Grüße\nvon Alice",
    attachments=(
        Attachment("Übersicht.pdf", "application/pdf", b"%PDF" * 50),
        Attachment("logo.png", "image/png", b"png", content_id="logo"),
    ),
    in_reply_to="<parent@customer.example>",
    references=("<root@customer.example>", "<parent@customer.example>"),
    send_id="send-1",
)
RAW = write_message(FULL, include_bcc=True)
SUBJECT = RAW.partition(b"\r\nSubject: ")[2].partition(b"\r\nDate:")[0]


def test_what_the_writer_wrote_passes() -> None:
    verify(RAW, FULL, include_bcc=True)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (b"\r\nSubject:", b"\r\nBcc: charlie@evil.example\r\nSubject:", "message"),
        (b"\r\nSubject:", b"\r\nX-Evil: 1\r\nSubject:", "message"),
        (b"Cc: Charlie <charlie@stranger.example>\r\n", b"", "message"),
        (b"\r\nCc: ", b"\r\nCC: ", "message"),
        (b"\r\nSubject:", b"\r\n\r\nSubject:", "message"),
        (b"MIME-Version: 1.0", b"MIME-Version: 1.1", "send_id"),
        (b"Bob <bob@", b"Bob <charlie@", "to"),
        (b"Bob <bob@customer.example>", b"Bob <bob@customer.example>, evil@a.example", "to"),
        (b'"Doe, John"', b"Doe, John", "message"),
        (b'"Doe, John"', b'"Doe, Jane"', "to"),
        (b"Charlie <", b"Bob <", "cc"),
        (b"hidden@", b"shown@", "bcc"),
        (b"Reply-To: Alice", b"Reply-To: Bob", "reply_to"),
        (b"<alice@acme.example>\r\nTo", b"<alice@evil.example>\r\nTo", "sender"),
        (SUBJECT, b"=?utf-8?b?R3LDvMOfZQ==?=", "subject"),
        (SUBJECT, b"Gr=?utf-8?q?=C3=BC?=sse", "message"),
        (SUBJECT, b"=?utf-8?b?R3LDvA==?= plain", "message"),
        (SUBJECT, b"=?utf-8?b?/w==?=", "message"),
        (SUBJECT, b"x" * 999, "message"),
        (SUBJECT, "Grüße".encode(), "message"),
        (SUBJECT, b"a\r\n \r\n b", "message"),
        (SUBJECT, b"a\nb", "message"),
        (SUBJECT, b"=?utf-8?b?YQpCY2M6IHg=?=", "subject"),
        (b"22 Nov 2026", b"23 Nov 2026", "date"),
        (b"22 Nov 2026", b"soon", "message"),
        (b"Sun, 22 Nov", b"Mon, 22 Nov", "date"),
        (b"22 Nov 2026", b"22 Nix 2026", "message"),
        (b"<send-1@acme.example>", b"<send-2@acme.example>", "message_id"),
        (b"In-Reply-To: <parent@", b"In-Reply-To: <root@", "in_reply_to"),
        (b"References: <root@customer.example>", b"References: <root@evil.example>", "references"),
        (b"Send-Id: send-1", b"Send-Id: send-2", "send_id"),
        (b"%C3%9Cbersicht", b"Ubersicht", "attachments"),
        (b"multipart/related", b"multipart/parallel", "attachments"),
        (b"application/pdf", b"application/exe", "attachments"),
        (b"<logo>", b"<other>", "attachments"),
        (b"Content-ID: <logo>\r\n", b"Content-ID: <logo>\r\nX-Evil: 1\r\n", "message"),
        (b"JVBERiVQREYl", b"JVBERiVQ", "attachments"),
        (b"<p>Gr=C3=BC", b"<p>Gr=C3=B6", "html"),
        (b"<p>Gr=C3=BC", b"<p>Gr\xc3\xbc", "html"),
        (b"<p>Gr=C3=BC", b"<p>Gr=C3=BC\n", "html"),
        (b"von Alice", b"von Bob", "text"),
        (b"Dienstag", b"Dien=\nstag", "html"),
        (b"Dienstag", b"Dien=\rsecret\nstag", "html"),
        (b"charset=utf-8", b"charset=utf-7", "message"),
        (b"Charlie <", b"Charlie (x) <", "message"),
        (b"Charlie <", b'"=?utf-8?b?Q2hhcmxpZQ==?=" <', "message"),
        (b"Charlie <", b"Charlie <x@evil.example> <", "message"),
        (b"Subject: ", b"Subject:\t", "message"),
        (b"\r\nDate:", b" \r\nDate:", "message"),
        (b"_m--\r\n", b"_m\r\n", "message"),
        (b"_a--\r\n", b"_a\r\n", "message"),
    ],
)
def test_a_change_in_the_bytes_is_refused_and_the_field_named(old: bytes, new: bytes, field: str) -> None:
    assert RAW.count(old) >= 1
    with pytest.raises(InvalidInput) as refusal:
        verify(RAW.replace(old, new, 1), FULL, include_bcc=True)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Dienstag", b"Dien=\r\nstag"),
        (b"Charlie <", b"=?utf-8?b?Q2hhcmxpZQ==?= <"),
        (b" <parent@", b"\r\n <parent@"),
    ],
)
def test_another_way_to_write_the_same_passes(old: bytes, new: bytes) -> None:
    assert RAW.count(old) >= 1
    verify(RAW.replace(old, new, 1), FULL, include_bcc=True)


def test_a_multipart_without_parts_is_refused() -> None:
    head, _, body = RAW.partition(b"\r\n\r\n")
    delimiter = body.partition(b"\r\n")[0]
    with pytest.raises(InvalidInput):
        verify(head + b"\r\n\r\n" + delimiter + b"--\r\n", FULL, include_bcc=True)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_bcc_header_is_there_exactly_when_it_is_meant(wanted: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    raw = write_message(FULL, include_bcc=wanted)
    verify(raw, FULL, include_bcc=wanted)
    with pytest.raises(InvalidInput):
        verify(raw, FULL, include_bcc=not wanted)


@pytest.mark.parametrize(
    "other",
    [
        replace(FULL, attachments=FULL.attachments[:1]),
        replace(FULL, attachments=FULL.attachments[1:]),
        replace(FULL, attachments=FULL.attachments[::-1]),
        replace(FULL, text=None, html=None),
        replace(FULL, html="<p>Other</p>"),
        replace(FULL, references=()),
        replace(FULL, to=FULL.to[::-1]),
    ],
)
def test_the_bytes_of_one_message_are_not_those_of_another(other: Message) -> None:
    if other.attachments == FULL.attachments[::-1]:
        verify(RAW, other, include_bcc=True)  # images go before files whatever their order was
        return
    with pytest.raises(InvalidInput):
        verify(RAW, other, include_bcc=True)


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n", b"a", b"From: a\r\n\r\n", RAW[:300], RAW[:-5], RAW + b"x"])
def test_what_is_no_whole_message_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidInput):
        verify(raw, FULL, include_bcc=True)
