"""Where one crash test plays: a database of its own, the processes that run on it, and the people who use them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from sqlalchemy import text, true, update

from crash.fleet import until
from crash.nursery import Nursery, Process, Request
from replysequence.domain.send import CLAIMABLE, OUTCOME_SHOWN, Send, State
from replysequence.sandbox.running import RunningSandbox
from replysequence.storage import sends as sends_storage
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.tables import email_connections, routes, sends

CLICK = "one click"


@dataclass(frozen=True)
class Person:
    """Somebody with an account here, an API key and drafts that nobody has sent."""

    id: str
    via: str
    """The provider that their sends leave by."""
    key: str
    draft: str
    other_draft: str
    large_draft: str

    def click(self, process: Process, *, draft: str = "", key: str = CLICK) -> Request:
        """Send `draft`, or the first one; the answer may be late. The same `key` is the same click."""
        return Request(
            process,
            "POST",
            "/api/drafts/send",
            key=self.key,
            json_body={"draft_id": draft or self.draft},
            headers={"Idempotency-Key": key, "Prefer": "respond-async"},
        )

    def sent(self, process: Process, *, draft: str = "", key: str = CLICK) -> str:
        """The same, and wait until it is accepted: the send's id."""
        answer = self.click(process, draft=draft, key=key).wait()
        assert answer is not None
        assert answer.status < 300, answer.text
        send_id: str = answer.json["id"]
        return send_id

    def listed(self, process: Process) -> list[str]:
        """The ids of their sends."""
        answer = process.request("GET", "/api/sends", key=self.key)
        return [item["id"] for item in answer.json["items"]]

    def state(self, process: Process, send_id: str) -> State:
        """What a process tells of one of them."""
        return State(process.request("GET", f"/api/sends/{send_id}", key=self.key).json["state"])


@dataclass
class Stage:
    """One database, and the processes on it."""

    database: Database
    box: RunningSandbox
    people: dict[str, Person]
    _nursery: Nursery
    _environ: dict[str, str]
    _processes: list[Process] = field(default_factory=list)

    @contextmanager
    def open(self) -> Iterator["Stage"]:
        """While it is played on; afterwards no process is left. If all went well, each ends politely."""
        try:
            yield self
            self.stop()
        finally:
            for process in self._processes:
                if process.alive:
                    process.kill()
            self.box.world.faults.clear()

    def stop(self) -> None:
        """Ask every process to finish what it has in hand and to end, and see that it does."""
        for process in self._processes:
            if process.alive:
                process.stop()

    def bear(self, *, failpoint: str = "", ahead: float = 0.0, shortage: str = "") -> Process:
        """A process of the app, as `replysequence serve` runs it; see :mod:`crash.victim`."""
        process = self._nursery.bear(self._environ, failpoint=failpoint, ahead=ahead, shortage=shortage)
        self._processes.append(process)
        return process

    def settled(self, process: Process, person: Person, send_id: str) -> State:
        """The state of a send once there is an outcome, as `process` tells it, without sitting out any wait."""

        def there() -> bool:
            self.database.run(make_due)
            return person.state(process, send_id) in OUTCOME_SHOWN

        until(there, what=f"the outcome of {send_id}")
        return person.state(process, send_id)

    def read(self, person: Person, send_id: str) -> Send:
        """A send as the database has it."""
        return self.database.run(sends_storage.get, user_id=person.id, send_id=send_id)

    def accepted(self, send_id: str) -> int:
        """How often a provider has taken its message."""
        return len(self.box.world.ledger.of_send(send_id))

    def believe_dead(self) -> None:
        """Let every process that lives now be taken for dead: its lock is lost, as with a broken connection."""
        if self.database.kind == "sqlite":
            for lock in Path(f"{self.database.url.database}.alive").iterdir():
                lock.unlink()
        else:
            self.database.run(_break_lock_connections)


def make_due(transaction: Transaction) -> None:
    """As if every backoff, pause and lease had passed. What has no time, or is due and was forgotten, stays so."""
    moment = now(transaction)
    past = moment - timedelta(seconds=1)
    waiting = sends.c.state.in_(CLAIMABLE)
    for column, which in (
        (sends.c.next_at, waiting),
        (routes.c.next_at, true()),
        (routes.c.paused_until, true()),
        (routes.c.paced_until, true()),
        (email_connections.c.refresh_until, true()),
    ):
        later = update(column.table).where(column > moment, which)
        transaction.execute(later.values({column: past}))


def expire_access_tokens(transaction: Transaction) -> None:
    """As if every access token had reached its end."""
    transaction.execute(update(email_connections).values(access_token_expires_at=now(transaction)))


def _break_lock_connections(transaction: Transaction) -> None:
    transaction.execute(
        text(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
            "WHERE l.locktype = 'advisory' AND d.datname = current_database()"
        )
    )
