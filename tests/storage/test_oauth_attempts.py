"""OAuth attempts: once, in time, and by who began them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Connection, update

from replysequence.domain.errors import VaultError
from replysequence.domain.secret import Secret
from replysequence.storage import oauth_attempts, webhook_deliveries
from replysequence.storage import tables as t
from replysequence.storage.database import Database
from replysequence.storage.oauth_attempts import OAuthAttempt
from replysequence.storage.vault import Vault
from storage.test_people import digest, move_back

Consume = Callable[..., OAuthAttempt | None]


@pytest.fixture
def consume(database: Database, vault: Vault, alice: str) -> Consume:
    """Alice has begun to connect Gmail in one of her browsers; this comes back."""
    database.run(
        oauth_attempts.begin,
        vault=vault,
        user_id=alice,
        state_hash=digest("state"),
        session_hash=digest("session"),
        provider="gmail",
        connection_id=None,
        code_verifier=Secret("verifier"),
        nonce=Secret("nonce"),
        redirect_uri="https://app.example/api/auth/gmail/callback",
    )

    def come_back(
        *, user_id: str = alice, session: str = "session", provider: str = "gmail", state: str = "state"
    ) -> OAuthAttempt | None:
        return database.run(
            oauth_attempts.consume,
            vault=vault,
            user_id=user_id,
            session_hash=digest(session),
            provider=provider,
            state_hash=digest(state),
        )

    return come_back


def test_an_attempt_brings_back_what_was_put_in(consume: Consume, alice: str) -> None:
    attempt = consume()
    assert attempt is not None
    assert (attempt.user_id, attempt.provider, attempt.expired) == (alice, "gmail", False)
    assert (attempt.code_verifier.reveal(), attempt.nonce.reveal()) == ("verifier", "nonce")
    assert attempt.redirect_uri == "https://app.example/api/auth/gmail/callback"
    assert "verifier" not in repr(attempt).replace("code_verifier", "")


def test_of_fifty_who_come_back_with_one_state_one_wins(consume: Consume) -> None:
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda _: consume(), range(50)))
    assert sum(answer is not None for answer in answers) == 1


def test_an_attempt_is_of_one_person_one_browser_and_one_provider(
    consume: Consume, database: Database, charlie: str
) -> None:
    wrong = (
        partial(consume, user_id=charlie),
        partial(consume, session="another browser"),
        partial(consume, provider="outlook"),
        partial(consume, state="guess"),
    )
    assert [come_back() for come_back in wrong] == [None] * 4
    assert database.run(oauth_attempts.belongs_elsewhere, state_hash=digest("state"))
    assert not database.run(oauth_attempts.belongs_elsewhere, state_hash=digest("guess"))
    assert consume() is not None, "others cannot use it up"
    assert not database.run(oauth_attempts.belongs_elsewhere, state_hash=digest("state"))


def test_an_attempt_that_comes_back_too_late_says_so(consume: Consume, database: Database) -> None:
    move_back(database, t.oauth_attempts, "expires_at", oauth_attempts.LIFETIME)
    late = consume()
    assert late is not None
    assert late.expired


def test_what_nobody_came_back_for_is_forgotten(consume: Consume, database: Database) -> None:
    assert database.run(oauth_attempts.forget_expired) == 0
    move_back(database, t.oauth_attempts, "expires_at", oauth_attempts.LIFETIME)
    assert database.run(oauth_attempts.forget_expired) == 1
    assert consume() is None


def test_a_verifier_from_another_place_does_not_open(consume: Consume, database: Database) -> None:
    database.run(
        lambda connection: connection.execute(
            update(t.oauth_attempts).values(code_verifier_encrypted=t.oauth_attempts.c.nonce_encrypted)
        )
    )
    with pytest.raises(VaultError):
        consume()


def test_a_webhook_message_is_first_once_and_again_after_a_failure(database: Database) -> None:
    def act_and_fail(connection: Connection) -> None:
        assert webhook_deliveries.is_first(connection, delivery_id="msg_1")
        raise KeyError

    with pytest.raises(KeyError):
        database.run(act_and_fail)
    with ThreadPoolExecutor(8) as threads:
        firsts = list(
            threads.map(lambda _: database.run(webhook_deliveries.is_first, delivery_id="msg_1"), range(16))
        )
    assert firsts.count(True) == 1
    move_back(database, t.webhook_deliveries, "received_at", webhook_deliveries.KEPT)
    assert database.run(webhook_deliveries.forget_old) == 1
