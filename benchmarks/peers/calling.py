"""What the programs in this folder share: the message, the arguments, and a loop with many calls at once."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Self

from benchmarks.ledger import DRAFT
from benchmarks.measured import hear, tell, usage

AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Task:
    """Where to call, whom to trust there, and how often."""

    url: str
    authority: Path
    count: int

    @classmethod
    def given(cls) -> Self:
        """The task in the arguments of this program."""
        url, authority, count = sys.argv[1:]
        return cls(url, Path(authority), int(count))


def message() -> bytes:
    """The message of every call, built once: no caller is charged for building it."""
    email = EmailMessage(policy=SMTP)
    email["From"] = "Alice <alice@acme.example>"
    email["To"] = ", ".join(f'"{address.name}" <{address.email}>' for address in DRAFT.to)
    email["Subject"] = DRAFT.subject
    email["Date"] = datetime.now(UTC)
    email.set_content("As agreed, here is what you get, and when.")
    email.add_alternative(DRAFT.html, subtype="html", cte="quoted-printable")
    return email.as_bytes()


async def many(call: Callable[[], Awaitable[None]], *, count: int) -> None:
    """Call once for each place, then, when told to go, ``count`` times; say before and after what was used."""

    async def some(numbers: Iterable[int]) -> None:
        for _ in numbers:
            await call()

    await asyncio.gather(*(call() for _ in range(AT_ONCE)))
    tell(**usage())
    await hear()
    numbers = iter(range(count))
    await asyncio.gather(*(some(numbers) for _ in range(AT_ONCE)))
    tell(**usage())
