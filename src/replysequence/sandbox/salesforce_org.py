"""Salesforce as the sandbox plays it: the orgs, their switches and their records."""

import itertools
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.clock import Clock
from replysequence.sandbox.ledger import Ledger
from replysequence.sandbox.records import AGE_OF_SEEDS, Record, Shelves, change
from replysequence.sandbox.salesforce_ids import new_id

TASK_STATUSES: Final = (
    ("Not Started", False),
    ("In Progress", False),
    ("Completed", True),
    ("Deferred", False),
)
"""The labels of an org's task statuses, and whether each closes the task. Every org may have others."""


class Org:
    """One Salesforce org. Its switches may be changed at any time."""

    def __init__(self, org_id: str, *, clock: Clock, ledger: Ledger) -> None:
        self.id = org_id
        self.name = f"Org {org_id}"
        self.instance = f"org-{org_id[5:15].lstrip('0').lower() or '0'}"
        """Where the org lives: a path of the sandbox stands for a host of its own."""
        self.instance_url: str | None = None
        """What token answers say instead of the true place, such as the address of somebody else."""
        self.enhanced_email = True
        """Without it there is no EmailMessage."""
        self.rotates_refresh_tokens = False
        self.blocks_duplicates = False
        """Whether a duplicate rule keeps a second contact or lead with the same address out."""
        self.daily_requests = 100_000
        self.records = Shelves(Vendor.SALESFORCE, org_id, clock=clock, ledger=ledger)
        self._clock = clock
        self._used: dict[date, int] = {}
        self._numbers = itertools.count(1001)
        for label, closes in TASK_STATUSES:
            self.keep("TaskStatus", MasterLabel=label, ApiName=label, IsClosed=closes)

    def new_id(self, kind: str) -> str:
        """An id that no record of this org has."""
        return new_id(kind, next(self._numbers))

    def write(self, kind: str, fields: Mapping[str, Any], *, account: Account) -> Record:
        """Keep a record that `account` asked for; the ledger has it when this returns."""
        return self.records.write(kind, self.new_id(kind), fields, account=account)

    def keep(self, kind: str, **fields: Any) -> Record:
        """Keep a record that was there from the start."""
        return self.records.keep(kind, self.new_id(kind), fields, age=AGE_OF_SEEDS)

    def make(self, kind: str, **fields: Any) -> Record:
        """Keep a record that Salesforce makes by itself, now."""
        return self.records.keep(kind, self.new_id(kind), fields)

    def user(self, account: Account) -> Record:
        """The User record of a person, made where there was none."""
        found = self.records.find("User", account.subject)
        if found is not None:
            return found
        fields = {
            "Name": account.name,
            "FirstName": account.given_name,
            "LastName": account.family_name,
            "Email": account.email,
            "Username": account.email,
            "IsActive": True,
        }
        return self.records.keep("User", account.subject, fields, age=AGE_OF_SEEDS)

    def charge(self) -> bool:
        """Count a call, and say whether it is within the org's day."""
        today = self._clock.now().date()
        if self.used_today >= self.daily_requests:
            return False
        self._used[today] = self._used.get(today, 0) + 1
        return True

    @property
    def used_today(self) -> int:
        """The calls since midnight UTC."""
        return self._used.get(self._clock.now().date(), 0)

    def place(self, base_url: str) -> str:
        """The `instance_url` that token answers say, for a sandbox that is reached at `base_url`."""
        return self.instance_url or f"{base_url}/salesforce/{self.instance}"

    def change(self, changes: Mapping[str, object]) -> None:
        """Set the switches among `changes`. Raises `ValueError` for another name or a wrong type."""
        change(self, changes, allowed=_SWITCHES)

    def switches(self) -> dict[str, object]:
        """Every switch and its value."""
        return {name: getattr(self, name) for name in _SWITCHES}


_SWITCHES: Final[dict[str, tuple[type, ...]]] = {
    "instance": (str,),
    "instance_url": (str, type(None)),
    "enhanced_email": (bool,),
    "rotates_refresh_tokens": (bool,),
    "blocks_duplicates": (bool,),
    "daily_requests": (int,),
}


class Salesforce:
    """The orgs, by id."""

    def __init__(self, *, clock: Clock, ledger: Ledger) -> None:
        self._clock = clock
        self._ledger = ledger
        self._orgs: dict[str, Org] = {}

    def __iter__(self) -> Iterator[Org]:
        return iter(list(self._orgs.values()))

    def org(self, org_id: str) -> Org:
        """The org with this id; an empty one where there was none."""
        if org_id not in self._orgs:
            self._orgs[org_id] = Org(org_id, clock=self._clock, ledger=self._ledger)
        return self._orgs[org_id]

    def find(self, org_id: str) -> Org | None:
        """The org with this id, or None."""
        return self._orgs.get(org_id)

    def at(self, instance: str) -> Org | None:
        """The org that lives there, or None."""
        return next((org for org in self if org.instance == instance), None)
