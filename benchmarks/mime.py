"""CPU of writing a message, ours against `EmailMessage`, as ratios within one run.

Run: `python benchmarks/mime.py`. Two messages: a follow-up of 4 KB of HTML, and the same with a file of 2 MB.
Ours includes the read-back, and is shown with the standard library's base64 and with pybase64.
"""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.headerregistry import Address as StdlibAddress
from email.message import EmailMessage
from email.policy import SMTP

import pybase64

from replysequence.domain.message import Address, Attachment, Message
from replysequence.domain.mime import write_message
from replysequence.domain.plain_text import plain_text

PARAGRAPH = (
    "<p>Thank you for your time on Tuesday. As agreed, here is what “Müller & Söhne” get, and when.</p>\n"
)
HTML = f"<html><body>{PARAGRAPH * 40}<p><a href='https://acme.example/'>The offer</a></p></body></html>"
TEXT = "Thank you for your time on Tuesday. As agreed, here is what “Müller & Söhne” get.\n\n" * 40
FILE = Attachment("Angebot für Müller.pdf", "application/pdf", bytes(range(256)) * 7813)
ROUNDS = 7


def follow_up(*files: Attachment, text: str | None = TEXT) -> Message:
    """A message as a sales person sends it after a meeting."""
    return Message(
        sender=Address("Alice Müller", "alice@acme.example"),
        to=(Address("Bob, Buyer", "bob@customer.example"),),
        cc=(Address("Charlie", "charlie@customer.example"),),
        bcc=(),
        reply_to=(),
        subject="Nach unserem Gespräch am Dienstag: das Angebot – und die nächsten Schritte",
        html=HTML,
        text=text,
        attachments=files,
        message_id="<0190f5d0-7a4e-7cc0-b1f5-6f6ee2d1a111@acme.example>",
        date=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
        in_reply_to="<meeting-1@customer.example>",
        references=("<invite-1@customer.example>", "<meeting-1@customer.example>"),
        send_id="0190f5d0-7a4e-7cc0-b1f5-6f6ee2d1a111",
    )


def with_email_message(message: Message) -> bytes:
    """The same message by the standard library."""
    email = EmailMessage(policy=SMTP)
    email["From"] = _stdlib_address(message.sender)
    email["To"] = [_stdlib_address(address) for address in message.to]
    email["Cc"] = [_stdlib_address(address) for address in message.cc]
    email["Subject"] = message.subject
    email["Date"] = message.date
    email["Message-ID"] = message.message_id
    email["In-Reply-To"] = message.in_reply_to
    email["References"] = " ".join(message.references)
    email["X-ReplySequence-Send-Id"] = message.send_id
    email.set_content(message.text or plain_text(message.html or ""), cte="quoted-printable")
    email.add_alternative(message.html or "", subtype="html", cte="quoted-printable")
    for file in message.attachments:
        maintype, _, subtype = file.content_type.partition("/")
        email.add_attachment(file.content, maintype=maintype, subtype=subtype, filename=file.filename)
    return email.as_bytes()


def _stdlib_address(address: Address) -> StdlibAddress:
    return StdlibAddress(address.name, addr_spec=address.email)


def _pybase64_lines(data: bytes) -> bytes:
    return pybase64.encodebytes(data).replace(b"\n", b"\r\n")


def _cpu(work: Callable[[], object], *, times: int) -> float:
    """Seconds of CPU for one call: the best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            work()
        best = min(best, (time.process_time() - start) / times)
    return best


def main() -> None:
    """Measure and print one line per message and way."""
    cases = [
        ("4 KB follow-up", follow_up(), 300, 10),
        ("4 KB follow-up, text derived", follow_up(text=None), 300, 10),
        ("with a file of 2 MB", follow_up(FILE), 10, 2),
    ]
    for name, message, times, stdlib_times in cases:

        def ours(message: Message = message) -> bytes:
            return write_message(message, include_bcc=True)

        def ours_compiled(message: Message = message) -> bytes:
            return write_message(message, include_bcc=True, encode_base64=_pybase64_lines)

        def theirs(message: Message = message) -> bytes:
            return with_email_message(message)

        stdlib = _cpu(theirs, times=stdlib_times)
        for way, work in (("standard library", ours), ("pybase64", ours_compiled)):
            own = _cpu(work, times=times)
            sys.stdout.write(
                f"{name:<30} base64 by {way:<17} own {own * 1e6:>8.0f} µs"
                f"   EmailMessage {stdlib * 1e6:>8.0f} µs   ratio {stdlib / own:>5.0f}\n"
            )


if __name__ == "__main__":
    main()
