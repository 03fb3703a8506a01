"""CRMs that people have connected, for tests that need no provider behind them."""

import json
from datetime import UTC, datetime

from sqlalchemy import Connection as Transaction
from sqlalchemy import select, update

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.report import CrmOptions
from replysequence.domain.secret import Secret
from replysequence.storage import platforms
from replysequence.storage.connections import Account, NewTokens
from replysequence.storage.database import Database
from replysequence.storage.tables import platform_connections, reports
from replysequence.storage.vault import Vault

LATER = datetime(2030, 1, 1, tzinfo=UTC)
CHOSEN = CrmOptions()


def crm_account(subject: str, *, provider: str = "rolodex") -> Account:
    """An account at a CRM."""
    return Account(
        provider=provider,
        issuer=f"https://{provider}.example",
        subject=subject,
        email=f"{subject}@{provider}.example",
        display_name=subject.title(),
    )


def crm_tokens(*, api_url: str | None = None) -> NewTokens:
    """Tokens that last."""
    return NewTokens(
        access_token=Secret("canary-crm-access"),
        access_token_expires_at=LATER,
        refresh_token=Secret("canary-crm-refresh"),
        refresh_token_expires_at=None,
        scopes=frozenset({"crm.write"}),
        api_url=api_url,
    )


def connect_crm(
    database: Database,
    vault: Vault,
    user_id: str,
    *,
    subject: str = "pipeline",
    provider: str = "rolodex",
    options: CrmOptions = CHOSEN,
) -> Connection:
    """Connect one, as the end of an OAuth flow does, with what its owner chose."""

    def work(transaction: Transaction) -> Connection:
        made, _ = platforms.connect(
            transaction,
            vault=vault,
            user_id=user_id,
            account=crm_account(subject, provider=provider),
            category="crm",
            tokens=crm_tokens(),
        )
        platforms.choose(transaction, user_id=user_id, connection_id=made.id, options=options.as_json())
        return platforms.get(transaction, user_id=user_id, connection_id=made.id)

    return database.run(work)


def put_status(transaction: Transaction, connection_id: str, status: ConnectionStatus) -> None:
    """As if the connection had become this."""
    transaction.execute(
        update(platform_connections)
        .where(platform_connections.c.id == connection_id)
        .values(status=status, status_reason="grant_gone", problem="Connect it again.")
    )


def kept_options(transaction: Transaction, connection_id: str) -> object:
    """The options of a connection as they lie in the database."""
    wanted = select(platform_connections.c.options).where(platform_connections.c.id == connection_id)
    return json.loads(transaction.execute(wanted).scalar_one())


def put_off_all(transaction: Transaction, *, until: datetime | None) -> None:
    """As if every wait of a report ended at that time."""
    transaction.execute(update(reports).where(reports.c.next_at.is_not(None)).values(next_at=until))
