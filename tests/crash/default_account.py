"""Many threads at the accounts of one person: whatever commits, exactly one usable account is the default."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from sqlalchemy import Connection as Transaction
from sqlalchemy import select

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import NotFound
from replysequence.domain.secret import Secret
from replysequence.storage import connection_tokens, connections, users
from replysequence.storage.connections import Account, NewTokens
from replysequence.storage.database import Database
from replysequence.storage.tables import email_connections
from replysequence.storage.vault import Vault

ACCOUNTS = 4
_LATER = datetime(2030, 1, 1, tzinfo=UTC)
_TOKENS = NewTokens(
    access_token=Secret("access"),
    access_token_expires_at=_LATER,
    refresh_token=Secret("refresh"),
    refresh_token_expires_at=None,
    scopes=frozenset({"send"}),
)


def shuffle(
    databases: Sequence[Database], *, vault: Vault, threads: int, steps: int, seed: int
) -> Counter[str]:
    """So many threads, spread over databases as over processes, take so many steps each: connect, choose, break and
    take down accounts of one person. Returns what was seen after the steps, by the words of :func:`_seen`.
    """
    person = databases[0].run(
        users.create, email="alice@team.example", name="Alice", password_hash="-", is_admin=False
    )

    def walk(number: int) -> Counter[str]:
        chance = random.Random(f"{seed} {number}")
        database = databases[number % len(databases)]
        seen: Counter[str] = Counter()
        for _ in range(steps):
            step = chance.choice(_STEPS)
            try:
                database.run(step, vault=vault, user_id=person.id, chance=chance)
            except NotFound:
                seen["too late"] += 1  # another thread was quicker
            seen[database.run(_seen, user_id=person.id)] += 1
        return seen

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(walk, range(threads)), start=Counter())


def _seen(transaction: Transaction, *, user_id: str) -> str:
    """How the person's accounts stand, in one look: "right", or what is wrong."""
    of_person = email_connections.c.user_id == user_id
    rows = transaction.execute(
        select(email_connections.c.status, email_connections.c.is_default).where(of_person)
    ).all()
    usable = [row for row in rows if row.status != ConnectionStatus.DISCONNECTING]
    defaults = [row for row in rows if row.is_default]
    if len(defaults) == min(1, len(usable)) and all(row in usable for row in defaults):
        return "right"
    return f"{len(defaults)} defaults for {len(usable)} usable accounts"


def _connect(transaction: Transaction, *, vault: Vault, user_id: str, chance: random.Random) -> None:
    subject = f"account {chance.randrange(ACCOUNTS)}"
    account = Account("gmail", "https://accounts.example", subject, "alice@brightwave.example", "Alice")
    connections.connect(transaction, vault=vault, user_id=user_id, account=account, tokens=_TOKENS)


def _choose(transaction: Transaction, *, vault: Vault, user_id: str, chance: random.Random) -> None:
    connections.set_default(
        transaction, user_id=user_id, connection_id=_any_of(transaction, user_id=user_id, chance=chance)
    )


def _break(transaction: Transaction, *, vault: Vault, user_id: str, chance: random.Random) -> None:
    connection_id = _any_of(transaction, user_id=user_id, chance=chance)
    sealed = connection_tokens.sealed_tokens(transaction, connection_id=connection_id)
    if sealed is not None:
        connection_tokens.mark_needs_reconnect(
            transaction,
            connection_id=connection_id,
            generation=sealed.generation,
            reason="grant_gone",
            problem="Connect it again.",
        )


def _begin(transaction: Transaction, *, vault: Vault, user_id: str, chance: random.Random) -> None:
    connection_id = _any_of(transaction, user_id=user_id, chance=chance)
    connections.begin_disconnect(transaction, user_id=user_id, connection_id=connection_id)


def _finish(transaction: Transaction, *, vault: Vault, user_id: str, chance: random.Random) -> None:
    connection_id = _any_of(transaction, user_id=user_id, chance=chance)
    connections.finish_disconnect(transaction, user_id=user_id, connection_id=connection_id)


def _any_of(transaction: Transaction, *, user_id: str, chance: random.Random) -> str:
    found = connections.list_for_user(transaction, user_id=user_id)
    if not found:
        raise NotFound("connection")
    return chance.choice(found).id


_STEPS: tuple[Callable[..., None], ...] = (_connect, _connect, _choose, _break, _begin, _finish)
