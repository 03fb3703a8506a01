"""Rotation: every secret moves to the new key, none is lost, whatever else goes on."""

from concurrent.futures import ThreadPoolExecutor
from secrets import token_bytes
from threading import Event

import pytest
from sqlalchemy import update

from replysequence.domain.secret import Secret
from replysequence.storage import connection_tokens, oauth_attempts, rotation
from replysequence.storage.database import Database
from replysequence.storage.ids import new_id
from replysequence.storage.keys import Key
from replysequence.storage.rotation import RotationReport, rotate
from replysequence.storage.tables import email_connections
from replysequence.storage.vault import Vault, key_ids_in_use
from storage.conftest import Connect, tokens
from storage.test_connections import stored
from storage.test_people import digest

OLD, NEW = Key("old", token_bytes(32)), Key("new", token_bytes(32))
BOTH = Vault([NEW, OLD])


@pytest.fixture
def vault() -> Vault:
    """What the connections of these tests are made with."""
    return Vault([OLD])


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "BATCH", 4)


def counts(report: RotationReport) -> dict[str, tuple[int, int, int, int]]:
    return {
        f"{part.table}.{part.column}": (part.done, part.skipped, len(part.failed), part.remaining)
        for part in report.columns
    }


def test_every_column_moves_to_the_new_key_and_the_old_one_is_needed_no_longer(
    database: Database, vault: Vault, alice: str, connect: Connect, connect_platform: Connect
) -> None:
    database.run(vault.check)
    made = [connect(alice, f"account{number}") for number in range(10)]
    for number in range(2):
        connect_platform(alice, f"platform{number}")
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
        redirect_uri="-",
    )
    report = rotate(database, vault=BOTH)
    assert report.complete
    assert counts(report) == {
        "email_connections.access_token_encrypted": (10, 0, 0, 0),
        "email_connections.refresh_token_encrypted": (10, 0, 0, 0),
        "oauth_attempts.code_verifier_encrypted": (1, 0, 0, 0),
        "oauth_attempts.nonce_encrypted": (1, 0, 0, 0),
        "platform_connections.access_token_encrypted": (2, 0, 0, 0),
        "platform_connections.refresh_token_encrypted": (2, 0, 0, 0),
    }
    assert database.run(key_ids_in_use) == {"new"}
    only_new = Vault([NEW])
    database.run(only_new.check)
    for number, connection in enumerate(made):
        access = stored(database, connection.id).access_token(only_new)
        assert access is not None
        assert access.reveal() == f"access account{number}"
    assert all(done == 0 for done, *_ in counts(rotate(database, vault=BOTH)).values()), (
        "nothing is left to do"
    )


def test_what_cannot_be_opened_is_left_as_it_is_and_named(
    database: Database, vault: Vault, alice: str, connect: Connect
) -> None:
    made = [connect(alice, f"account{number}") for number in range(6)]
    broken = made[2].id
    database.run(
        lambda connection: connection.execute(
            update(email_connections)
            .where(email_connections.c.id == broken)
            .values(refresh_token_encrypted="ev1.old.broken")
        )
    )
    report = rotate(database, vault=BOTH)
    assert not report.complete
    assert counts(report)["email_connections.refresh_token_encrypted"] == (5, 0, 1, 1)
    assert next(part.failed for part in report.columns if part.failed) == (broken,)
    assert stored(database, broken).refresh_token_encrypted == "ev1.old.broken"
    assert counts(rotate(database, vault=BOTH))["email_connections.refresh_token_encrypted"] == (0, 0, 1, 1)


def test_a_rotation_that_was_stopped_goes_on_where_it_was(
    database: Database, vault: Vault, alice: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        connect(alice, f"account{number}")
    seals = iter(range(9))
    seal = Vault.seal

    def stop_at_the_tenth(self: Vault, secret: Secret, *, cell) -> str:  # type: ignore[no-untyped-def]
        if self is BOTH and next(seals, None) is None:
            raise KeyboardInterrupt
        return seal(self, secret, cell=cell)

    monkeypatch.setattr(Vault, "seal", stop_at_the_tenth)
    with pytest.raises(KeyboardInterrupt):
        rotate(database, vault=BOTH)
    monkeypatch.setattr(Vault, "seal", seal)
    assert database.run(key_ids_in_use) == {"old", "new"}
    report = rotate(database, vault=BOTH)
    assert report.complete
    assert counts(report)["email_connections.access_token_encrypted"] == (4, 0, 0, 0), "two batches were kept"


def test_rotations_at_once_and_refreshes_between_them_lose_no_token(
    database: Database, vault: Vault, alice: str, connect: Connect
) -> None:
    made = [connect(alice, f"account{number}").id for number in range(12)]
    done = Event()

    def refresh(place: int) -> dict[str, str]:
        """Another process, which still writes with the old key, refreshes one connection after the other."""
        last: dict[str, str] = {}
        for number in range(60):
            connection_id = made[(number * 3 + place) % 12]
            owner = new_id()
            seen = stored(database, connection_id)
            word = f"{place}-{number}"
            taken = database.run(
                connection_tokens.take_refresh_lease,
                connection_id=connection_id,
                generation=seen.generation,
                owner=owner,
                seconds=60,
            )
            assert taken
            assert database.run(
                connection_tokens.store_tokens, vault=vault, seen=seen, owner=owner, tokens=tokens(word)
            )
            last[connection_id] = word
        return last

    def keep_rotating() -> None:
        while not done.is_set():
            rotate(database, vault=BOTH)

    with ThreadPoolExecutor(5) as threads:
        rotating = [threads.submit(keep_rotating) for _ in range(2)]
        refreshed = list(threads.map(refresh, range(3)))
        done.set()
        for run in rotating:
            run.result()
    assert rotate(database, vault=BOTH).complete
    expected = {connection_id: word for last in refreshed for connection_id, word in last.items()}
    assert len(expected) == 12
    for connection_id, word in expected.items():
        sealed = stored(database, connection_id)
        access, refresh_token = sealed.access_token(Vault([NEW])), sealed.refresh_token(Vault([NEW]))
        assert access is not None
        assert refresh_token is not None
        assert (access.reveal(), refresh_token.reveal()) == (f"access {word}", f"refresh {word}")
