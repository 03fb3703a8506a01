"""CPU of writing a message, ours against `EmailMessage` and, where Node is present, nodemailer.

    python -m benchmarks.mime

Ours is what the providers call: it includes reading the finished message back and comparing it with the intent.
"""

import json
import shutil
import subprocess
import tempfile
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address as StdlibAddress
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path
from random import Random

from benchmarks.report import Figure, Gate, Section, at_least, at_most, table
from replysequence.domain.message import Address, Attachment, Message
from replysequence.domain.plain_text import plain_text
from replysequence.providers.carrying import write_mime

NODEMAILER = Path(__file__).parent / "peers/nodemailer"
ROUNDS = 7
HTML_BYTES = 4000
WORDS = (
    "a about agreed also an and answer as at before budget but by call can changes contract could day decision draft "
    "everything first follow for from give have hear help if in invoice is it later licence like look meeting more "
    "need next not now of offer on one open or our people pilot plan points price questions ready review rollout "
    "schedule see send she start steps team terms thank that the then they this time to two until we week what when "
    "will with would you your Monday Tuesday Thursday December Köln Zürich Müller “Söhne” naïve café – 20% €4,500"
)
NAMES = (
    "Bob",
    "Jürgen Müller",
    "Doe, John",
    "Zoë O'Hara",
    "Anna Maria Schmidt",
    "Łukasz Żak",
    "Bob B. Buyer",
)

TEXT = """\
A follow-up with 4 KB of HTML and its plain form, a subject that is not ASCII, names, one Cc and a thread; then the
same with a file of 2 MB. Recipients, names, subject, Message-ID, date, send id, thread and both texts differ from
message to message: what repeats is the sender, and the header lines that every message has. Ours includes reading
the message back. `EmailMessage` has the policy `SMTP` and chooses the encodings itself; it does not read back, which
is shown as a row of its own. Each figure is CPU time for one message, the best of several rounds that take turns.
"""


@dataclass(frozen=True, slots=True)
class Case:
    """Some messages, how many of them the slower ways get in a round, and what the ratio to them must reach."""

    name: str
    messages: Sequence[Message]
    fewer: int
    gate: Gate | None = None


def follow_up(number: int, *files: Attachment) -> Message:
    """A message as a sales person sends it after a meeting; another one for each number."""
    random = Random(number)
    words = WORDS.split()
    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < HTML_BYTES:
        sentences = (
            " ".join(random.choices(words, k=random.randint(6, 18))) for _ in range(random.randint(1, 4))
        )
        paragraphs.append(" ".join(f"{sentence.capitalize()}." for sentence in sentences))
    link = f"https://acme.example/offers/{number}?from=mail"
    body = "\n".join(f"<p>{paragraph}</p>" for paragraph in paragraphs)
    unique = f"0190f5d0-7a4e-7cc0-b1f5-{number:012x}"
    return Message(
        sender=Address("Alice Müller", "alice@acme.example"),
        to=(Address(f"{random.choice(NAMES)} {number}", f"buyer{number}@customer.example"),),
        cc=(Address(f"{random.choice(NAMES)} {number}", f"charlie{number}@customer.example"),),
        bcc=(),
        reply_to=(),
        subject=f"Nach unserem Gespräch: das Angebot {number} – und die nächsten Schritte",
        html=f'<html><body>\n{body}\n<p><a href="{link}">The offer</a></p></body></html>\n',
        text="\n\n".join([*paragraphs, f"The offer: {link}"]),
        attachments=files,
        message_id=f"<{unique}@acme.example>",
        date=datetime(2026, 11, 22, 9, 30, tzinfo=UTC) + timedelta(seconds=7919 * number),
        in_reply_to=f"<meeting-{number}@customer.example>",
        references=(f"<invite-{number}@customer.example>", f"<meeting-{number}@customer.example>"),
        send_id=unique,
    )


def cases() -> Iterator[Case]:
    plain = [follow_up(number) for number in range(200)]
    yield Case("4 KB follow-up", plain, 40, at_least(50))
    yield Case(
        "the same, its text derived from the HTML", [replace(message, text=None) for message in plain], 40
    )
    content = Random(0).randbytes(2_000_000)
    file = Attachment("Angebot für Müller.pdf", "application/pdf", content)
    yield Case("the same with a file of 2 MB", [follow_up(number, file) for number in range(20)], 3)


def with_email_message(message: Message) -> bytes:
    """The same message by the standard library, as its documentation shows it."""
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
    email.set_content(message.text or plain_text(message.html or ""))
    email.add_alternative(message.html or "", subtype="html")
    for file in message.attachments:
        maintype, _, subtype = file.content_type.partition("/")
        email.add_attachment(file.content, maintype=maintype, subtype=subtype, filename=file.filename)
    return email.as_bytes()


def with_email_message_read_back(message: Message) -> bool:
    """Whether the standard library reads in what it wrote what was meant: people, subject, thread, date, HTML."""
    email = BytesParser(EmailMessage, policy=SMTP).parsebytes(with_email_message(message))
    html = email.get_body(("html",))
    found = [
        *(
            [(address.display_name, address.addr_spec) for address in email[name].addresses]
            for name in ("From", "To", "Cc")
        ),
        *(
            email[name]
            for name in ("Subject", "Message-ID", "In-Reply-To", "References", "X-ReplySequence-Send-Id")
        ),
        email["Date"].datetime,
        html and html.get_content().replace("\r\n", "\n"),
    ]
    meant = [
        *(
            [(address.name, address.email) for address in addresses]
            for addresses in ([message.sender], message.to, message.cc)
        ),
        *(
            message.subject,
            message.message_id,
            message.in_reply_to,
            " ".join(message.references),
            message.send_id,
        ),
        message.date,
        message.html,
    ]
    return found == meant


def _stdlib_address(address: Address) -> StdlibAddress:
    return StdlibAddress(address.name, addr_spec=address.email)


def measure() -> Section:
    """Every figure, nodemailer's where Node and its package manager are."""
    figures: list[Figure] = []
    left_out: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        node = _node_with_nodemailer(Path(folder))
        if not node:
            left_out.append("nodemailer: Node, or what npm fetches, is not here.")
        for case in cases():
            figures += _compared(case, node)
    figures.append(
        Figure("most memory for a file of 25 MB, the file included", _memory(), "× its size", at_most(4))
    )
    return Section("mime", "Writing a message", TEXT, figures, left_out=left_out)


def _compared(case: Case, node: "Node | None") -> Iterator[Figure]:
    ways: dict[str, tuple[Callable[[Message], object], int]] = {
        "ours": (write_mime, len(case.messages)),
        "EmailMessage": (with_email_message, case.fewer),
        "EmailMessage, read back": (with_email_message_read_back, case.fewer),
    }
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(ROUNDS):
        for way, (work, count) in ways.items():
            start = turn * count % len(case.messages)
            batch = [*case.messages[start:], *case.messages[:start]][:count]
            best[way] = min(best[way], _cpu(work, batch))
    if node:
        best["nodemailer"] = node.cpu(case.messages)
    for way, seconds in best.items():
        yield Figure(f"{case.name}: {way}", seconds * 1e6, "µs")
    for way in [*best][1:]:
        gate = case.gate if way == "EmailMessage" else None
        yield Figure(f"{case.name}: {way} ÷ ours", best[way] / best["ours"], gate=gate)


def _cpu(work: Callable[[Message], object], messages: Sequence[Message]) -> float:
    """Seconds of CPU for one message."""
    start = time.process_time()
    for message in messages:
        work(message)
    return (time.process_time() - start) / len(messages)


def _memory() -> float:
    """How many times the size of a file is in memory at the most while its message is written."""
    content = bytes(25 << 20)
    message = follow_up(0, Attachment("a.bin", "application/octet-stream", content))
    tracemalloc.start()
    write_mime(message)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return 1 + peak / len(content)


class Node:
    """Node with nodemailer in a folder of its own."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder

    def cpu(self, messages: Sequence[Message]) -> float:
        """Seconds of CPU that nodemailer takes for one of ``messages``, after a round to get warm."""
        asked = {"rounds": ROUNDS, "messages": [_for_nodemailer(message) for message in messages]}
        done = subprocess.run(
            [self._program, "measure.js"],
            cwd=self._folder,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            check=True,
        )
        return float(json.loads(done.stdout)["seconds"])


def _node_with_nodemailer(folder: Path) -> Node | None:
    """Put the locked nodemailer into ``folder``; None where Node or npm is missing or nothing can be fetched."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if not program or not npm:
        return None
    for name in ("package.json", "package-lock.json", "measure.js"):
        shutil.copy(NODEMAILER / name, folder)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        check=False,
        cwd=folder,
        capture_output=True,
    )
    return Node(program, folder) if done.returncode == 0 else None


def _for_nodemailer(message: Message) -> dict[str, object]:
    return {
        "from": _named(message.sender),
        "to": [_named(address) for address in message.to],
        "cc": [_named(address) for address in message.cc],
        "subject": message.subject,
        "text": message.text or plain_text(message.html or ""),
        "html": message.html,
        "messageId": message.message_id,
        "date": message.date.isoformat(),
        "inReplyTo": message.in_reply_to,
        "references": list(message.references),
        "headers": {"X-ReplySequence-Send-Id": message.send_id},
        "attachments": [
            {
                "filename": file.filename,
                "contentType": file.content_type,
                "content": b64encode(file.content).decode(),
            }
            for file in message.attachments
        ],
    }


def _named(address: Address) -> dict[str, str]:
    return {"name": address.name, "address": address.email}


if __name__ == "__main__":
    section = measure()
    print(table(section.figures), *section.left_out, sep="\n")
