"""The vault: AES-256-GCM around every secret that we keep, bound to the place where it is kept.

A sealed text is ``ev1.<key id>.<base64url(nonce | ciphertext | tag)>``, without padding. The authenticated
data names the format, key, table, column, row, user and provider, so that a text opens nowhere but in its own
cell. There is no way past the format: what does not parse is an error, never cleartext.
"""

import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import pybase64
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Column, Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.domain.errors import VaultError, VaultKeyMissing, VaultKeyWrong
from replysequence.domain.secret import Secret
from replysequence.storage.database import now
from replysequence.storage.keys import Key
from replysequence.storage.tables import metadata, vault_keys

FORMAT = "ev1"
NONCE_BYTES = 12
TAG_BYTES = 16
MAX_LENGTH = 32_768
"""Characters of a sealed text. The longest tokens seen are below 10,000."""

_SEALED = re.compile(r"ev1\.([A-Za-z0-9_-]{1,32})\.([A-Za-z0-9_-]+)")
_SEALED_HEAD = re.compile(r"ev1\.([A-Za-z0-9_-]{1,32})\.")
_LENGTH = struct.Struct(">I")
_HEAD = len(FORMAT) + 1 + 32 + 1
_NOTE_KEY = {
    "sqlite": sqlite.insert(vault_keys).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(vault_keys).on_conflict_do_nothing(),
}
_PROOFS = select(vault_keys.c.key_id, vault_keys.c.proof)
_PROOF = "this key sealed the vault"


@dataclass(frozen=True, slots=True)
class Cell:
    """The place of one sealed text. ``row_id`` is the row's id; whose row it is and of which provider are bound too."""

    table: str
    column: str
    row_id: str
    user_id: str
    provider: str


class Vault:
    """Seals with the first key, opens with any. Safe to use from many threads."""

    def __init__(self, keys: Sequence[Key]) -> None:
        if not keys:
            raise ValueError("a vault needs a key")
        self._ciphers = {key.id: AESGCM(key.value) for key in keys}
        self.current_key_id = keys[0].id

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys that it has, the writing one first."""
        return tuple(self._ciphers)

    def seal(self, secret: Secret, *, cell: Cell) -> str:
        """Encrypt ``secret`` for ``cell``, with a fresh nonce each time. Raises VaultError when it is far too long."""
        return self._seal(secret, cell=cell, key_id=self.current_key_id)

    def open(self, text: str, *, cell: Cell) -> Secret:
        """Decrypt what was sealed for ``cell``. Raises VaultError, which does not tell the damaged from the moved."""
        key_id, sealed = _parse(text)
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultError(
                f"A stored secret was sealed with the key “{key_id}”, which is not among the keys given."
            )
        try:
            plain = cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(key_id, cell))
        except InvalidTag:
            raise VaultError(
                "A stored secret cannot be opened: it was damaged, or moved from another place."
            ) from None
        return Secret(plain.decode())

    def check(self, connection: Connection) -> None:
        """Make sure that the keys are the ones which sealed this database, and note the new ones among them.

        Raises as :meth:`prove` does. Then nothing has been changed.
        """
        new = self.prove(connection)
        moment = now(connection)
        for key_id in sorted(new):
            proof = self._seal(Secret(_PROOF), cell=_proof_cell(key_id), key_id=key_id)
            row = {"key_id": key_id, "proof": proof, "created_at": moment}
            connection.execute(_NOTE_KEY[connection.dialect.name], row)
        if new:
            self._check_proofs(connection)  # another process may have been faster, with another key

    def prove(self, connection: Connection) -> set[str]:
        """Make sure that the keys are the ones which sealed this database. Only reads.

        Returns the ids of the keys that it does not know yet. Raises VaultKeyWrong when a key has the id of
        another, VaultKeyMissing when stored secrets need a key that is not there.
        """
        known = self._check_proofs(connection)
        missing = key_ids_in_use(connection) - self._ciphers.keys()
        if missing:
            raise VaultKeyMissing(
                f"This database holds secrets sealed with the key {_quoted(missing)}, which was not given. "
                "Add it to ENCRYPTION_KEYS; the first key there is the one that seals new secrets.",
                details={"key_ids": sorted(missing)},
            )
        return self._ciphers.keys() - known

    def _check_proofs(self, connection: Connection) -> set[str]:
        """Check our keys that this database knows. Returns the ids of all that it knows."""
        proofs = dict(connection.execute(_PROOFS).all())
        for key_id in self._ciphers.keys() & proofs.keys():
            self._check_proof(key_id, proofs[key_id])
        return set(proofs)

    def _check_proof(self, key_id: str, proof: str) -> None:
        try:
            proved = self.open(proof, cell=_proof_cell(key_id)) == Secret(_PROOF)
        except VaultError:
            proved = False
        if not proved:
            raise VaultKeyWrong(
                f"The key “{key_id}” is not the one that sealed this database. "
                "Nothing was changed. Give the right key, or put back the key file that belongs to it.",
                details={"key_id": key_id},
            )

    def _seal(self, secret: Secret, *, cell: Cell, key_id: str) -> str:
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[key_id].encrypt(nonce, secret.reveal().encode(), _bound(key_id, cell))
        text = f"{FORMAT}.{key_id}.{_encode(nonce + sealed)}"
        if len(text) > MAX_LENGTH:
            raise VaultError("A secret is too long to be kept.")
        return text


def secret_columns() -> list[Column[str]]:
    """Every column that holds sealed texts, from the schema. Their tables all have ``id``, ``user_id``,
    ``provider``.
    """
    return [
        column for table in metadata.sorted_tables for column in table.columns if column.info.get("secret")
    ]


def is_empty(connection: Connection) -> bool:
    """Whether nothing was ever sealed in this database."""
    if connection.execute(select(vault_keys.c.key_id).limit(1)).first():
        return False
    return not key_ids_in_use(connection)


def key_ids_in_use(connection: Connection) -> set[str]:
    """The ids of the keys that stored secrets are sealed with."""
    found: set[str] = set()
    for column in secret_columns():
        beginnings = connection.execute(select(func.substr(column, 1, _HEAD)).where(column.is_not(None)))
        found.update(match[1] for text in beginnings.scalars() if (match := _SEALED_HEAD.match(text)))
    return found


def _parse(text: str) -> tuple[str, bytes]:
    match = _SEALED.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None or len(match[2]) % 4 == 1:  # no number of bytes encodes to that length
        raise VaultError("A stored secret has no valid form.")
    sealed = pybase64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
    if len(sealed) <= NONCE_BYTES + TAG_BYTES or _encode(sealed) != match[2]:
        raise VaultError("A stored secret has no valid form.")
    return match[1], sealed


def _encode(sealed: bytes) -> str:
    return pybase64.urlsafe_b64encode(sealed).decode("ascii").rstrip("=")


def _bound(key_id: str, cell: Cell) -> bytes:
    """The authenticated data. Each part carries its length, so that none can slide into its neighbour."""
    words = (FORMAT, key_id, cell.table, cell.column, cell.row_id, cell.user_id, cell.provider)
    parts = [word.encode() for word in words]
    return b"".join([_LENGTH.pack(len(part)) + part for part in parts])


def _proof_cell(key_id: str) -> Cell:
    return Cell(table="vault_keys", column="proof", row_id=key_id, user_id="", provider="")


def _quoted(key_ids: set[str]) -> str:
    return ", ".join(f"“{key_id}”" for key_id in sorted(key_ids))
