"""Connections beside mailboxes: kept in a table of their own, for their owner, and renewed as mailboxes are."""

from dataclasses import replace

import pytest

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import NotFound
from replysequence.domain.event import Kind
from replysequence.domain.secret import Secret
from replysequence.storage import connection_tokens, connections, events, platforms
from replysequence.storage.connection_tokens import PLATFORMS, SealedTokens
from replysequence.storage.database import Database
from replysequence.storage.ids import new_id
from replysequence.storage.vault import Vault
from storage.conftest import Connect, account, tokens


def sealed(database: Database, connection_id: str) -> SealedTokens:
    found = database.run(connection_tokens.sealed_tokens, connection_id=connection_id, table=PLATFORMS)
    assert found is not None
    return found


def test_a_platform_is_its_owners_alone_and_no_mailbox(
    database: Database, alice: str, bob: str, connect_platform: Connect
) -> None:
    made = connect_platform(alice)
    assert (made.category, made.status, made.is_default) == ("crm", ConnectionStatus.ACTIVE, False)
    assert made.api_url == "https://work.ledgerly.example"
    assert database.run(platforms.list_for_user, user_id=alice) == [made]
    assert database.run(platforms.list_for_user, user_id=bob) == []
    assert database.run(connections.list_for_user, user_id=alice) == []
    for owner, wanted in ((bob, made.id), (alice, new_id()), (alice, "no id at all")):
        with pytest.raises(NotFound):
            database.run(platforms.get, user_id=owner, connection_id=wanted)
        with pytest.raises(NotFound):
            database.run(platforms.choose, user_id=owner, connection_id=wanted, options={})
        with pytest.raises(NotFound):
            database.run(platforms.begin_disconnect, user_id=owner, connection_id=wanted)
        assert not database.run(platforms.finish_disconnect, user_id=owner, connection_id=wanted)
    assert database.run(platforms.get, user_id=alice, connection_id=made.id) == made


def test_connecting_again_renews_in_place_and_keeps_what_was_chosen(
    database: Database, vault: Vault, alice: str, connect_platform: Connect
) -> None:
    made = connect_platform(alice)
    database.run(platforms.choose, user_id=alice, connection_id=made.id, options={"parts": "subject"})
    moved = replace(tokens("fresh"), api_url="https://moved.ledgerly.example")
    again, known = database.run(
        platforms.connect,
        vault=vault,
        user_id=alice,
        account=account("work", provider="ledgerly"),
        category="crm",
        tokens=moved,
    )
    assert (again.id, known, again.options) == (made.id, True, {"parts": "subject"})
    assert (again.api_url, again.token_generation) == ("https://moved.ledgerly.example", 2)
    assert sealed(database, made.id).access_token(vault) == Secret("access fresh")
    told = database.run(events.list_for_user, user_id=alice)
    assert [event.kind for event in told][:2] == [Kind.CONNECTION_RECONNECTED, Kind.CONNECTION_CONNECTED]


def test_tokens_of_a_platform_are_refreshed_under_a_lease_and_open_in_no_other_row(
    database: Database, vault: Vault, alice: str, connect_platform: Connect
) -> None:
    made, other = connect_platform(alice), connect_platform(alice, "other")
    seen, owner = sealed(database, made.id), new_id()

    def lease(by: str) -> bool:
        return database.run(
            connection_tokens.take_refresh_lease,
            connection_id=made.id,
            generation=1,
            owner=by,
            seconds=60,
            table=PLATFORMS,
        )

    assert lease(owner)
    assert not lease(new_id())
    moved = replace(tokens("second"), api_url="https://moved.ledgerly.example")
    assert database.run(connection_tokens.store_tokens, vault=vault, seen=seen, owner=owner, tokens=moved)
    assert not database.run(connection_tokens.store_tokens, vault=vault, seen=seen, owner=owner, tokens=moved)
    fresh = sealed(database, made.id)
    assert (fresh.generation, fresh.refresh_token(vault)) == (2, Secret("refresh second"))
    now_at = database.run(platforms.get, user_id=alice, connection_id=made.id).api_url
    assert now_at == "https://moved.ledgerly.example"
    stolen = replace(fresh, connection_id=other.id)
    with pytest.raises(Exception, match="cannot be opened"):
        stolen.access_token(vault)
    with pytest.raises(Exception, match="cannot be opened"):
        replace(fresh, table="email_connections").access_token(vault)


def test_a_platform_that_broke_says_so_and_only_once(
    database: Database, alice: str, connect_platform: Connect
) -> None:
    made = connect_platform(alice)

    def mark(generation: int) -> bool:
        return database.run(
            connection_tokens.mark_needs_reconnect,
            connection_id=made.id,
            generation=generation,
            reason="grant_gone",
            problem="Connect it again.",
            table=PLATFORMS,
        )

    assert not mark(7)
    assert mark(1)
    assert not mark(1)
    broken = database.run(platforms.get, user_id=alice, connection_id=made.id)
    assert (broken.status, broken.problem) == (ConnectionStatus.NEEDS_RECONNECT, "Connect it again.")
    assert database.run(platforms.active, category="crm") == []


def test_a_platform_goes_with_its_tokens_once_it_is_being_taken_down(
    database: Database, alice: str, connect_platform: Connect
) -> None:
    made = connect_platform(alice)
    assert not database.run(platforms.finish_disconnect, user_id=alice, connection_id=made.id)
    database.run(platforms.begin_disconnect, user_id=alice, connection_id=made.id)
    assert database.run(connection_tokens.disconnecting, table=PLATFORMS) == [(alice, made.id)]
    assert database.run(platforms.finish_disconnect, user_id=alice, connection_id=made.id)
    assert database.run(platforms.list_for_user, user_id=alice) == []
    assert database.run(connection_tokens.sealed_tokens, connection_id=made.id, table=PLATFORMS) is None
    assert database.run(events.list_for_user, user_id=alice)[0].kind is Kind.CONNECTION_DISCONNECTED


def test_one_account_as_mailbox_and_as_platform_is_shared_until_one_of_them_goes(
    database: Database, alice: str, bob: str, connect: Connect, connect_platform: Connect
) -> None:
    mailbox = connect(alice, "dana", provider="gmail")
    calendar = connect_platform(bob, "dana", provider="gmail", category="calendar")
    assert database.run(connections.is_shared, user_id=alice, connection_id=mailbox.id)
    assert database.run(connections.is_shared, user_id=bob, connection_id=calendar.id)
    with pytest.raises(NotFound):
        database.run(connections.is_shared, user_id=bob, connection_id=mailbox.id)
    database.run(platforms.begin_disconnect, user_id=bob, connection_id=calendar.id)
    assert not database.run(connections.is_shared, user_id=alice, connection_id=mailbox.id)
