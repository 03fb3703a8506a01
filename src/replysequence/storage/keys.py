"""The keys of the vault as an operator gives them: in a setting, or in a file that only the program's account
can read.
"""

import base64
import binascii
import os
import re
import secrets
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from replysequence.domain.errors import InvalidInput

KEY_BYTES = 32

_KEY_ID = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the vault: 32 random bytes and the short id that every sealed text names it by."""

    id: str
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _KEY_ID.fullmatch(self.id):
            raise InvalidInput("ENCRYPTION_KEYS", "The id of a key is 1 to 32 letters, digits, - or _.")
        if len(self.value) != KEY_BYTES:
            raise InvalidInput(
                "ENCRYPTION_KEYS",
                f"The key “{self.id}” has {len(self.value)} bytes. It must be {KEY_BYTES} random bytes; "
                "a password will not do.",
            )


def parse_keys(text: str) -> tuple[Key, ...]:
    """Read ``id:base64,id2:base64`` (RFC 4648 §4); the first key writes, all of them read.

    Raises InvalidInput that says which one is wrong, and never shows its value.
    """
    keys = tuple(_parse_key(part.strip(), number) for number, part in enumerate(text.split(","), start=1))
    if len({key.id for key in keys}) < len(keys):
        raise InvalidInput("ENCRYPTION_KEYS", "Two keys have the same id.")
    return keys


def read_key_file(path: Path) -> tuple[Key, ...]:
    """The keys in ``path``. Raises InvalidInput when another account of this machine can read or change it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            raise InvalidInput("ENCRYPTION_KEYS", f"{path} is not a file.")
        if state.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InvalidInput(
                "ENCRYPTION_KEYS",
                f"Others on this machine could read the key file {path}. Run: chmod 600 {path}",
            )
        return parse_keys(file.read().strip())


def create_key_file(path: Path) -> tuple[Key, ...]:
    """Make ``path`` with one new key, for its owner only, and return what it holds.

    When several processes do so at once, one of them makes it and all get its key. It is on disk before this
    returns.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Key(f"k{secrets.token_hex(4)}", secrets.token_bytes(KEY_BYTES))
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(format_keys([key]) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
        _sync_folder(path.parent)
    finally:
        Path(draft).unlink()
    return read_key_file(path)


def format_keys(keys: Sequence[Key]) -> str:
    """The text that :func:`parse_keys` reads. It is a secret."""
    return ",".join(f"{key.id}:{base64.b64encode(key.value).decode('ascii')}" for key in keys)


def _parse_key(text: str, number: int) -> Key:
    key_id, colon, encoded = text.partition(":")
    if not colon:
        raise InvalidInput(
            "ENCRYPTION_KEYS",
            f"Key number {number} has no id. Write each key as id:base64 of {KEY_BYTES} bytes.",
        )
    try:
        value = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("ENCRYPTION_KEYS", f"Key number {number} is not valid base64.") from None
    return Key(key_id, value)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
