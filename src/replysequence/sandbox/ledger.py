"""The oracle: one line for every message that a vendor accepted, written before the answer leaves."""

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
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


class Ledger:
    """Append-only record of acceptances, in memory and, where a path is given, as JSON lines in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._entries: list[Entry] = []
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
            if self._file:
                self._file.write(json.dumps(asdict(entry)) + "\n")
                self._file.flush()

    def of_send(self, send_id: str) -> list[Entry]:
        """Every acceptance of the send with this id: more than one is a duplicate."""
        return [entry for entry in self if entry.send_id == send_id]

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file:
            self._file.close()
