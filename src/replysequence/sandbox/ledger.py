"""The oracle: one line for every message that a vendor accepted and every record that a CRM wrote, written before the
answer leaves."""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One acceptance. `n` counts from 1 over all vendors; `at` is an ISO 8601 instant of the sandbox."""

    n: int
    vendor: str
    account: str
    message: str
    """The sandbox's id of the message: `GET /_sandbox/messages/{id}`."""
    send_id: str | None
    """The value of our `X-ReplySequence-Send-Id` header, where the message carried one."""
    idempotency_key: str | None
    recipients: tuple[str, ...]
    subject: str
    sha256: str
    """Of the bytes that the vendor was handed: the RFC 5322 message, or the JSON body."""
    delivered: bool
    """False when the vendor said yes and then dropped the message."""
    at: str


@dataclass(frozen=True, kw_only=True)
class Logged:
    """One record that a CRM wrote because it was asked to; what a CRM makes by itself is not here.

    `n` counts from 1 over both CRMs. `account` is the address of the person whose token it was, `tenant` the
    portal or org. `record` is the id that was answered, `kind` the object type as the CRM calls it.
    """

    n: int
    vendor: str
    account: str
    tenant: str
    kind: str
    record: str
    fields: Mapping[str, str]
    """What was written, each value as text."""
    at: str

    def mentions(self, marker: str) -> bool:
        """Whether `marker`, with or without its angle brackets, stands in any field."""
        return any(marker.strip("<>") in value for value in self.fields.values())


class Ledger:
    """Append-only record of acceptances, in memory and, where a path is given, as JSON lines in a file.

    Iterating over it, and its length, concern messages; `records` are those of the CRMs. In the file a line of a
    record is told apart by its `record`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
        self._records: list[Logged] = []
        self._lock = threading.Lock()
        self._file = path.open("a", encoding="utf-8") if path else None

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def next_number(self) -> int:
        """The number that the next entry must carry."""
        return len(self._entries) + 1

    def append(self, entry: Entry) -> None:
        """Record `entry`; when this returns the line has been handed to the operating system."""
        with self._lock:
            self._entries.append(entry)
            self._write(entry)

    def log(self, record: Logged) -> None:
        """Record what a CRM wrote, as `append` does; its number is given to it here."""
        with self._lock:
            numbered = replace(record, n=len(self._records) + 1)
            self._records.append(numbered)
            self._write(numbered)

    def _write(self, line: Entry | Logged) -> None:
        if self._file:
            self._file.write(json.dumps(asdict(line)) + "\n")
            self._file.flush()

    @property
    def records(self) -> tuple[Logged, ...]:
        """Everything that was written into a CRM, oldest first."""
        return tuple(self._records)

    def logged(self, vendor: str, marker: str) -> list[Logged]:
        """Everything written into that CRM which mentions `marker`, such as a Message-ID: more than one line is a
        duplicate.
        """
        return [record for record in self.records if record.vendor == vendor and record.mentions(marker)]

    def of_send(self, send_id: str) -> list[Entry]:
        """Every acceptance of the send with this id: more than one is a duplicate."""
        return [entry for entry in self if entry.send_id == send_id]

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file:
            self._file.close()
