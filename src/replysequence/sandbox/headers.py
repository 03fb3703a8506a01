"""Work on the header section of an RFC 5322 message, byte for byte; the body is never touched."""

import re
from collections.abc import Collection, Mapping
from email.errors import MessageError
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.utils import getaddresses

_FIELD = re.compile(rb"[!-9;-~]+:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n?")

_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+")


def split(raw: bytes) -> tuple[list[bytes], bytes]:
    """The header fields of `raw`, each with its continuation lines, and all that follows them."""
    fields: list[bytes] = []
    at = 0
    while found := _FIELD.match(raw, at):
        fields.append(found.group())
        at = found.end()
    return fields, raw[at:]


def header_values(raw: bytes, name: str) -> list[str]:
    """Every value of the header `name`, unfolded, encoded words decoded; empty without such a header."""
    return [_decode(value) for value in _unfolded(raw, name)]


def people(raw: bytes, name: str) -> list[tuple[str, str]]:
    """Display name and address of everybody in the address headers `name`; a group's own name is left out."""
    found = getaddresses(_unfolded(raw, name))
    return [(_decode(shown), address) for shown, address in found if shown or address]


def is_address(text: str) -> bool:
    """Whether `text` is one bare `local@domain` that can stand in a header."""
    if not _ADDRESS.fullmatch(text):
        return False
    try:
        Address(addr_spec=text)
    except (ValueError, MessageError):
        return False
    return True


def rewrite(raw: bytes, *, drop: Collection[str], first: Mapping[str, str]) -> bytes:
    """`raw` without the headers named in `drop`, and with those of `first` on top."""
    dropped = {name.lower().encode() for name in drop}
    fields, rest = split(raw)
    top = b"".join(f"{name}: {value}\r\n".encode() for name, value in first.items())
    return top + b"".join(field for field in fields if _name(field) not in dropped) + rest


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].lower()


def _unfolded(raw: bytes, name: str) -> list[str]:
    wanted = name.lower().encode()
    values = (field.partition(b":")[2] for field in split(raw)[0] if _name(field) == wanted)
    return [re.sub(rb"\r?\n(?=[ \t])", b"", value).strip().decode("utf-8", "replace") for value in values]


def _decode(text: str) -> str:
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, UnicodeDecodeError):
        return text
