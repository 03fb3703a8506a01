"""HubSpot as the sandbox plays it: what holds for the whole vendor, and the portals with their records.

Association type ids: HubSpot's own list in hubspot-api-nodejs (src/enums/AssociationTypes.ts), checked 2026-11-22.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.clock import Clock
from replysequence.sandbox.ledger import Ledger
from replysequence.sandbox.records import AGE_OF_SEEDS, Record, Shelves, change

OBJECT_TYPES: Final = {"0-1": "contacts", "0-2": "companies", "0-3": "deals", "0-49": "emails"}
"""Object types by the id that may stand for their name."""

ASSOCIATION_TYPES: Final = {
    ("emails", "contacts"): 198,
    ("contacts", "emails"): 197,
    ("emails", "companies"): 186,
    ("companies", "emails"): 185,
    ("emails", "deals"): 210,
    ("deals", "emails"): 209,
    ("contacts", "companies"): 279,
    ("companies", "contacts"): 280,
    ("contacts", "deals"): 4,
    ("deals", "contacts"): 3,
    ("companies", "deals"): 342,
    ("deals", "companies"): 341,
}
"""The unlabelled association of each pair of types. Direction matters."""

Key = tuple[str, str]
"""Type and id of a record."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Somebody whom records can belong to. `id` is not the `user_id`."""

    id: str
    user_id: str
    email: str
    first_name: str
    last_name: str


class Window:
    """Counts calls in a rolling period."""

    def __init__(self, period: timedelta) -> None:
        self._period = period
        self._calls: list[datetime] = []

    def admit(self, now: datetime, *, limit: int) -> bool:
        """Count a call at `now` and say whether it is among the `limit` of its period."""
        self._calls = [at for at in self._calls if at > now - self._period]
        if len(self._calls) >= limit:
            return False
        self._calls.append(now)
        return True

    def left(self, *, limit: int) -> int:
        """How many more calls there may be."""
        return max(0, limit - len(self._calls))


class Portal:
    """One HubSpot account: its records, their associations, its owners, and how often it was called."""

    def __init__(self, hub_id: str, *, clock: Clock, ledger: Ledger) -> None:
        self.hub_id = hub_id
        self.name = f"Portal {hub_id}"
        self.domain = f"hub-{hub_id}.example"
        self.owners: list[Owner] = []
        self.calls = Window(timedelta(seconds=10))
        self.searches = Window(timedelta(seconds=1))
        self.records = Shelves(Vendor.HUBSPOT, hub_id, clock=clock, ledger=ledger)
        self._links: dict[tuple[Key, Key], None] = {}
        self._numbers = itertools.count(int(hub_id) * 1000 + 1)

    def next_id(self) -> str:
        """An id that no record of this portal has."""
        return str(next(self._numbers))

    def write(self, kind: str, fields: Mapping[str, Any], *, account: Account) -> Record:
        """Keep a record that `account` asked for; the ledger has it when this returns."""
        return self.records.write(kind, self.next_id(), fields, account=account)

    def keep(self, kind: str, **fields: Any) -> Record:
        """Keep a record that was there from the start."""
        return self.records.keep(kind, self.next_id(), fields, age=AGE_OF_SEEDS)

    def link(self, one: Record, other: Record) -> None:
        """Associate two records, in both directions; again changes nothing."""
        keys = (one.kind, one.id), (other.kind, other.id)
        self._links[keys] = None
        self._links[keys[::-1]] = None

    def unlink(self, one: Record, other: Record) -> None:
        """Take the association of two records away, if there is one."""
        keys = (one.kind, one.id), (other.kind, other.id)
        self._links.pop(keys, None)
        self._links.pop(keys[::-1], None)

    def linked(self, record: Record, kind: str) -> list[Record]:
        """The records of type `kind` that `record` is associated with, oldest association first."""
        found = [
            self.records.find(*other)
            for one, other in list(self._links)
            if one == (record.kind, record.id) and other[0] == kind
        ]
        return [each for each in found if each is not None]

    def contact_of(self, email: str) -> Record | None:
        """The contact with this primary address, whatever its case."""
        wanted = email.casefold()
        for contact in self.records.of("contacts"):
            if str(contact.fields.get("email") or "").casefold() == wanted:
                return contact
        return None

    def contact_with(self, email: str) -> Record | None:
        """The contact that uses this address at all, as its primary one or a further one."""
        wanted = email.casefold()
        for contact in self.records.of("contacts"):
            further = str(contact.fields.get("hs_additional_emails") or "").casefold().split(";")
            if wanted in further:
                return contact
        return self.contact_of(email)

    def owner_of(self, email: str) -> Owner | None:
        """The owner with this address."""
        return next((owner for owner in self.owners if owner.email.casefold() == email.casefold()), None)


class HubSpot:
    """The vendor: limits and switches of all portals, and the portals. Everything may be changed at any time."""

    def __init__(self, *, clock: Clock, ledger: Ledger) -> None:
        self._clock = clock
        self._ledger = ledger
        self._portals: dict[str, Portal] = {}
        self.calls_per_10_seconds = 110
        """Of one portal, search not counted."""
        self.searches_per_second = 5
        """Of one portal."""
        self.oauth_v1_answers = 200
        """404 or 410 when the OAuth v1 endpoints are gone; HubSpot announced that for 2027-02-16."""
        self.revoking_ends_access = False
        """Whether revoking a refresh token ends its access tokens too. HubSpot does not say."""
        self.search_lag_seconds = 0.0
        """How long after it was made a record can be found by search."""

    def __iter__(self) -> Iterator[Portal]:
        return iter(list(self._portals.values()))

    def portal(self, hub_id: str) -> Portal:
        """The portal with this id; an empty one where there was none."""
        if hub_id not in self._portals:
            self._portals[hub_id] = Portal(hub_id, clock=self._clock, ledger=self._ledger)
        return self._portals[hub_id]

    def find(self, hub_id: str) -> Portal | None:
        """The portal with this id, or None."""
        return self._portals.get(hub_id)

    def change(self, changes: Mapping[str, object]) -> None:
        """Set the switches among `changes`. Raises `ValueError` for another name or a wrong type."""
        if changes.get("oauth_v1_answers", 200) not in (200, 404, 410):
            raise ValueError("OAuth v1 answers 200, 404 or 410.")
        change(self, changes, allowed=_SWITCHES)

    def switches(self) -> dict[str, object]:
        """Every switch and its value."""
        return {name: getattr(self, name) for name in _SWITCHES}


_SWITCHES: Final[dict[str, tuple[type, ...]]] = {
    "calls_per_10_seconds": (int,),
    "searches_per_second": (int,),
    "oauth_v1_answers": (int,),
    "revoking_ends_access": (bool,),
    "search_lag_seconds": (int, float),
}
