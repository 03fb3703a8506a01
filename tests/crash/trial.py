"""One case of :mod:`crash.failpoints` from the click to its end, and the judgement."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from crash.bench import VENDORS, Bench, Server, bench
from crash.failpoints import Case, End, What, every_case
from crash.fleet import until
from crash.nursery import Process
from crash.stage import Person, Stage, expire_access_tokens
from replysequence.domain.event import Kind
from replysequence.domain.send import Send, State
from replysequence.sandbox.faults import Fault


def run(bench: Bench, case: Case, via: str) -> None:
    """Break a process, let another one recover, and judge by the ledger. Raises AssertionError."""
    end = case.end(via)
    assert end is not None, "there is no such case on this route"
    taken_before = len(bench.box.world.ledger)
    with bench.stage() as stage:
        trial = Trial(stage, case, stage.people[via])
        send_id = trial.play()
        stage.stop()  # nothing is on its way any more
        send = stage.read(trial.person, send_id)
        judge(send, end)
        assert stage.accepted(send_id) == end.accepted, "lost, or sent twice"
        assert len(bench.box.world.ledger) - taken_before == end.accepted + trial.others


def run_every(server: Server, folder: Path) -> Iterator[tuple[Case, str, str]]:
    """Every case on every route: the case, the route, and what was wrong; nothing where all was well."""
    with bench(server, folder) as it:
        for case, via in every_case():
            try:
                run(it, case, via)
            except AssertionError as error:
                yield case, via, str(error) or "an assertion failed"
            else:
                yield case, via, ""


def judge(send: Send, end: End) -> None:
    """Compare what the database says of a send with how it must have ended. Raises AssertionError."""
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

    stage: Stage
    case: Case
    person: Person
    others: int = 0
    """Further sends that left."""

    def play(self) -> str:
        """Click, break, recover; the send's id."""
        draft = self.person.large_draft if self.case.large else self.person.draft
        if self.case.renewed:
            self.stage.database.run(expire_access_tokens)
        victim = self.stage.bear(failpoint=self.case.at)
        if self.case.fault:
            fault = Fault(kind=self.case.fault, vendor=VENDORS[self.person.via])
            self.stage.box.world.faults.arm(fault)
        click = self.person.click(victim, draft=draft)
        self._wait_for_the_break(victim)
        healthy = victim
        if self.case.what is not What.ERROR:
            healthy = self.stage.bear()
            assert len(self.person.listed(healthy)) == self.case.kept, "on disk before anybody was told"
        send_id = self.person.sent(healthy, draft=draft)
        self._go_on(victim, healthy, send_id)
        state = self.stage.settled(healthy, self.person, send_id)
        first = click.wait()
        if first is not None and first.status < 300:
            assert first.json["id"] == send_id, "two sends of one click"
        if state is State.UNKNOWN:
            self._others_leave(healthy)
        return send_id

    def _wait_for_the_break(self, victim: Process) -> None:
        if self.case.fault:
            until(lambda: not list(self.stage.box.world.faults), what=f"the fault {self.case.fault}")
        if self.case.at:
            victim.wait_for("reached")
        match self.case.what:
            case What.CUT_OFF:
                victim.kill()
            case What.DIE:
                assert victim.wait_for("ended")["code"] == -9
            case What.STALL | What.BELIEVED_DEAD:
                victim.wait_for("stalled")
        if self.case.what is What.BELIEVED_DEAD:
            self.stage.believe_dead()

    def _go_on(self, victim: Process, healthy: Process, send_id: str) -> None:
        match self.case.what:
            case What.STALL:
                healthy.wait_for("reaped", times=2)
                victim.resume()
            case What.BELIEVED_DEAD:
                self.stage.settled(healthy, self.person, send_id)
                victim.resume()
                victim.stop()

    def _others_leave(self, process: Process) -> None:
        """A send whose outcome nobody knows holds up no other of its mailbox."""
        other = self.person.sent(process, draft=self.person.other_draft, key="another click")
        assert self.stage.settled(process, self.person, other) is State.SENT
        self.others += 1
