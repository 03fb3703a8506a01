"""Connections: one row an account, one default a person, and nothing for anybody else."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.errors import NotFound
from replysequence.domain.event import Kind
from replysequence.storage import connection_tokens, connections, events
from replysequence.storage.connection_tokens import SealedTokens
from replysequence.storage.database import Database
from replysequence.storage.ids import new_id
from replysequence.storage.vault import Vault
from storage.conftest import Connect, account, tokens


def stored(database: Database, connection_id: str) -> SealedTokens:
    found = database.run(connection_tokens.sealed_tokens, connection_id=connection_id)
    assert found is not None
    return found


def default_of(database: Database, user_id: str) -> str | None:
    defaults = [c.id for c in database.run(connections.list_for_user, user_id=user_id) if c.is_default]
    assert len(defaults) <= 1
    return defaults[0] if defaults else None


def disconnect(database: Database, user_id: str, connection_id: str) -> bool:
    database.run(connections.begin_disconnect, user_id=user_id, connection_id=connection_id)
    return database.run(connections.finish_disconnect, user_id=user_id, connection_id=connection_id)


def test_what_was_connected_is_there_with_its_tokens_sealed(
    database: Database, alice: str, connect: Connect, vault: Vault
) -> None:
    made = connect(alice)
    assert made.status is ConnectionStatus.ACTIVE
    assert made.email == "work@gmail.example"
    assert made.scopes == {"openid", "send"}
    assert database.run(connections.list_for_user, user_id=alice) == [made]
    sealed = stored(database, made.id)
    assert (sealed.user_id, sealed.provider, sealed.generation) == (alice, "gmail", 1)
    assert sealed.access_token_encrypted is not None
    assert "access work" not in sealed.access_token_encrypted
    assert "ev1" not in repr(sealed)
    access, refresh = sealed.access_token(vault), sealed.refresh_token(vault)
    assert access is not None
    assert refresh is not None
    assert (access.reveal(), refresh.reveal()) == ("access work", "refresh work")


def test_connecting_an_account_again_repairs_its_row_in_place(
    database: Database, alice: str, connect: Connect, vault: Vault
) -> None:
    first = connect(alice)
    database.run(
        connection_tokens.mark_needs_reconnect,
        connection_id=first.id,
        generation=1,
        reason="invalid_grant",
        problem="Connect again.",
    )
    again, known = database.run(
        connections.connect,
        vault=vault,
        user_id=alice,
        account=account("work"),
        tokens=tokens("new", refresh=False),
    )
    assert known
    assert again.id == first.id
    assert (again.status, again.status_reason, again.problem) == (ConnectionStatus.ACTIVE, None, None)
    assert again.token_generation == 2
    assert again.is_default
    sealed = stored(database, first.id)
    access, refresh = sealed.access_token(vault), sealed.refresh_token(vault)
    assert access is not None
    assert access.reveal() == "access new"
    assert refresh is not None
    assert refresh.reveal() == "refresh work", "an absent refresh token never overwrites a stored one"


def test_the_same_account_of_two_people_is_two_connections(
    database: Database, alice: str, bob: str, connect: Connect
) -> None:
    hers, his = connect(alice, "shared"), connect(bob, "shared")
    assert hers.id != his.id
    assert database.run(connections.is_shared, user_id=alice, connection_id=hers.id)
    database.run(connections.begin_disconnect, user_id=bob, connection_id=his.id)
    assert not database.run(connections.is_shared, user_id=alice, connection_id=hers.id)


def test_the_first_connection_is_the_default_and_the_oldest_active_one_follows_it(
    database: Database, alice: str, connect: Connect
) -> None:
    first, second, third = connect(alice, "one"), connect(alice, "two"), connect(alice, "three")
    assert default_of(database, alice) == first.id
    database.run(
        connection_tokens.mark_needs_reconnect,
        connection_id=second.id,
        generation=1,
        reason="invalid_grant",
        problem="Connect again.",
    )
    assert disconnect(database, alice, first.id)
    assert default_of(database, alice) == third.id
    assert disconnect(database, alice, third.id)
    assert default_of(database, alice) == second.id, "one that needs reconnecting is better than none"
    assert disconnect(database, alice, second.id)
    assert default_of(database, alice) is None


def test_a_connection_that_is_being_taken_down_cannot_be_made_the_default(
    database: Database, alice: str, connect: Connect
) -> None:
    first, second = connect(alice, "one"), connect(alice, "two")
    database.run(connections.begin_disconnect, user_id=alice, connection_id=first.id)
    assert default_of(database, alice) == second.id
    with pytest.raises(NotFound):
        database.run(connections.set_default, user_id=alice, connection_id=first.id)
    assert database.run(connection_tokens.disconnecting) == [(alice, first.id)]


def test_connecting_again_during_a_disconnect_wins(database: Database, alice: str, connect: Connect) -> None:
    first = connect(alice)
    database.run(connections.begin_disconnect, user_id=alice, connection_id=first.id)
    assert connect(alice).id == first.id
    assert not database.run(connections.finish_disconnect, user_id=alice, connection_id=first.id)
    assert default_of(database, alice) == first.id


def test_nothing_of_the_tokens_is_left_after_a_disconnect(
    database: Database, alice: str, connect: Connect
) -> None:
    made = connect(alice)
    assert disconnect(database, alice, made.id)
    assert database.run(connection_tokens.sealed_tokens, connection_id=made.id) is None
    assert not database.run(connections.finish_disconnect, user_id=alice, connection_id=made.id)


def test_each_change_leaves_its_event_and_none_holds_a_token(
    database: Database, alice: str, connect: Connect
) -> None:
    first, second = connect(alice, "one"), connect(alice, "two")
    connect(alice, "one")
    database.run(connections.set_default, user_id=alice, connection_id=second.id)
    disconnect(database, alice, second.id)
    told = database.run(events.list_for_user, user_id=alice)[::-1]
    assert [(event.kind, event.connection_id) for event in told] == [
        (Kind.USER_JOINED, None),
        (Kind.CONNECTION_CONNECTED, first.id),
        (Kind.CONNECTION_DEFAULT_CHANGED, first.id),
        (Kind.CONNECTION_CONNECTED, second.id),
        (Kind.CONNECTION_RECONNECTED, first.id),
        (Kind.CONNECTION_DEFAULT_CHANGED, second.id),
        (Kind.CONNECTION_DEFAULT_CHANGED, first.id),
        (Kind.CONNECTION_DISCONNECTED, second.id),
    ]
    assert "access" not in repr(told)


@pytest.mark.parametrize("name", ["get", "set_default", "begin_disconnect", "is_shared"])
@pytest.mark.parametrize("whose", ["another person's", "nobody's", "no id at all"])
def test_to_everybody_but_the_owner_a_connection_is_not_there(
    name: str, whose: str, *, database: Database, alice: str, charlie: str, connect: Connect
) -> None:
    hers = connect(alice)
    wanted = {"another person's": hers.id, "nobody's": new_id(), "no id at all": "1' OR '1'='1"}[whose]
    with pytest.raises(NotFound):
        database.run(getattr(connections, name), user_id=charlie, connection_id=wanted)
    assert database.run(connections.list_for_user, user_id=charlie) == []
    assert database.run(connections.list_for_user, user_id=alice) == [hers]


def test_a_stranger_cannot_finish_a_disconnect(
    database: Database, alice: str, charlie: str, connect: Connect
) -> None:
    hers = connect(alice)
    database.run(connections.begin_disconnect, user_id=alice, connection_id=hers.id)
    assert not database.run(connections.finish_disconnect, user_id=charlie, connection_id=hers.id)
    assert database.run(connections.list_for_user, user_id=alice) != []


def test_the_database_itself_refuses_a_second_default(
    database: Database, alice: str, connect: Connect
) -> None:
    connect(alice, "one"), connect(alice, "two")
    with pytest.raises(IntegrityError):
        database.run(
            lambda connection: connection.execute(text("UPDATE email_connections SET is_default = true"))
        )


def test_whatever_eight_threads_do_one_usable_connection_is_the_default(
    database: Database, alice: str, connect: Connect
) -> None:
    subjects = ["one", "two", "three", "four"]

    def meddle(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(12):
            subject = chance.choice(subjects)
            mine = {c.subject: c.id for c in database.run(connections.list_for_user, user_id=alice)}
            try:
                if subject not in mine or chance.random() < 0.3:
                    connect(alice, subject)
                elif chance.random() < 0.4:
                    database.run(connections.set_default, user_id=alice, connection_id=mine[subject])
                elif chance.random() < 0.5:
                    database.run(connections.begin_disconnect, user_id=alice, connection_id=mine[subject])
                else:
                    disconnect(database, alice, mine[subject])
            except NotFound:
                pass  # another thread was faster
            seen = database.run(connections.list_for_user, user_id=alice)
            usable = [c for c in seen if c.status is not ConnectionStatus.DISCONNECTING]
            assert sum(c.is_default for c in usable) == bool(usable)
            assert not any(c.is_default for c in seen if c not in usable)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(meddle, range(8)))
