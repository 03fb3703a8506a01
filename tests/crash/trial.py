"""One case of :mod:`crash.failpoints` from the click to its end, and the judgement."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from crash.bench import VENDORS, Bench, Person, expire_access_tokens, make_due
from crash.failpoints import Case, End, What
from crash.fleet import until
from crash.nursery import Process, Request
from replysequence.domain.event import Kind
from replysequence.domain.send import OUTCOME_SHOWN, Outcome, Send, State
from replysequence.sandbox.faults import Fault
from replysequence.storage import sends
from replysequence.storage.database import Database, Transaction

KEY = "one click"
AFTER_STRIKE = {
    Outcome.SENT: Kind.SEND_SENT,
    Outcome.UNKNOWN: Kind.SEND_QUEUED,
    Outcome.NEVER_SENT: Kind.SEND_QUEUED,
}


def run(bench: Bench, case: Case, via: str) -> None:
    """Break a process, let another one recover, and judge by the ledger. Raises AssertionError."""
    end = case.end(via)
    assert end is not None, "there is no such case on this route"
    taken_before = len(bench.box.world.ledger)
    with bench.database() as url, closing(Database.open(url)) as database:
        with Trial(bench, case, bench.people[via], via, database).running() as trial:
            send_id = trial.play()
        send = database.run(sends.get, user_id=trial.person.id, send_id=send_id)
        assert [each.id for each in database.run(sends.page, user_id=trial.person.id, before=None, limit=9)][
            -1:
        ] == [send.id]
    _judge(send, end)
    assert len(bench.box.world.ledger.of_send(send.id)) == end.accepted, "lost, or sent twice"
    assert len(bench.box.world.ledger) - taken_before == end.accepted + trial.others


def _judge(send: Send, end: End) -> None:
    tries = tuple((each.outcome, each.phase, each.reason) for each in send.attempts)
    assert (send.state, tries) == (end.state, tuple((t.outcome, t.phase, t.reason) for t in end.tries))
    assert [event.kind for event in send.events] == _history(end)
    if end.state is State.UNKNOWN:
        assert (send.reason, bool(send.explanation)) == (end.tries[-1].reason, True), "not explained"


def _history(end: End) -> list[Kind]:
    if end.repaired:
        return [Kind.SEND_ACCEPTED, Kind.SEND_UNKNOWN, Kind.SEND_SENT]
    kinds = [Kind.SEND_QUEUED for _ in end.tries[1:]]
    return [Kind.SEND_ACCEPTED, *kinds, Kind.SEND_SENT if end.state is State.SENT else Kind.SEND_UNKNOWN]


@dataclass
class Trial:
    """One send whose process breaks."""

    bench: Bench
    case: Case
    person: Person
    via: str
    database: Database
    others: int = 0
    """Further sends that left."""
    _processes: list[Process] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator["Trial"]:
        """The trial; all its processes are gone afterwards, politely if it went well."""
        try:
            yield self
            for process in self._processes:
                if process.alive:
                    process.stop()
        finally:
            for process in self._processes:
                if process.alive:
                    process.kill()
            self.bench.box.world.faults.clear()

    def play(self) -> str:
        """Click, break, recover; the send's id."""
        if self.case.renewed:
            self.database.run(expire_access_tokens)
        victim = self._bear(self.case.at)
        if self.case.fault:
            fault = Fault(kind=self.case.fault, vendor=VENDORS[self.via])
            self.bench.box.world.faults.arm(fault)
        click = self._click(victim)
        self._wait_for_the_break(victim)
        healthy = victim if self.case.what is What.ERROR else self._bear("")
        if self.case.what is not What.ERROR:
            assert len(self._listed(healthy)) == self.case.kept, "on disk before anybody was told"
        send_id = self._clicked_again(healthy)
        if self.case.what is What.STALL:
            healthy.wait_for("reaped", times=2)
            victim.resume()
        elif self.case.what is What.BELIEVED_DEAD:
            self._settled(healthy, send_id)
            victim.resume()
            victim.stop()
        self._settled(healthy, send_id)
        first = click.wait()
        if first is not None and first.status < 300:
            assert first.json["id"] == send_id, "two sends of one click"
        self._others_leave(healthy, send_id)
        return send_id

    def _wait_for_the_break(self, victim: Process) -> None:
        if self.case.fault:
            until(lambda: not list(self.bench.box.world.faults), what=f"the fault {self.case.fault}")
        if self.case.what is What.CUT_OFF:
            victim.kill()
        if self.case.at:
            victim.wait_for("reached")
        match self.case.what:
            case What.DIE:
                assert victim.wait_for("ended")["code"] == -9
            case What.STALL | What.BELIEVED_DEAD:
                victim.wait_for("stalled")
        if self.case.what is What.BELIEVED_DEAD:
            believe_dead(self.database)

    def _bear(self, failpoint: str) -> Process:
        process = self.bench.bear(
            self.database.url.render_as_string(hide_password=False), failpoint=failpoint
        )
        self._processes.append(process)
        return process

    def _click(self, process: Process, *, draft: str = "", key: str = KEY) -> Request:
        draft = draft or (self.person.large_draft if self.case.large else self.person.draft)
        return Request(
            process,
            "POST",
            "/api/drafts/send",
            key=self.person.key,
            json_body={"draft_id": draft},
            headers={"Idempotency-Key": key, "Prefer": "respond-async"},
        )

    def _clicked_again(self, process: Process) -> str:
        answer = self._click(process).wait()
        assert answer is not None
        assert answer.status < 300, answer.text
        send_id: str = answer.json["id"]
        return send_id

    def _listed(self, process: Process) -> list[str]:
        answer = process.request("GET", "/api/sends", key=self.person.key)
        return [item["id"] for item in answer.json["items"]]

    def _settled(self, process: Process, send_id: str) -> State:
        """Its state once there is an outcome, without sitting out any wait."""
        state = State.QUEUED

        def there() -> bool:
            nonlocal state
            self.database.run(make_due)
            answer = process.request("GET", f"/api/sends/{send_id}", key=self.person.key)
            state = State(answer.json["state"])
            return state in OUTCOME_SHOWN

        until(there, what=f"the outcome of a send that was {state}")
        return state

    def _others_leave(self, process: Process, send_id: str) -> None:
        """A send whose outcome nobody knows holds up no other of its mailbox."""
        if self._settled(process, send_id) is not State.UNKNOWN:
            return
        answer = self._click(process, draft=self.person.other_draft, key="another click").wait()
        assert answer is not None
        assert self._settled(process, answer.json["id"]) is State.SENT
        self.others += 1


def believe_dead(database: Database) -> None:
    """Let every process that lives now be taken for dead: its lock is lost, as with a broken connection."""
    if database.kind == "sqlite":
        for lock in Path(f"{database.url.database}.alive").iterdir():
            lock.unlink()
    else:
        database.run(_break_lock_connections)


def _break_lock_connections(transaction: Transaction) -> None:
    transaction.execute(
        text(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database "
            "WHERE l.locktype = 'advisory' AND d.datname = current_database()"
        )
    )
