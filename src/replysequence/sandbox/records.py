"""What the CRMs of the sandbox have in common: records, what a person reads about them, switches that are changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.clock import Clock
from replysequence.sandbox.ledger import Ledger, Logged

NO_TIME: Final = timedelta()
AGE_OF_SEEDS: Final = timedelta(days=90)
"""How long what lies in a CRM from the start has been there."""


@dataclass(kw_only=True)
class Record:
    """One record of a CRM. `kind` is the CRM's own name for its type; `by` whoever made it, by address.

    `by` is empty for what was there from the start, or was made by the CRM itself.
    """

    id: str
    kind: str
    fields: dict[str, Any]
    by: str
    created_at: datetime
    updated_at: datetime
    deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class Place:
    """A record on whose page something shows: what it is, its name, and where its page is."""

    kind: str
    name: str
    href: str


@dataclass(frozen=True, kw_only=True)
class Activity:
    """One line of a timeline. `places` are the records that it lies on, `details` pairs of label and value."""

    at: datetime
    by: str
    kind: str
    title: str
    text: str
    places: tuple[Place, ...]
    details: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """The page of one record: its fields, where it belongs, and its timeline, newest first."""

    title: str
    kind: str
    facts: tuple[tuple[str, str], ...]
    places: tuple[Place, ...]
    activities: tuple[Activity, ...]


class Shelves:
    """The records of one portal or org, by type and id. `write` is the one door through which one comes in from
    outside: it writes the ledger first.
    """

    def __init__(self, vendor: Vendor, tenant: str, *, clock: Clock, ledger: Ledger) -> None:
        self._vendor = vendor
        self._tenant = tenant
        self._clock = clock
        self._ledger = ledger
        self._records: dict[tuple[str, str], Record] = {}

    def write(self, kind: str, record_id: str, fields: Mapping[str, Any], *, account: Account) -> Record:
        """Keep what `account` asked to be kept. Call it once, right before answering success."""
        now = self._clock.now()
        self._ledger.log(
            Logged(
                n=0,
                vendor=self._vendor.value,
                account=account.email,
                tenant=self._tenant,
                kind=kind,
                record=record_id,
                fields={name: str(value) for name, value in fields.items() if value is not None},
                at=now.isoformat(),
            )
        )
        return self.keep(kind, record_id, fields, by=account.email)

    def keep(
        self, kind: str, record_id: str, fields: Mapping[str, Any], *, by: str = "", age: timedelta = NO_TIME
    ) -> Record:
        """Keep what nobody asked for, made that long ago: no line in the ledger."""
        made = self._clock.now() - age
        record = Record(id=record_id, kind=kind, fields=dict(fields), by=by, created_at=made, updated_at=made)
        self._records[kind, record_id] = record
        return record

    def find(self, kind: str, record_id: str) -> Record | None:
        """The record, unless it is deleted or was never there."""
        record = self._records.get((kind, record_id))
        return None if record is None or record.deleted else record

    def was_deleted(self, kind: str, record_id: str) -> bool:
        """Whether the record was there once."""
        record = self._records.get((kind, record_id))
        return record is not None and record.deleted

    def of(self, kind: str) -> list[Record]:
        """Every record of this type that is not deleted, oldest first."""
        return [each for each in list(self._records.values()) if each.kind == kind and not each.deleted]

    def change(self, record: Record, fields: Mapping[str, Any]) -> None:
        """Replace those fields."""
        record.fields.update(fields)
        record.updated_at = self._clock.now()


def change(target: object, changes: Mapping[str, object], *, allowed: Mapping[str, tuple[type, ...]]) -> None:
    """Set attributes of `target`. Raises `ValueError` for a name that is not in `allowed`, or a wrong type."""
    for name, value in changes.items():
        if name not in allowed:
            raise ValueError(f"There is no setting {name!r}; there are {', '.join(allowed)}.")
        if type(value) not in allowed[name]:
            raise ValueError(f"The setting {name!r} cannot be {value!r}.")
        setattr(target, name, value)
