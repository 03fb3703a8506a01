"""Ids of Salesforce: 15 characters that tell capitals apart, and three more that say where the capitals are.

Source: Salesforce's object reference, "ID Field Type", checked 2026-11-22.
"""

import re
import string
from typing import Final

PREFIXES: Final = {
    "003": "Contact",
    "00Q": "Lead",
    "005": "User",
    "001": "Account",
    "006": "Opportunity",
    "00K": "OpportunityContactRole",
    "00T": "Task",
    "02s": "EmailMessage",
    "0CZ": "EmailMessageRelation",
    "01J": "TaskStatus",
}
"""The type of a record by the first three characters of its id."""

_PREFIX_OF: Final = {kind: prefix for prefix, kind in PREFIXES.items()}
_CHECK: Final = string.ascii_uppercase + "012345"
_ID: Final = re.compile("[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?")


def new_id(kind: str, number: int) -> str:
    """The 18-character id of record `number` of a type."""
    return full(f"{_PREFIX_OF[kind]}gL{number:010d}")


def full(short: str) -> str:
    """The 18 characters of a 15-character id."""
    bits = [[letter.isupper() for letter in short[at : at + 5]] for at in (0, 5, 10)]
    return short + "".join(_CHECK[sum(bit << place for place, bit in enumerate(each))] for each in bits)


def read_id(text: str) -> str | None:
    """The 18-character form of an id in either form; None for what is none."""
    if not _ID.fullmatch(text):
        return None
    return text if len(text) == 18 and full(text[:15]) == text else full(text) if len(text) == 15 else None


def type_of(record_id: str) -> str:
    """The type of the record with this id; empty for a prefix that is not known here."""
    return PREFIXES.get(record_id[:3], "")
