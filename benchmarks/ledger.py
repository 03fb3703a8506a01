"""Databases for the benchmarks: migrated, filled through the real services, and copied as often as they are needed.

Both are as durable as in life: SQLite as the program opens it, PostgreSQL with its own defaults.
"""

import asyncio
import base64
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, Protocol

from replysequence import app
from replysequence import settings as settings_module
from replysequence.domain.draft import DraftContent
from replysequence.domain.message import Address
from replysequence.domain.secret import Secret
from replysequence.services.signing_in import hash_of
from replysequence.settings import Settings
from replysequence.storage import api_keys, connections, drafts, users
from replysequence.storage.connections import Account, NewTokens
from replysequence.storage.database import Transaction, now
from replysequence.storage.vault import Vault
from support.postgresql import PostgreSQL

Kind = Literal["sqlite", "postgresql"]

AS_IN_LIFE = {"listen_addresses": "127.0.0.1", "shared_buffers": "256MB", "max_wal_size": "4GB"}
"""Settings of the PostgreSQL server: fsync and synchronous_commit stay on."""

PARAGRAPH = (
    "<p>Thank you for your time on Tuesday. You told us that renewals at “Müller &amp; Söhne” are due in March, and "
    "that nobody wants to look for last year’s prices again. So here is what we agreed: the pilot begins on the 1st, "
    "Anna gives two sessions for your team, and you decide after six weeks. The figures that you asked for are "
    "behind the link below; what is still open stands at the end, with the names of who looks after it.</p>\n"
)
HTML = f"<html><body>{PARAGRAPH * 10}<p><a href='https://acme.example/'>The offer</a></p></body></html>"
DRAFT = DraftContent(
    to=(Address("Bob, Buyer", "bob@customer.example"), Address("Charlie", "charlie@customer.example")),
    subject="Nach unserem Gespräch am Dienstag: das Angebot – und die nächsten Schritte",
    html=HTML,
)
"""A follow-up of 4 KB as a sales person sends it after a meeting."""

_UNLIMITED = "1000000"
_AT_ONCE = 32


class Databases(Protocol):
    """Where databases of one kind are made."""

    @property
    def kind(self) -> Kind: ...

    def create(self, name: str) -> str:
        """An empty database; its URL."""
        ...

    def copy(self, source: str, name: str) -> str:
        """A copy of the database called ``source``, which nobody may be connected to; its URL."""
        ...


@dataclass(frozen=True)
class SqliteFiles:
    """SQLite files in a folder."""

    folder: Path
    kind: Kind = "sqlite"

    def create(self, name: str) -> str:
        return f"sqlite:///{self.folder / name}.db"

    def copy(self, source: str, name: str) -> str:
        shutil.copyfile(self.folder / f"{source}.db", self.folder / f"{name}.db")
        return self.create(name)


@dataclass(frozen=True)
class PostgresqlServer:
    """Databases of a PostgreSQL server of our own."""

    server: PostgreSQL
    kind: Kind = "postgresql"

    def create(self, name: str) -> str:
        return self.server.create(name)

    def copy(self, source: str, name: str) -> str:
        return self.server.create(name, template=source)


@dataclass(frozen=True)
class Providers:
    """Where the stub is, and the file with the authority that signs for it."""

    url: str
    authority: Path


def environment(database_url: str, *, folder: Path, providers: Providers) -> dict[str, str]:
    """The settings of a program on this database that takes the stub for every provider, without any pace.

    What a provider allows is measured by the campaign; everything else is about what we can do.
    """
    return {
        "DATABASE_URL": database_url,
        "REPLYSEQUENCE_DATA_DIR": str(folder),
        "ENCRYPTION_KEYS": f"bench:{base64.b64encode(bytes(32)).decode()}",
        "SSL_CERT_FILE": str(providers.authority),
        "GOOGLE_CLIENT_ID": "bench",
        "GOOGLE_CLIENT_SECRET": "bench",
        "GMAIL_API_URL": providers.url,
        "MICROSOFT_CLIENT_ID": "bench",
        "MICROSOFT_CLIENT_SECRET": "bench",
        "GRAPH_API_URL": f"{providers.url}/v1.0",
        "RESEND_API_KEY": "bench",
        "RESEND_FROM": "team@relay.example",
        "RESEND_API_URL": providers.url,
        "GMAIL_SENDS_PER_MINUTE": _UNLIMITED,
        "GMAIL_MAILBOX_SENDS_PER_MINUTE": _UNLIMITED,
        "OUTLOOK_MAILBOX_SENDS_PER_MINUTE": _UNLIMITED,
    }


@dataclass(frozen=True)
class Person:
    """Somebody with a Gmail account and drafts."""

    id: str
    drafts: tuple[str, ...]
    key: str
    """An API key."""


def fill(
    environ: Mapping[str, str],
    *,
    mailboxes: int,
    drafts_each: int,
    accepted: bool,
    draft: DraftContent = DRAFT,
    first: int = 0,
) -> list[Person]:
    """Migrate a database if need be, and add people, each with a mailbox and drafts; ``first`` numbers the first.

    ``accepted``: every draft is accepted for sending too, by the code that a request runs.
    """
    configured = settings_module.read(environ)
    app.prepare(configured)
    numbers = range(first, first + mailboxes)
    return asyncio.run(_fill(configured, numbers, draft=draft, drafts_each=drafts_each, accepted=accepted))


async def _fill(
    settings: Settings, numbers: Iterable[int], *, draft: DraftContent, drafts_each: int, accepted: bool
) -> list[Person]:
    async with app.running(settings) as parts:
        left = iter(numbers)
        people: list[Person] = []

        async def some() -> None:
            for number in left:
                person = await parts.database.transaction(
                    _person, vault=parts.vault, number=number, contents=[draft] * drafts_each
                )
                people.append(person)
                for each in person.drafts if accepted else ():
                    await parts.services.sending.accept(person.id, draft_id=each)

        await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
        return people


def _person(
    transaction: Transaction, *, vault: Vault, number: int, contents: Sequence[DraftContent]
) -> Person:
    email = f"seller{number}@acme.example"
    person = users.create(
        transaction, email=email, name=f"Seller {number}", password_hash="-", is_admin=False
    )
    connections.connect(
        transaction,
        vault=vault,
        user_id=person.id,
        account=Account("gmail", "https://accounts.google.com", str(number), email, f"Seller {number}"),
        tokens=NewTokens(
            access_token=Secret(f"ya29.{'x' * 200}"),
            access_token_expires_at=now(transaction) + timedelta(days=7),
            refresh_token=Secret(f"1//{'x' * 100}"),
            refresh_token_expires_at=None,
            scopes=frozenset({"https://www.googleapis.com/auth/gmail.send"}),
        ),
    )
    made = [drafts.create(transaction, user_id=person.id, content=each).id for each in contents]
    key = f"rs_{secrets.token_urlsafe(32)}"
    api_keys.create(transaction, user_id=person.id, name="load", prefix=key[:8], key_hash=hash_of(key))
    return Person(person.id, tuple(made), key)
