"""The vault: what goes in comes out in its own place only, and everything else is an error."""

import base64
import itertools
import json
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from secrets import token_bytes

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, update

from replysequence.domain.errors import VaultError, VaultKeyMissing, VaultKeyWrong
from replysequence.domain.secret import Secret
from replysequence.storage.database import Database
from replysequence.storage.keys import Key
from replysequence.storage.tables import email_connections, metadata, vault_keys
from replysequence.storage.vault import MAX_LENGTH, Cell, Vault, is_empty, key_ids_in_use, secret_columns
from storage.conftest import Connect

CELL = Cell("email_connections", "access_token_encrypted", "row-1", "alice", "gmail")
KEY = Key("k1", bytes(range(32)))
VAULT = Vault([KEY])

BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def refused(text: str, *, cell: Cell = CELL, vault: Vault = VAULT) -> bool:
    try:
        vault.open(text, cell=cell)
    except VaultError:
        return True
    return False


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300))
def test_what_is_sealed_opens_in_its_own_cell(word: str) -> None:
    assert VAULT.open(VAULT.seal(Secret(word), cell=CELL), cell=CELL).reveal() == word


def test_the_format_is_what_the_design_says() -> None:
    """Opened by hand, with nothing of ours but the key."""
    text = VAULT.seal(Secret("token"), cell=CELL)
    version, key_id, sealed = text.split(".")
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    parts = ["ev1", "k1", "email_connections", "access_token_encrypted", "row-1", "alice", "gmail"]
    bound = b"".join(len(part).to_bytes(4, "big") + part.encode() for part in parts)
    assert (version, key_id) == ("ev1", "k1")
    assert AESGCM(KEY.value).decrypt(raw[:12], raw[12:], bound) == b"token"
    assert len(raw) == 12 + len("token") + 16


def test_every_seal_has_a_nonce_of_its_own() -> None:
    texts = {VAULT.seal(Secret("token"), cell=CELL) for _ in range(5_000)}
    assert len({text.split(".")[2][:16] for text in texts}) == 5_000


def test_a_text_opens_in_no_other_cell() -> None:
    """The full matrix of cells that differ in table, column, row, user or provider, or slide between two parts."""
    cells = [CELL, *(replace(CELL, **{part.name: "other"}) for part in fields(CELL))]
    cells += [
        replace(CELL, row_id="row-1a", user_id="lice"),
        replace(CELL, user_id="alicegmail", provider=""),
    ]
    texts = [VAULT.seal(Secret(f"token {number}"), cell=cell) for number, cell in enumerate(cells)]
    for (number, text), (place, cell) in itertools.product(enumerate(texts), enumerate(cells)):
        assert refused(text, cell=cell) == (number != place)


def test_no_flipped_bit_is_accepted() -> None:
    version, key_id, sealed = VAULT.seal(Secret("a token of usual length" * 3), cell=CELL).split(".")
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        encoded = base64.urlsafe_b64encode(flipped).decode().rstrip("=")
        assert refused(f"{version}.{key_id}.{encoded}"), bit


def test_no_changed_character_is_accepted() -> None:
    """Also none that only changes bits which base64 throws away: there is one spelling of each cell."""
    text = VAULT.seal(Secret("to"), cell=CELL)
    for place in range(len(text)):
        for character in BASE64URL + ".=+/ \n":
            if character != text[place]:
                assert refused(text[:place] + character + text[place + 1 :]), (place, character)


def test_no_beginning_and_no_end_of_a_text_is_accepted() -> None:
    text = VAULT.seal(Secret("token"), cell=CELL)
    assert all(refused(text[:length]) for length in range(len(text)))
    assert all(refused(text[start:]) for start in range(1, len(text)))
    assert refused(text + "A")
    assert refused(text + "\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a token in clear",
        "ya29.a0AfH6SMBx.abc",
        "ev0.k1.AAAA",
        "ev2.k1.AAAA",
        "EV1.k1.AAAA",
        "ev1",
        "ev1..",
        "ev1.k1.",
        "ev1.k1.%%%%",
        "ev1.k1.AAAA",
        f"ev1.k1.{'A' * 38}",
        f"ev1.k1.{'A' * MAX_LENGTH}",
        f"ev1.{'k' * 33}.{'A' * 60}",
        f"ev1.k9.{'A' * 60}",
        f"ev1.k1.{'A' * 60}\x00",
        f"ev1.k1.{'Ａ' * 60}",
        "null",
        "{}",
    ],
)
def test_what_does_not_parse_is_an_error_and_never_cleartext(text: str) -> None:
    assert refused(text)


def test_a_secret_that_is_far_too_long_is_refused_before_it_is_lost() -> None:
    with pytest.raises(VaultError):
        VAULT.seal(Secret("x" * MAX_LENGTH), cell=CELL)


def test_the_first_key_writes_and_all_of_them_read() -> None:
    old, new = Key("old", token_bytes(32)), Key("new", token_bytes(32))
    text = Vault([old]).seal(Secret("token"), cell=CELL)
    both = Vault([new, old])
    assert both.open(text, cell=CELL).reveal() == "token"
    assert both.seal(Secret("token"), cell=CELL).startswith("ev1.new.")
    assert refused(text, vault=Vault([new]))
    assert refused(text, vault=Vault([Key("old", token_bytes(32))]))


def test_no_text_form_shows_a_key_a_secret_or_what_is_sealed() -> None:
    canary = "c4n4ry-token"
    text = VAULT.seal(Secret(canary), cell=CELL)
    shown = [repr(KEY), str(KEY), repr(VAULT), str(VAULT), repr(VAULT.__dict__), text]
    for forms in (Secret(canary), VAULT.open(text, cell=CELL)):
        shown += [repr(forms), str(forms), f"{forms}", f"{forms!r:>40}", "%s" % forms]  # noqa: UP031
    for cell in (CELL, replace(CELL, row_id="row-2")):
        try:
            VAULT.open(text[:-2], cell=cell)
        except VaultError as error:
            shown += [repr(error), str(error), json.dumps(error.details)]
    assert all(canary not in form for form in shown)
    assert all(repr(KEY.value)[2:-1] not in form and KEY.value.hex() not in form for form in shown)
    with pytest.raises(TypeError):
        pickle.dumps(Secret(canary))


def test_every_table_with_a_secret_says_whose_row_it_is() -> None:
    assert {f"{column.table.name}.{column.name}" for column in secret_columns()} == {
        "email_connections.access_token_encrypted",
        "email_connections.refresh_token_encrypted",
        "oauth_attempts.code_verifier_encrypted",
        "oauth_attempts.nonce_encrypted",
        "platform_connections.access_token_encrypted",
        "platform_connections.refresh_token_encrypted",
    }
    for column in secret_columns():
        assert {"id", "user_id", "provider"} <= set(column.table.columns.keys())


def test_every_column_that_is_called_encrypted_is_tagged_as_secret() -> None:
    named = {
        column for table in metadata.sorted_tables for column in table.columns if "encrypted" in column.name
    }
    assert named == set(secret_columns())


def test_a_fresh_database_is_empty_until_a_vault_has_looked_at_it(database: Database, vault: Vault) -> None:
    assert database.run(is_empty)
    database.run(vault.check)
    assert not database.run(is_empty)
    database.run(vault.check)
    assert (
        database.run(lambda connection: connection.execute(select(func.count(vault_keys.c.key_id))).scalar())
        == 1
    )


def content(database: Database) -> list[object]:
    def rows(connection: Connection) -> list[object]:
        return [row for table in metadata.sorted_tables for row in connection.execute(select(table))]

    return database.run(rows)


def test_processes_that_bring_different_keys_of_one_name_cannot_both_start(database: Database) -> None:
    def start(_: int) -> bool:
        try:
            database.run(Vault([Key("k1", token_bytes(32))]).check)
        except VaultKeyWrong:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(start, range(16))).count(True) == 1


def test_a_wrong_key_is_noticed_and_nothing_is_changed(
    database: Database, vault: Vault, alice: str, connect: Connect
) -> None:
    database.run(vault.check)
    connect(alice)
    before = content(database)
    impostor = Vault([Key("first", token_bytes(32))])
    with pytest.raises(VaultKeyWrong, match="first"):
        database.run(impostor.check)
    with pytest.raises(VaultKeyWrong, match="first"):
        database.run(Vault([Key("second", token_bytes(32)), Key("first", token_bytes(32))]).check)
    assert content(database) == before


def test_a_wrong_key_leaves_the_file_as_it_is_to_the_byte(
    database: Database, vault: Vault, alice: str, connect: Connect
) -> None:
    if database.kind != "sqlite":
        return
    database.run(vault.check)
    connect(alice)
    database.close()
    file = Path(database.url.database or "")
    before = file.read_bytes()
    again = Database(database.url)
    with pytest.raises(VaultKeyWrong):
        again.run(Vault([Key("first", token_bytes(32))]).check)
    with pytest.raises(VaultKeyMissing):
        again.run(Vault([Key("second", token_bytes(32))]).check)
    again.close()
    assert file.read_bytes() == before


def test_a_key_that_stored_secrets_need_must_be_there(
    database: Database, vault: Vault, alice: str, connect: Connect
) -> None:
    database.run(vault.check)
    connect(alice)
    with pytest.raises(VaultKeyMissing, match="first") as refused_start:
        database.run(Vault([Key("second", token_bytes(32))]).check)
    assert refused_start.value.details == {"key_ids": ["first"]}


def test_a_key_that_nothing_needs_may_go(database: Database, vault: Vault) -> None:
    database.run(vault.check)
    database.run(Vault([Key("second", token_bytes(32))]).check)


def test_one_broken_cell_does_not_keep_the_program_from_starting(
    database: Database, vault: Vault, alice: str, connect: Connect
) -> None:
    database.run(vault.check)
    connect(alice, "one")
    broken = connect(alice, "two")
    database.run(
        lambda connection: connection.execute(
            update(email_connections)
            .where(email_connections.c.id == broken.id)
            .values(access_token_encrypted="ya29.in-clear")
        )
    )
    database.run(vault.check)
    assert database.run(key_ids_in_use) == {"first"}


def test_no_stored_byte_shows_a_token(database: Database, alice: str, connect: Connect) -> None:
    """Seen as a thief of a backup sees it, in the encodings that somebody may have put in between."""
    word = f"canary{random.Random(7).randrange(10**12)}"
    connect(alice, word)
    forms = [
        f"access {word}",
        base64.b64encode(f"access {word}".encode()).decode(),
        f"access {word}".encode().hex(),
    ]
    seen = repr(content(database))
    assert word in seen, "the address of the account, to know that we look at the right place"
    assert not [form for form in forms if form in seen]
