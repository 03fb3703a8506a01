"""What a template's fields say of the people whom a follow-up goes to, and of its day."""

from collections.abc import Sequence
from datetime import date, datetime

from replysequence.domain.address import Address

MOST_NAMES = 3
"""Who writes to more people greets nobody by name."""

_PRIVATE = frozenset(
    {
        "aol.com",
        "gmail.com",
        "gmx.de",
        "gmx.net",
        "googlemail.com",
        "hotmail.com",
        "icloud.com",
        "live.com",
        "mac.com",
        "me.com",
        "msn.com",
        "outlook.com",
        "proton.me",
        "protonmail.com",
        "web.de",
        "yahoo.com",
    }
)
"""Domains that say nothing about where somebody works."""
_BELOW_A_COUNTRY = frozenset({"ac", "co", "com", "edu", "gov", "net", "org"})
_TITLES = frozenset({"dr", "dr.", "mr", "mr.", "mrs", "mrs.", "ms", "ms.", "prof", "prof."})


def first_names(people: Sequence[Address]) -> str:
    """``Maya``, ``Maya and Tomás``; empty when a name is not known, or there are too many."""
    names = [_first(person.name) for person in people]
    if not names or not all(names) or len(names) > MOST_NAMES:
        return ""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def company_of(people: Sequence[Address], *, own: str) -> str:
    """The company of ``people``, by the domain that all of them share, leaving out colleagues of ``own``; empty when
    there is no such domain.
    """
    ours = own.rpartition("@")[2].lower()
    domains = {person.domain.lower() for person in people} - {ours}
    if len(domains) != 1 or domains & _PRIVATE:
        return ""
    labels = domains.pop().split(".")
    at = -3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _BELOW_A_COUNTRY else -2
    name = labels[at]
    return "" if name.startswith("xn--") else " ".join(part.capitalize() for part in name.split("-"))


def day_of(local: datetime, *, today: date) -> str:
    """``Monday 23 November``, with the year when that is not this one."""
    year = "" if local.year == today.year else f" {local.year}"
    return f"{local:%A} {local.day} {local:%B}{year}"


def _first(name: str) -> str:
    """The first name in a display name, also in one like ``Lindqvist, Maya``; empty when there is none."""
    last, comma, first = name.partition(",")
    words = [
        word for word in (first if comma and first.strip() else last).split() if word.lower() not in _TITLES
    ]
    return words[0] if words and words[0][0].isalpha() and "@" not in words[0] else ""
