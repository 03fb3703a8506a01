"""Who and what most storage tests are about: an open database, a vault, and three people."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_bytes

import pytest
from sqlalchemy import Connection as DatabaseConnection

from replysequence.domain.connection import Connection
from replysequence.domain.secret import Secret
from replysequence.storage import connections, platforms, users
from replysequence.storage.connections import Account, NewTokens
from replysequence.storage.database import Database
from replysequence.storage.keys import Key
from replysequence.storage.vault import Vault

Connect = Callable[..., Connection]

LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database.open(database_url)
    yield database
    database.close()


@pytest.fixture
def vault() -> Vault:
    return Vault([Key("first", token_bytes(32))])


def _person(database: Database, name: str) -> str:
    person = database.run(
        users.create, email=f"{name}@team.example", name=name.title(), password_hash="-", is_admin=False
    )
    return person.id


@pytest.fixture
def alice(database: Database) -> str:
    """The owner of what the test is about; her id."""
    return _person(database, "alice")


@pytest.fixture
def bob(database: Database) -> str:
    """Somebody else on the same team; his id."""
    return _person(database, "bob")


@pytest.fixture
def charlie(database: Database) -> str:
    """A stranger with an account; his id."""
    return _person(database, "charlie")


def account(subject: str, *, provider: str = "gmail") -> Account:
    return Account(
        provider=provider,
        issuer=f"https://{provider}.example",
        subject=subject,
        email=f"{subject}@{provider}.example",
        display_name=subject.title(),
    )


def tokens(word: str, *, refresh: bool = True) -> NewTokens:
    return NewTokens(
        access_token=Secret(f"access {word}"),
        access_token_expires_at=LATER,
        refresh_token=Secret(f"refresh {word}") if refresh else None,
        refresh_token_expires_at=None,
        scopes=frozenset({"openid", "send"}),
    )


@pytest.fixture
def connect(database: Database, vault: Vault) -> Connect:
    """connect(user id, subject) → the connection, made as the OAuth flow makes it."""

    def make(user_id: str, subject: str = "work", *, provider: str = "gmail") -> Connection:
        def work(connection: DatabaseConnection) -> Connection:
            made, _ = connections.connect(
                connection,
                vault=vault,
                user_id=user_id,
                account=account(subject, provider=provider),
                tokens=tokens(subject),
            )
            return made

        return database.run(work)

    return make


@pytest.fixture
def connect_platform(database: Database, vault: Vault) -> Connect:
    """connect_platform(user id, subject) → the same for a CRM, a calendar or a meeting platform."""

    def make(
        user_id: str, subject: str = "work", *, provider: str = "ledgerly", category: str = "crm"
    ) -> Connection:
        made, _ = database.run(
            platforms.connect,
            vault=vault,
            user_id=user_id,
            account=account(subject, provider=provider),
            category=category,
            tokens=replace(tokens(subject), api_url=f"https://{subject}.{provider}.example"),
        )
        return made

    return make
