"""Thousands of hostile messages, each read back by Python's own parser: none may say anything else than meant."""

from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from replysequence.domain.errors import InvalidInput
from replysequence.domain.message import Address, Attachment, Message, check_message
from replysequence.domain.mime import write_message
from support.mail_judge import differences, faulty_lines

EXAMPLES = 220
MESSAGES_PER_EXAMPLE = 50

TRICKY = [
    " ", "  ", ",", ";", ":", '"', "'", "\\", "<", ">", "@", "(", ")", "[", "]", "%", "*", "=", "?", "=?", "?=", "\t",
    "=?utf-8?q?=0ABcc=3A_charlie=40evil.example?=", "=?utf-8?b?QmNjOiBjaGFybGll?=", "=?us-ascii?Q?=0D=0A?=",
    "Doe, John", "charlie@evil.example", "<charlie@evil.example>,", "(comment", "a" * 70, "b" * 130, "word " * 20,
    "é", "Grüße", "ß", "日本語", "🚀", "👩‍👩‍👧", "e\u0301\u0323", "שלום", "العربية", "\u200f", "\u00a0",
    "ﬀ", "\U0010ffff",
    "From ", ".", "--=_", "=20", "UTF-8''", "%0A", "http://a.example/?b=c&d", ".pdf", "Re: ", "plain words",
]  # fmt: skip
FORBIDDEN = [
    "\r\nBcc: charlie@evil.example", "\n", "\r", "\0", "\x0b", "\x0c", "\x1b", "\x85", "\u2028", "\u2029", "\ud800",
    "\r\n\r\nbody", "\n Bcc: charlie@evil.example", "\u202e", "\x7f",
]  # fmt: skip
BODY = [
    *TRICKY, "\n", "\r\n", "\r", "\n\n", "\nFrom me\n", "\n.\n", "\n..\n", " \n", "\t\n", "=\n", "\x0b", "\x0c", "\x01",
    "\u2028", "x" * 2000, "ж" * 600, "\n--=_0\n", "<p>", "</p>", "<br>", "<a href='https://a.example'>b</a>", "&amp;",
]  # fmt: skip
EMAILS = [
    "bob@example.com",
    "a.b+c=d@sub.example.co",
    "o'hara@example.com",
    "!#$%&'*+/?=^_`{|}~-@example.com",
]
EMAILS += ["m@xn--mller-kva.example", f"{'l' * 64}@{'d' * 60}.{'e' * 60}.{'f' * 50}.example"]
IDS = [
    "<a@b>",
    "<CAF+x_y=z@mail.example.com>",
    f"<{'0123456789' * 20}@prod.outlook.example>",
    "<a$b.c@[10.0.0.1]>",
]
TYPES = ["application/pdf", "image/png", "text/plain", "application/vnd.ms-excel", "application/octet-stream"]


class Mischief:
    """Makes messages out of tricky pieces; `poison` is the chance that a field holds something forbidden."""

    def __init__(self, random: Random, words: list[str], *, poison: float) -> None:
        self.random = random
        self.words = words
        self.poison = poison

    def text(self, limit: int) -> str:
        pieces = self.random.choices(TRICKY + self.words, k=self.random.randint(0, 6))
        if self.random.random() < self.poison:
            pieces.insert(self.random.randint(0, len(pieces)), self.random.choice(FORBIDDEN))
        return "".join(pieces)[:limit]

    def body(self) -> str:
        return "".join(self.random.choices(BODY + self.words, k=self.random.randint(1, 12))) + "."

    def address(self) -> Address:
        email = self.random.choice(EMAILS)
        if self.random.random() < self.poison / 4:
            email += self.random.choice(
                [*FORBIDDEN, ">, <charlie@evil.example", ", charlie@evil.example", "é", " "]
            )
        return Address(self.text(128), email)

    def addresses(self, least: int = 0) -> tuple[Address, ...]:
        return tuple(self.address() for _ in range(self.random.randint(least, 4)))

    def message_id(self) -> str:
        poison = self.random.choice(FORBIDDEN) if self.random.random() < self.poison / 4 else ""
        return self.random.choice(IDS) + poison

    def file(self, number: int) -> Attachment:
        name = self.text(200).replace("/", "").replace("\\", "").replace("\t", "") + f"{number}.pdf"
        content = self.random.randbytes(self.random.choice([0, 1, 56, 57, 58, 300]))
        content_id = f"image{number}@here" if self.random.random() < 0.4 else None
        return Attachment(name, self.random.choice(TYPES), content, content_id)

    def message(self) -> Message:
        html, text = self.random.choice([(True, False), (False, True), (True, True)])
        offset = timezone(timedelta(minutes=self.random.randint(-720, 840)))
        return Message(
            sender=self.address(),
            to=self.addresses(1),
            cc=self.addresses(),
            bcc=self.addresses(),
            reply_to=self.addresses()[:1],
            subject=self.text(255),
            html=self.body() if html else None,
            text=self.body() if text else None,
            attachments=tuple(self.file(number) for number in range(self.random.choice([0, 0, 0, 1, 3]))),
            message_id=self.message_id(),
            date=datetime(2026, 11, 22, 9, 30, tzinfo=self.random.choice([UTC, offset])),
            in_reply_to=self.random.choice([None, self.message_id()]),
            references=tuple(self.message_id() for _ in range(self.random.choice([0, 1, 7]))),
            send_id=self.random.choice([None, "0190f5d0-7a4e-7cc0"]),
        )


def is_blocked(message: Message) -> bool:
    """Whether the check keeps the message from being written at all."""
    return any(problem.severity == "blocker" for problem in check_message(message))


words_of_all_scripts = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=30)
)


def test_ten_thousand_hostile_messages_say_what_was_meant_or_are_refused() -> None:
    tally: Counter[str] = Counter()

    @settings(max_examples=EXAMPLES)
    @given(seed=st.integers(0, 2**64), words=words_of_all_scripts)
    def feed(seed: int, words: list[str]) -> None:
        mischief = Mischief(Random(seed), words, poison=0.004)
        for number in range(MESSAGES_PER_EXAMPLE):
            message = mischief.message()
            include_bcc = number % 2 == 0
            if is_blocked(message):
                tally["refused"] += 1
                continue
            raw = write_message(message, include_bcc=include_bcc)
            assert differences(raw, message, include_bcc=include_bcc) == []
            assert faulty_lines(raw) == []
            tally["written"] += 1

    feed()
    assert tally["written"] >= 10_000
    assert tally["refused"] < tally["written"] / 10


@settings(max_examples=30)
@given(seed=st.integers(0, 2**64), words=words_of_all_scripts)
def test_a_poisoned_message_that_nobody_checked_is_refused_by_the_writer_or_says_what_was_meant(
    seed: int, words: list[str]
) -> None:
    mischief = Mischief(Random(seed), words, poison=0.5)
    for _ in range(20):
        message = mischief.message()
        try:
            raw = write_message(message, include_bcc=True)
        except InvalidInput:
            assert is_blocked(message)
            continue
        assert differences(raw, message, include_bcc=True) == []
        assert faulty_lines(raw) == []
