"""Refreshing tokens: one at a time, and the newest always wins."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import update

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import VaultError
from replysequence.domain.secret import Secret
from replysequence.storage import connection_tokens, connections
from replysequence.storage.connections import NewTokens
from replysequence.storage.database import Database, now
from replysequence.storage.ids import new_id
from replysequence.storage.tables import email_connections
from replysequence.storage.vault import Vault
from storage.conftest import LATER, Connect, tokens
from storage.test_connections import stored


def take(database: Database, connection_id: str, owner: str, *, generation: int = 1) -> bool:
    return database.run(
        connection_tokens.take_refresh_lease,
        connection_id=connection_id,
        generation=generation,
        owner=owner,
        seconds=60,
    )


def test_of_many_who_want_to_refresh_one_gets_the_lease(
    database: Database, alice: str, connect: Connect
) -> None:
    made = connect(alice)
    with ThreadPoolExecutor(8) as threads:
        taken = list(threads.map(lambda owner: take(database, made.id, owner), [new_id() for _ in range(24)]))
    assert taken.count(True) == 1


def test_a_lease_that_ran_out_or_was_given_back_can_be_taken(
    database: Database, alice: str, connect: Connect
) -> None:
    made = connect(alice)
    first, second, third = new_id(), new_id(), new_id()
    assert take(database, made.id, first)
    assert take(database, made.id, first), "its holder may extend it"
    assert not take(database, made.id, second)
    assert not database.run(
        connection_tokens.release_refresh_lease, connection_id=made.id, generation=1, owner=second
    )
    assert not take(database, made.id, second), "nobody gives back the lease of another"
    assert database.run(
        connection_tokens.release_refresh_lease, connection_id=made.id, generation=1, owner=first
    )
    assert take(database, made.id, second)
    database.run(
        lambda connection: connection.execute(
            update(email_connections).values(refresh_until=now(connection) - timedelta(seconds=1))
        )
    )
    assert take(database, made.id, third)


def test_a_refresh_stores_its_tokens_and_gives_the_lease_back(
    database: Database, alice: str, connect: Connect, vault: Vault
) -> None:
    made = connect(alice)
    owner = new_id()
    assert take(database, made.id, owner)
    seen = stored(database, made.id)
    assert database.run(
        connection_tokens.store_tokens,
        vault=vault,
        seen=seen,
        owner=owner,
        tokens=NewTokens(Secret("access 2"), LATER, None, None, frozenset()),
    )
    after = stored(database, made.id)
    access, refresh = after.access_token(vault), after.refresh_token(vault)
    assert access is not None
    assert refresh is not None
    assert (access.reveal(), refresh.reveal()) == ("access 2", "refresh work")
    assert after.generation == 2
    assert after.scopes == seen.scopes
    assert take(database, made.id, new_id(), generation=2)


@pytest.mark.parametrize(
    "meanwhile", ["reconnected", "reconnected and due again", "disconnecting", "gone", "refreshed by another"]
)
def test_tokens_that_came_too_late_are_thrown_away(
    meanwhile: str, database: Database, alice: str, connect: Connect, vault: Vault
) -> None:
    made = connect(alice)
    owner, other = new_id(), new_id()
    assert take(database, made.id, owner)
    seen = stored(database, made.id)
    if meanwhile.startswith("reconnected"):
        connect(alice)
        # The same process may be renewing the new tokens while the answer for the old ones is still on its way.
        assert meanwhile == "reconnected" or take(database, made.id, owner, generation=2)
    elif meanwhile == "refreshed by another":
        database.run(
            lambda connection: connection.execute(
                update(email_connections).values(refresh_owner=other, refresh_until=LATER)
            )
        )
        assert database.run(
            connection_tokens.store_tokens, vault=vault, seen=seen, owner=other, tokens=tokens("theirs")
        )
    else:
        database.run(connections.begin_disconnect, user_id=alice, connection_id=made.id)
        if meanwhile == "gone":
            database.run(connections.finish_disconnect, user_id=alice, connection_id=made.id)
    before = database.run(connection_tokens.sealed_tokens, connection_id=made.id)
    assert not database.run(
        connection_tokens.store_tokens, vault=vault, seen=seen, owner=owner, tokens=tokens("late")
    )
    assert database.run(connection_tokens.sealed_tokens, connection_id=made.id) == before


def test_only_an_active_connection_with_these_tokens_is_marked_for_reconnecting(
    database: Database, alice: str, connect: Connect
) -> None:
    made = connect(alice)

    def mark(generation: int) -> bool:
        return database.run(
            connection_tokens.mark_needs_reconnect,
            connection_id=made.id,
            generation=generation,
            reason="invalid_grant",
            problem="Google no longer lets us send for you. Connect again.",
        )

    def now_is() -> tuple[ConnectionStatus, str | None]:
        shown = database.run(connections.get, user_id=alice, connection_id=made.id)
        return shown.status, shown.status_reason

    assert not mark(generation=7)
    assert now_is() == (ConnectionStatus.ACTIVE, None)
    assert mark(generation=1)
    assert now_is() == (ConnectionStatus.NEEDS_RECONNECT, "invalid_grant")
    assert not mark(generation=1), "once is enough"
    assert not take(database, made.id, new_id()), "there is nothing to refresh"
    assert connect(alice).id == made.id
    assert now_is() == (ConnectionStatus.ACTIVE, None)
    database.run(connections.begin_disconnect, user_id=alice, connection_id=made.id)
    assert not mark(generation=2)
    assert not take(database, made.id, new_id())


def test_tokens_in_another_row_do_not_open(
    database: Database, alice: str, bob: str, connect: Connect, vault: Vault
) -> None:
    hers, his = connect(alice), connect(bob)
    stolen = stored(database, hers.id).refresh_token_encrypted
    database.run(
        lambda connection: connection.execute(
            update(email_connections)
            .where(email_connections.c.id == his.id)
            .values(refresh_token_encrypted=stolen)
        )
    )
    with pytest.raises(VaultError):
        stored(database, his.id).refresh_token(vault)
    assert stored(database, his.id).access_token(vault) is not None
