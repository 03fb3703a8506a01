"""How a message is written, case by case: each one that Python's EmailMessage got wrong, and the shapes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

import pybase64
import pytest

from replysequence.domain.encoding import in_lines, text_body
from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import Address, Attachment, Message
from replysequence.domain.mime import write_message
from support.mail_judge import differences, faulty_lines, judged, lines
from support.messages import ALICE, BOB, CHARLIE, a_message

IMAGE = Attachment("logo.png", "image/png", b"\x89PNG\r\n" * 100, content_id="logo")
FILE = Attachment("offer.pdf", "application/pdf", b"%PDF-1.7\n" * 100)
LONG_TOKEN = f"<{'a' * 120}@prod.outlook.example>"


def written(message: Message, *, include_bcc: bool = True) -> bytes:
    """The bytes, after the judge agreed with them."""
    raw = write_message(message, include_bcc=include_bcc)
    assert differences(raw, message, include_bcc=include_bcc) == []
    assert faulty_lines(raw) == []
    return raw


def header(raw: bytes, name: str) -> str:
    """One header with its folds, as it stands in the bytes."""
    head = raw.partition(b"\r\n\r\n")[0].decode("ascii")
    start = f"\r\n{head}".index(f"\r\n{name}: ")
    rest = head[start:].split("\r\n")
    folds = [line for line in rest[1:] if line.startswith(" ") or not line]
    count = next((n for n, line in enumerate(rest[1:], 1) if not line.startswith(" ")), len(folds) + 1)
    return "\r\n".join(rest[:count])


def parts(raw: bytes) -> list[str]:
    """The tree of parts, in reading order, as the newer parser of Python sees it."""
    parsed = BytesParser(policy=policy.default).parsebytes(raw)
    assert isinstance(parsed, EmailMessage)
    assert [part.defects for part in parsed.walk() if part.defects] == []
    return [part.get_content_type() for part in parsed.walk()]


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "Our meeting",
        "a  b",
        " a ",
        "a\tb",
        "=?utf-8?q?=0ABcc=3A_charlie=40evil.example?=",
        "=?utf-8?b?QmNjOiBjaGFybGll?= and more",
        "half =? a word",
        "Grüße",
        "日本語" * 80,
        "🚀" * 200,
        "👩‍👩‍👧 e\u0301\u0323 العربية \u200f",
        "a" * 255,
        "word " * 50 + "end",
        "Subject: Bcc: charlie@evil.example",
        "tab\tand\u00a0no-break space",
    ],
)
def test_a_subject_reads_as_it_was_written(subject: str) -> None:
    written(a_message(subject=subject))


@pytest.mark.parametrize(
    "name",
    [
        "Bob",
        "Bob B. Buyer",
        "Doe, John",
        'Bob "the" Buyer',
        "Bob \\",
        "Bob <charlie@evil.example>",
        "charlie@evil.example, Bob",
        "(Bob)",
        "Bob; Buyer: x",
        "A very long ASCII display name, with a comma, that has to be folded somewhere " * 1,
        "word, " * 20,
        "b" * 128,
        "Jürgen Müller",
        "Müller, Jürgen",
        "日本語" * 40,
        "=?utf-8?q?=2C?=",
        "=?utf-8?q?Bob?= <charlie@evil.example>,",
        "  Bob  Buyer ",
        "Bob\tBuyer",
        "🚀",
        "O'Hara",
        "Bob%20Buyer",
    ],
)
def test_a_display_name_reads_as_it_was_written_everywhere_in_a_list(name: str) -> None:
    people = (BOB, Address(name, "john@customer.example"), CHARLIE, Address(name, "jane@customer.example"))
    written(
        a_message(
            sender=Address(name, ALICE.email), to=people, cc=people[1:2], bcc=people, reply_to=people[1:]
        )
    )


def test_a_long_list_with_foreign_names_keeps_its_commas() -> None:
    crowd = tuple(
        Address(f"Jörg, Nummer {number}", f"joerg{number}@customer.example") for number in range(100)
    )
    raw = written(a_message(to=crowd))
    assert header(raw, "To").count(">,") == 99


def test_plain_names_stay_readable_and_special_ones_are_quoted() -> None:
    raw = written(a_message(to=(BOB, Address("Doe, John", "john@customer.example"))))
    assert header(raw, "To") == 'To: Bob <bob@customer.example>, "Doe, John" <john@customer.example>'


@pytest.mark.parametrize("name", ["In-Reply-To", "References"])
def test_long_message_ids_are_neither_encoded_nor_cut(name: str) -> None:
    message = a_message(in_reply_to=LONG_TOKEN, references=("<a@b>", LONG_TOKEN, f"<{'x' * 890}@b>", "<c@d>"))
    found = header(written(message), name)
    assert "=?" not in found
    assert LONG_TOKEN in found


def test_a_header_is_folded_at_spaces_only() -> None:
    raw = written(a_message(references=tuple(f"<{number}@mail.customer.example>" for number in range(20))))
    folds = header(raw, "References").split("\r\n")
    assert len(folds) > 5
    assert all(len(line) <= 76 and line.endswith(">") for line in folds)


def test_the_bcc_header_is_written_only_for_services_that_remove_it() -> None:
    message = a_message(bcc=(CHARLIE,))
    assert header(written(message), "Bcc") == "Bcc: Charlie <charlie@stranger.example>"
    assert b"charlie" not in written(message, include_bcc=False).lower()


def test_a_message_to_hidden_people_only_has_no_to_header() -> None:
    assert "To" not in judged(written(a_message(to=(), bcc=(BOB,)))).names


def test_the_addressing_comes_before_the_mime_headers() -> None:
    raw = written(a_message(cc=(CHARLIE,), bcc=(CHARLIE,), reply_to=(ALICE,), send_id="send-1"))
    names = [
        line.partition(":")[0]
        for line in raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        if line[0] != " "
    ]
    assert names == [
        *("From", "To", "Cc", "Bcc", "Reply-To", "Subject", "Date", "Message-ID"),
        *("X-ReplySequence-Send-Id", "MIME-Version", "Content-Type"),
    ]


def test_the_same_message_gives_the_same_bytes_and_another_one_other_boundaries() -> None:
    message = a_message(attachments=(IMAGE, FILE), html="<img src='cid:logo'>")
    other = a_message(
        attachments=(IMAGE, FILE), html="<img src='cid:logo'>", message_id="<send-2@acme.example>"
    )
    assert written(message) == written(message)
    assert len(written(message)) == len(written(other))
    assert written(message).splitlines()[-1] != written(other).splitlines()[-1]


@pytest.mark.parametrize(
    ("date", "text"),
    [
        (datetime(2026, 11, 2, 9, 5, 7, 999_999, tzinfo=UTC), "Mon, 02 Nov 2026 09:05:07 +0000"),
        (
            datetime(2026, 11, 2, 9, tzinfo=timezone(timedelta(hours=-3, minutes=-30))),
            "Mon, 02 Nov 2026 09:00:00 -0330",
        ),
        (
            datetime(2026, 11, 2, 9, tzinfo=timezone(timedelta(seconds=1172))),
            "Mon, 02 Nov 2026 08:40:28 +0000",
        ),
    ],
)
def test_the_date_has_a_real_offset_in_whole_minutes(date: datetime, text: str) -> None:
    assert header(written(a_message(date=date)), "Date") == f"Date: {text}"


@pytest.mark.parametrize(
    ("message", "tree"),
    [
        (a_message(html=None, text="Hello"), ["text/plain"]),
        (a_message(html="", text="Hello"), ["text/plain"]),
        (a_message(), ["multipart/alternative", "text/plain", "text/html"]),
        (a_message(html="<img src='https://a.example/b.png'>"), ["text/html"]),
        (
            a_message(html=None, text="Hello", attachments=(FILE,)),
            ["multipart/mixed", "text/plain", "application/pdf"],
        ),
        (
            a_message(html=None, text="Hello", attachments=(IMAGE,)),
            ["multipart/mixed", "text/plain", "image/png"],
        ),
        (
            a_message(attachments=(IMAGE,)),
            ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"],
        ),
        (
            a_message(attachments=(FILE, IMAGE, FILE)),
            [
                *("multipart/mixed", "multipart/alternative", "text/plain"),
                *("multipart/related", "text/html", "image/png", "application/pdf", "application/pdf"),
            ],
        ),
        (
            a_message(html="<img src='cid:logo'>", attachments=(IMAGE,)),
            ["multipart/related", "text/html", "image/png"],
        ),
    ],
)
def test_a_message_has_the_parts_that_it_needs_and_no_more(message: Message, tree: list[str]) -> None:
    assert parts(written(message)) == tree


def test_the_plain_form_is_derived_when_there_is_none() -> None:
    raw = written(a_message(html="<p>Hello Bob,</p><a href='https://acme.example'>the offer</a>"))
    assert judged(raw).texts["text/plain"] == "Hello Bob,\n\nthe offer (https://acme.example)"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Hello Bob,\nsee you.\n", b"7bit"),
        ("x" * 77, b"quoted-printable"),
        ("space at the end \nx", b"quoted-printable"),
        ("tab at the end\t", b"quoted-printable"),
        ("From me\nand\nFrom you", b"quoted-printable"),
        ("one\n.\ntwo", b"quoted-printable"),
        (".", b"quoted-printable"),
        ("form\x0cfeed", b"quoted-printable"),
        ("Viele Grüße aus Köln", b"quoted-printable"),
        ("=" * 300, b"quoted-printable"),
        ("x" * 75 + " \n" + "y" * 74 + " \n" + "z" * 73 + "\té\n", b"quoted-printable"),
        ("x" * 75 + "From me\n" + "é" + "y" * 69 + "From me, wrapped", b"quoted-printable"),
        ("abcdefx\\ and \\xc3 stay, =C3 and ü too\n" * 9, b"quoted-printable"),
        ("\x01\x07\x08\x7f control characters, and ü", b"quoted-printable"),
        ("From the Maßrom of Rome, with a heart \u2764\ufe0from me", b"quoted-printable"),
        ("ü" * 12 + "x" * 300, b"quoted-printable"),
        ("a" * 72 + "ü" * 9 + "b" * 80 + " \n" + "ß.\n.\n" + "c" * 75 + ".\nFrom \n", b"quoted-printable"),
        ("Увидимся завтра", b"base64"),
        ("日本語" * 1000, b"base64"),
        ("lone\rreturn", b"7bit"),
    ],
)
def test_a_body_is_encoded_as_its_characters_ask_for(text: str, encoding: bytes) -> None:
    raw = written(a_message(html=None, text=text))
    assert b"\r\nContent-Transfer-Encoding: " + encoding + b"\r\n" in raw
    assert judged(raw).texts["text/plain"] == lines(text)


@pytest.mark.parametrize(
    ("text", "body"),
    [
        (" ", b"=20\r\n"),
        ("\t", b"=09\r\n"),
        ("für \n.\n", b"f=C3=BCr=20\r\n=2E\r\n"),
        ("ü: From me", b"=C3=BC: From me\r\n"),
        ("ü\nFrom me", b"=C3=BC\r\n=46rom me\r\n"),
        ("ü" + "x" * 69 + "From me", b"=C3=BC" + b"x" * 69 + b"=\r\n=46rom me\r\n"),
        ("ü" + "x" * 68 + "From me", b"=C3=BC" + b"x" * 68 + b"F=\r\nrom me\r\n"),
    ],
)
def test_only_what_is_unsafe_where_it_stands_on_a_line_is_escaped(text: str, body: bytes) -> None:
    assert text_body(text) == ("quoted-printable", body)


def test_text_that_knows_the_boundary_cannot_end_its_part() -> None:
    boundary = header(written(a_message()), "Content-Type").partition('boundary="')[2][:-1]
    attack = f"a\r\n--{boundary}--\r\n--{boundary}\r\nContent-Type: text/html\r\n\r\nevil\r\n"
    raw = written(a_message(text=attack))
    assert parts(raw) == ["multipart/alternative", "text/plain", "text/html"]


@pytest.mark.parametrize(
    "filename",
    [
        "offer.pdf",
        "the offer (final), v2; really.pdf",
        "it's 100%.pdf",
        'the "offer".pdf',
        "Übersicht.pdf",
        "日本語の資料.pdf",
        "🚀" * 100 + ".pdf",
        "a" * 251 + ".pdf",
        "=?utf-8?q?offer?=.pdf",
        "UTF-8''offer%2Epdf",
        " offer.pdf ",
        "offer",
        ".hidden",
        "…",
        "e\u0301.pdf",
    ],
)
def test_a_file_name_reads_as_it_was_written(filename: str) -> None:
    raw = written(a_message(attachments=(Attachment(filename, "application/pdf", b"%PDF"),)))
    assert b"filename=" not in raw or b"filename*" not in raw


def test_old_readers_get_a_likeness_of_a_foreign_file_name() -> None:
    raw = written(a_message(attachments=(Attachment("Übersicht Köln.pdf", "application/pdf", b"%PDF"),)))
    assert b'name="Ubersicht_Koln.pdf"' in raw


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 14_591, 14_592, 14_593, 300_000])
def test_a_file_of_any_size_arrives(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    written(a_message(attachments=(Attachment("a.bin", "application/octet-stream", content[:size]),)))


@pytest.mark.parametrize(
    "compiled",
    [
        lambda data: pybase64.encodebytes(data).replace(b"\n", b"\r\n"),
        lambda data: in_lines(pybase64.b64encode(data)),
    ],
)
def test_a_compiled_base64_gives_the_same_bytes(compiled: Callable[[bytes], bytes]) -> None:
    for content in (b"", b"x", b"x" * 57, b"x" * 100_000):
        message = a_message(attachments=(Attachment("a.bin", "application/octet-stream", content),))
        assert write_message(message, include_bcc=True, encode_base64=compiled) == written(message)


def test_a_base64_that_breaks_the_lines_otherwise_is_refused() -> None:
    with pytest.raises(InvalidInput, match="does not say what was meant"):
        write_message(a_message(attachments=(FILE,)), include_bcc=True, encode_base64=pybase64.encodebytes)


@pytest.mark.parametrize(
    "message",
    [
        a_message(subject="a\r\nBcc: charlie@evil.example"),
        a_message(subject="\ud800"),
        a_message(subject="a\x85b"),
        a_message(sender=Address("a\nb", "alice@acme.example")),
        a_message(to=(Address("", "bob@customer.example>, <charlie@evil.example"),)),
        a_message(to=(Address("", "bob@customer.example, charlie@evil.example"),)),
        a_message(to=(Address("Bob", "bob@customer.example "),)),
        a_message(to=(Address("", "böb@customer.example"),)),
        a_message(message_id="<a@b>\r\nBcc: charlie@evil.example"),
        a_message(references=("<a@b>\r\n", "<c@d>")),
        a_message(references=("<a@b> <c@d>",)),
        a_message(send_id="a\r\n\r\nbody"),
        a_message(date=datetime(2026, 11, 22)),  # noqa: DTZ001 - the point of the case
        a_message(attachments=(Attachment("a.pdf", "application/pdf\r\nX-Evil: 1", b""),)),
        a_message(attachments=(Attachment("a\r\n.pdf", "application/pdf", b""),)),
        a_message(attachments=(Attachment("a.pdf", "image/png", b"", content_id="a>\r\n\r\n<"),)),
        a_message(html="\udfff"),
    ],
)
def test_what_nobody_checked_is_refused_by_the_writer_itself(message: Message) -> None:
    with pytest.raises(InvalidInput):
        write_message(message, include_bcc=True)
