"""Email addresses: what one is, and how to read what a person typed.

Only forms that every mail system of today takes are let in: a dot-atom before the @ and a host name after it
(RFC 5321 §4.1.2 without quoted local parts and address literals). A domain in another script is kept as its
A-label; a local part in another script has no ASCII form and needs SMTPUTF8 on every hop, so it is refused
(RFC 6531, checked 2026-11-22).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from replysequence.domain.characters import misleading, shortened, unprintable
from replysequence.domain.errors import InvalidInput

MAX_NAME = 128
MAX_EMAIL = 254  # RFC 5321 §4.5.3.1.3: a path of 256 with its angle brackets
MAX_LOCAL_PART = 64
MAX_TYPED = 100_000

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SEPARATOR_OR_BRACKET = re.compile(r'\\.|[",;<>\r\n]', re.DOTALL)
# IDNA 2003 turns these into other letters, IDNA 2008 keeps them: the same text would name two domains.
_DEVIATIONS = frozenset("ßς\u200c\u200d")


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox as a header names it: display name (may be empty) and ASCII addr-spec (domain as A-label).

    Build one from text with `parse_address`; one that was built by hand is judged by `address_faults`.
    """

    name: str
    email: str

    @property
    def domain(self) -> str:
        """What stands after the @."""
        return self.email.rpartition("@")[2]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email


def ascii_domain(domain: str) -> str:
    """A domain as A-labels, by the standard library (IDNA 2003, Unicode 3.2).

    The four characters that IDNA 2008 reads differently (ß, ς and the zero-width joiners) raise ValueError,
    so a message never goes to a neighbouring domain. A caller with an IDNA 2008 library passes its function
    instead.
    """
    if _DEVIATIONS.intersection(domain):
        raise ValueError("write this domain in its xn-- form")
    return domain.encode("idna").decode("ascii")


def parse_address(
    text: str, *, field: str = "to", to_ascii_domain: Callable[[str], str] = ascii_domain
) -> Address:
    """Read one address: `a@b.example`, `Name <a@b.example>` or `"Name, quoted" <a@b.example>`.

    Runs of white space in the name become one space, the domain becomes lower case.
    Raises InvalidInput naming `field` and saying what is wrong.
    """
    if len(text) > MAX_EMAIL + 2 * MAX_NAME + 8:
        raise InvalidInput(field, f"“{shortened(text)}” is too long for an address.")
    typed = text.strip()
    character = unprintable(typed) or misleading(typed)
    if character:
        raise InvalidInput(field, f"“{shortened(typed)}” holds {character}. Remove it.")
    name, email = _split_name(typed)
    if any(mark in name for mark in ",;") and "@" in name and not name.startswith('"'):
        raise InvalidInput(field, f"“{shortened(typed)}” looks like several addresses. Give them one by one.")
    address = Address(_display_name(name), _ascii_email(email, field=field, to_ascii_domain=to_ascii_domain))
    for fault in address_faults(address):
        raise InvalidInput(field, fault)
    return address


def parse_addresses(
    typed: str | Iterable[str], *, field: str = "to", to_ascii_domain: Callable[[str], str] = ascii_domain
) -> tuple[Address, ...]:
    """Read any number of addresses: one text each, or one text with commas, semicolons or line breaks
    between.

    A comma inside quotation marks belongs to the name. Raises InvalidInput for the first that is wrong.
    """
    if isinstance(typed, str) and len(typed) > MAX_TYPED:
        raise InvalidInput(field, "This list of addresses is too long.")
    texts = _split_list(typed) if isinstance(typed, str) else typed
    return tuple(parse_address(text, field=field, to_ascii_domain=to_ascii_domain) for text in texts)


def address_faults(address: Address) -> Iterator[str]:
    """Say in sentences everything that keeps `address` out of a header; nothing when it is fine."""
    fault = email_fault(address.email)
    if fault:
        yield fault
    if len(address.name) > MAX_NAME:
        yield f"The name “{shortened(address.name)}” is longer than {MAX_NAME} characters. Shorten it."
        return
    character = unprintable(address.name) or misleading(address.name)
    if character:
        yield f"The name “{shortened(address.name)}” holds {character}. Remove it."


def email_fault(email: str) -> str | None:
    """Say why `email` is no address that mail can be sent to, or None when it is one."""
    shown = shortened(email)
    if len(email) > MAX_EMAIL:
        return f"“{shown}” is longer than the {MAX_EMAIL} characters that an email address may have."
    local, at, domain = email.rpartition("@")
    if not (at and local and domain):
        return f"“{shown}” is not an email address. One has an @ and a domain, as in alice@example.com."
    if not local.isascii():
        return (
            f"“{shown}” has letters before the @ that many mail systems cannot deliver to. "
            "Ask for an address with plain Latin letters there."
        )
    if len(local) > MAX_LOCAL_PART or not _LOCAL_PART.fullmatch(local) or "=?" in local:
        return f"“{shown}” is not an email address: what stands before the @ is not valid."
    if not is_host_name(domain):
        return f"“{shown}” is not an email address: “{shortened(domain)}” is not a domain."
    return None


def is_host_name(domain: str) -> bool:
    """Whether `domain` is an ASCII host name of at least two labels (RFC 1123 §2.1) and no IP address."""
    labels = domain.split(".")
    return (
        len(domain) <= 253
        and len(labels) >= 2
        and not labels[-1].isdigit()
        and all(_LABEL.fullmatch(label) for label in labels)
    )


def _split_name(typed: str) -> tuple[str, str]:
    if not typed.endswith(">"):
        return "", typed
    name, _, email = typed[:-1].rpartition("<")
    return name.strip(), email.strip()


def _display_name(name: str) -> str:
    if _QUOTED.fullmatch(name):
        name = re.sub(r"\\(.)", r"\1", name[1:-1], flags=re.DOTALL)
    return " ".join(name.split())


def _ascii_email(email: str, *, field: str, to_ascii_domain: Callable[[str], str]) -> str:
    local, at, domain = email.rpartition("@")
    if not at or domain.isascii():
        return f"{local}{at}{domain.lower()}" if at else email
    try:
        return f"{local}{at}{to_ascii_domain(domain).lower()}"
    except ValueError as error:
        fault = f"“{shortened(email)}” has a domain that cannot be used: {error}."
        raise InvalidInput(field, fault) from None


def _split_list(text: str) -> list[str]:
    """Cut at commas, semicolons and line breaks that stand outside quotation marks and angle brackets."""
    pieces: list[str] = []
    start = 0
    quoted = bracketed = False
    for mark in _SEPARATOR_OR_BRACKET.finditer(text):
        if mark[0] == '"' and not bracketed:
            quoted = not quoted
        elif quoted:
            continue
        elif mark[0] in "<>":
            bracketed = mark[0] == "<"
        elif not bracketed and mark[0] in ",;\r\n":
            pieces.append(text[start : mark.start()])
            start = mark.end()
    pieces.append(text[start:])
    return [piece for piece in pieces if piece.strip()]
