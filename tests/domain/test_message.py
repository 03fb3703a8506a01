"""What is checked about a message before anything is written."""

from datetime import datetime

import pytest

from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import (
    Address,
    Attachment,
    Message,
    Problem,
    check_message,
    media_type,
    new_message_id,
    parse_message_id,
    parse_message_ids,
    require_sendable,
)
from support.messages import ALICE, BOB, CHARLIE, a_message


def a_file(filename: str = "offer.pdf", content_type: str = "application/pdf", **changes: str) -> Attachment:
    return Attachment(filename, content_type, b"%PDF", **changes)


def fields(problems: list[Problem], severity: str) -> list[str]:
    return [problem.field for problem in problems if problem.severity == severity]


def test_a_plain_message_has_no_problem() -> None:
    assert check_message(a_message()) == []


@pytest.mark.parametrize(
    ("message", "field", "words"),
    [
        (a_message(sender=Address("Alice\r\nBcc: x", "alice@acme.example")), "sender", "a line break"),
        (a_message(sender=Address("Alice", "alice")), "sender", "not an email address"),
        (a_message(to=()), "to", "Nobody would get"),
        (a_message(to=(Address("Bob\u202e", "bob@customer.example"),)), "to", "OVERRIDE"),
        (a_message(cc=(Address("", "bob@customer.example\n"),)), "cc", "not a domain"),
        (a_message(bcc=(Address("", "böb@customer.example"),)), "bcc", "plain Latin letters"),
        (a_message(reply_to=(Address("x" * 129, "bob@customer.example"),)), "reply_to", "longer than 128"),
        (a_message(subject="a" * 256), "subject", "longer than 255"),
        (a_message(subject="a\nBcc: b"), "subject", "a line break"),
        (a_message(subject="a\x0bb"), "subject", "U[+]000B"),
        (a_message(subject="a\x85b"), "subject", "NEL"),
        (a_message(subject="a\u2029b"), "subject", "a paragraph separator"),
        (a_message(subject="a\ud83db"), "subject", "half of a surrogate pair"),
        (a_message(html=None, text=" \n"), "html", "empty"),
        (a_message(html="a\0b"), "html", "NUL"),
        (a_message(text="a\udfffb"), "text", "surrogate"),
        (a_message(attachments=(a_file("../../etc/passwd"),)), "attachments", "without folders"),
        (a_message(attachments=(a_file("a\\b.pdf"),)), "attachments", "without folders"),
        (a_message(attachments=(a_file(" .. "),)), "attachments", "not a file name"),
        (a_message(attachments=(a_file("a\tb.pdf"),)), "attachments", "a tab"),
        (a_message(attachments=(a_file("a\r\nb.pdf"),)), "attachments", "a line break"),
        (a_message(attachments=(a_file("fdp.\u202eexe"),)), "attachments", "OVERRIDE"),
        (a_message(attachments=(a_file("a" * 256),)), "attachments", "longer than 255"),
        (a_message(attachments=(a_file(content_type="pdf"),)), "attachments", "cannot be sent as “pdf”"),
        (
            a_message(attachments=(a_file(content_type="text/html\r\nX: y"),)),
            "attachments",
            "cannot be sent as",
        ),
        (a_message(attachments=(a_file(content_type="message/rfc822"),)), "attachments", "octet-stream"),
        (a_message(attachments=(a_file(content_id="a> <b"),)), "attachments", "cannot name an image"),
        (a_message(attachments=(a_file(content_id="a"), a_file(content_id="a"))), "attachments", "2 images"),
        (a_message(date=datetime(2026, 11, 22)), "date", "no time zone"),  # noqa: DTZ001 - the point of the case
        (a_message(message_id="send-1@acme.example"), "message_id", "not a Message-ID"),
        (a_message(message_id="<a@b>\r\nBcc: c"), "message_id", "not a Message-ID"),
        (a_message(in_reply_to="<a b@c>"), "in_reply_to", "not a Message-ID"),
        (a_message(references=("<a@b>", "<=?utf-8?q?x?=@b>")), "references", "not a Message-ID"),
        (a_message(references=(f"<{'a' * 900}@b>",)), "references", "too long"),
        (a_message(references=("<a@b>",) * 501), "references", "more than 500"),
        (a_message(send_id="a b"), "send_id", "not the id of a send"),
    ],
)
def test_each_fault_is_told_with_its_field(message: Message, field: str, words: str) -> None:
    assert fields(check_message(message), "blocker") == [field]
    with pytest.raises(InvalidInput, match=words) as refusal:
        require_sendable(message)
    assert refusal.value.field == field


def test_every_fault_is_told_at_once() -> None:
    message = a_message(sender=Address("", "x"), to=(), subject="\0", html="", message_id="", in_reply_to="y")
    told = fields(check_message(message), "blocker")
    assert told == ["sender", "to", "subject", "html", "message_id", "in_reply_to"]
    with pytest.raises(InvalidInput) as refusal:
        require_sendable(message)
    listed = refusal.value.details["problems"]
    assert isinstance(listed, list)
    assert [problem["field"] for problem in listed] == told


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (a_message(subject=""), "subject"),
        (a_message(cc=(Address("Robert", "BOB@customer.example"),)), "to"),
        (a_message(html="<img src='cid:logo'>"), "html"),
        (a_message(attachments=(a_file(content_id="logo"),)), "attachments"),
    ],
)
def test_what_is_odd_but_can_be_sent_is_a_warning(message: Message, field: str) -> None:
    assert fields(check_message(message), "warning") == [field]
    require_sendable(message)


def test_an_image_that_is_shown_and_attached_is_no_problem() -> None:
    image = Attachment("logo.png", "image/png", b"png", content_id="logo@acme.example")
    message = a_message(html='<img src="cid:logo@acme.example">', attachments=(image,))
    assert check_message(message) == []


@pytest.mark.parametrize("field", ["to", "cc", "bcc", "reply_to"])
def test_two_hundred_people_are_too_many_and_the_crowded_field_is_named(field: str) -> None:
    crowd = tuple(Address("", f"bob{number}@customer.example") for number in range(200))
    assert fields(check_message(a_message(**{field: crowd})), "blocker") == [field]
    assert check_message(a_message(**{field: crowd}), max_recipients=201) == []


def test_recipients_count_together() -> None:
    message = a_message(to=(ALICE,), cc=(BOB,), bcc=(CHARLIE,))
    assert check_message(message, max_recipients=3) == []
    assert fields(check_message(message, max_recipients=2), "blocker") == ["to"]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (a_message(subject="é" * 10_000_000), "subject"),
        (a_message(to=(Address("é" * 10_000_000, "bob@customer.example"),)), "to"),
        (a_message(to=(Address("", "b" * 10_000_000 + "@customer.example"),)), "to"),
        (a_message(message_id="<" + "@" * 10_000_000), "message_id"),
        (a_message(attachments=(a_file("\u202e" * 10_000_000),)), "attachments"),
        (a_message(text="é" * 13_200_000), "html"),
    ],
)
def test_ten_megabytes_where_a_line_belongs_are_refused(message: Message, field: str) -> None:
    problems = check_message(message)
    assert fields(problems, "blocker") == [field]
    assert all(len(problem.message) < 300 for problem in problems)


def test_the_size_counts_files_and_both_texts() -> None:
    message = a_message(html="x" * 10, text="é" * 5, attachments=(a_file(),))
    assert check_message(message, max_bytes=24) == []
    assert fields(check_message(message, max_bytes=23), "blocker") == ["attachments"]


@pytest.mark.parametrize("typed", ["<a.b@c>", "a.b@c", "  <a.b@c>\r\n"])
def test_a_message_id_gets_its_angle_brackets(typed: str) -> None:
    assert parse_message_id(typed) == "<a.b@c>"


def test_references_are_read_from_one_text_or_many() -> None:
    assert parse_message_ids("<a@b>\r\n <c@d>") == ("<a@b>", "<c@d>")
    assert parse_message_ids(["a@b", "<c@d>"]) == ("<a@b>", "<c@d>")


@pytest.mark.parametrize(
    "typed", ["", "a", "<a@b", "a@b>", "<a@b> <c@d>", "<a@b>\nBcc: c", "<é@b>", "<a" * 10**6]
)
def test_what_is_no_message_id_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_message_id(typed, field="references")
    assert refusal.value.field == "references"


def test_a_send_has_the_same_message_id_each_time_it_is_built() -> None:
    assert new_message_id("0190f5d0-7a4e", "acme.example") == "<0190f5d0-7a4e@acme.example>"
    for send_id, domain in (("a b", "acme.example"), ("", "acme.example"), ("a", "acme example"), ("a", "")):
        with pytest.raises(InvalidInput):
            new_message_id(send_id, domain)


@pytest.mark.parametrize(
    ("declared", "kept"),
    [
        ("image/PNG", "image/png"),
        ("text/plain; charset=utf-8", "text/plain"),
        (None, "application/octet-stream"),
        ("pdf", "application/octet-stream"),
        ("message/rfc822", "application/octet-stream"),
        ("multipart/mixed", "application/octet-stream"),
        ("a/b\r\nX: y", "application/octet-stream"),
    ],
)
def test_an_uploaded_file_keeps_a_content_type_that_it_can_be_sent_as(
    declared: str | None, kept: str
) -> None:
    assert media_type(declared) == kept


def test_the_text_form_of_a_message_does_not_tell_what_it_says() -> None:
    message = a_message(
        subject="secret plan", html="secret html", text="secret text", attachments=(a_file(),)
    )
    assert "secret" not in repr(message)
    assert "%PDF" not in repr(message)
