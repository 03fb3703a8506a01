"""Programs that send drafts over HTTP: so many connections, each with one request at a time.

    python -m benchmarks.load URL WORK_FILE CONNECTIONS [AUTHORITY_FILE]

WORK_FILE holds JSON pairs of an API key and a draft id. With an AUTHORITY_FILE the URL is the stub, and the pairs are
posted to Gmail's address there: what the provider alone takes. Tells when every connection is open, begins when told
`go`, and tells what came back.
"""

import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from benchmarks.measured import hear, tell

Work = tuple[str, str]
PATHS = {"http": "/api/drafts/send", "https": "/gmail/v1/users/me/messages/send"}


@dataclass
class Found:
    """What came back. ``seconds`` are those of each answered request, in the order of their ends."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    """Drafts whose request was answered with 200 or 202."""
    refused: list[str] = field(default_factory=list)
    """Drafts whose request was answered with 503."""
    without_retry_after: int = 0
    broken: int = 0
    """Requests without an answer."""
    began: float = 0.0
    ended: float = 0.0

    def note(self, draft_id: str, *, head: bytes, seconds: float) -> None:
        status = int(head.split(b" ", 2)[1])
        self.statuses[status] += 1
        self.seconds.append(seconds)
        if status == 503:
            self.refused.append(draft_id)
            self.without_retry_after += b"\r\nretry-after:" not in head.lower()
        elif status in (200, 202):
            self.accepted.append(draft_id)


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, work: Work, *, path: str) -> bytes:
    """One request; the head of its answer."""
    key, draft_id = work
    body = json.dumps({"draft_id": draft_id})
    writer.write(
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return head


async def run(url: str, work: list[Work], *, connections: int, trusted: ssl.SSLContext | None) -> None:
    """Open every connection, begin when told, and share the work among them."""
    parts = urlsplit(url)
    opened = await asyncio.gather(
        *(
            asyncio.open_connection(parts.hostname, parts.port, ssl=trusted, limit=1 << 20)
            for _ in range(connections)
        )
    )
    tell(connections=len(opened))
    await hear()
    found, left = Found(began=time.monotonic()), iter(work)

    async def some(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, mine: Iterator[Work]) -> None:
        for each in mine:
            began = time.perf_counter()
            try:
                head = await ask(reader, writer, each, path=PATHS[parts.scheme])
            except (OSError, EOFError):
                found.broken += 1
                return
            found.note(each[1], head=head, seconds=time.perf_counter() - began)

    await asyncio.gather(*(some(reader, writer, left) for reader, writer in opened))
    found.ended = time.monotonic()
    tell(**vars(found))
    for _, writer in opened:
        writer.close()


if __name__ == "__main__":
    address, file, number, *authority = sys.argv[1:]
    context = ssl.create_default_context(cafile=authority[0]) if authority else None
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(address, json.loads(Path(file).read_text()), connections=int(number), trusted=context))
