"""The crash points C1 to C12 as data: where a process breaks, how, and what must be true once all have recovered.

Each case is one send by one route; the ledger of the sandbox has the last word on it. C13, the database that was
restored from an old copy, needs no failpoint: see `test_restoring.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from replysequence.domain.send import Outcome, State

VIAS: Final = ("gmail", "outlook", "resend")
RELAYS: Final = frozenset({"resend"})


class What(StrEnum):
    """What happens to the process that has the send."""

    DIE = "die"
    STALL = "stall"
    """It stands still, alive, until another process has looked for the dead."""
    BELIEVED_DEAD = "believed_dead"
    """It stands still and has lost its lock, until another process has taken over."""
    CUT_OFF = "cut_off"
    """It dies while the provider, which has the whole request, does not answer."""
    ERROR = "error"
    """Something fails, and it lives on."""


@dataclass(frozen=True)
class Try:
    """How one attempt ended: its outcome, how far it came, and why."""

    outcome: Outcome
    phase: str
    reason: str | None = None


@dataclass(frozen=True)
class End:
    """What is true in the end. `accepted` is how often a provider took the message."""

    state: State
    accepted: int
    tries: tuple[Try, ...]
    repaired: bool = False
    """It was unknown until its verdict came, late."""


@dataclass(frozen=True)
class Ends:
    """How it ends through a mailbox, and how through a relay that drops the second copy of a key."""

    mailbox: End
    relay: End | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One break of one process.

    `at` is `seam.moment:effect` of :mod:`crash.seams`, `fault` a fault of the sandbox's menu; one of both is set.
    """

    point: str
    what: What
    ends: Ends
    at: str = ""
    fault: str = ""
    large: bool = False
    """A message whose request is written in several pieces."""
    renewed: bool = False
    """Its access token has to be renewed first."""

    @property
    def name(self) -> str:
        words = (self.point, self.at.partition(":")[0] or self.fault, self.at.partition(":")[2] or self.what)
        return "-".join((*words, self.what) if self.what is What.BELIEVED_DEAD else words)

    @property
    def kept(self) -> bool:
        """Whether the send was on disk when the process broke."""
        return not self.at.startswith(("accept.before", "accept.inside"))

    def end(self, via: str) -> End | None:
        """How it ends by this route; None when it cannot happen there."""
        return self.ends.relay if via in RELAYS else self.ends.mailbox


SENT_AT_LAST = Try(Outcome.SENT, "answered")


def after(*failed: Try) -> End:
    """Sent, once, after tries that failed."""
    return End(State.SENT, 1, (*failed, SENT_AT_LAST))


def both(end: End) -> Ends:
    """The route makes no difference."""
    return Ends(end, end)


def never(phase: str, reason: str) -> Try:
    """A try that provably did not reach the provider."""
    return Try(Outcome.NEVER_SENT, phase, reason)


def open_or_repeated(reason: str, *, accepted: int) -> Ends:
    """Nobody can know: a mailbox's send is unknown, a relay's is repeated under its key."""
    lost = Try(Outcome.UNKNOWN, "sending", reason)
    return Ends(End(State.UNKNOWN, accepted, (lost,)), after(lost))


SENT = both(after())
NOT_BEGUN = both(after(never("claimed", "worker_died")))
NO_DATABASE = both(after(never("claimed", "database_unavailable")))
NOT_REACHED = both(after(never("sending", "not_reached")))
NOT_OUT = open_or_repeated("worker_died", accepted=0)
OUT = open_or_repeated("worker_died", accepted=1)
REPAIRED = Ends(replace(after(), repaired=True), after(Try(Outcome.UNKNOWN, "sending", "worker_died")))


def _at(
    point: str, place: str, effects: Mapping[What, Ends], *, large: bool = False, renewed: bool = False
) -> Iterator[Case]:
    for what, ends in effects.items():
        effect = "stall" if what is What.BELIEVED_DEAD else what
        yield Case(point=point, what=what, ends=ends, at=f"{place}:{effect}", large=large, renewed=renewed)


def _token_stays(ends: Ends) -> Ends:
    """A relay has no tokens that could be renewed."""
    return Ends(ends.mailbox, None)


def _cases() -> Iterator[Case]:
    die, stall, believed_dead, error = What.DIE, What.STALL, What.BELIEVED_DEAD, What.ERROR
    # C1: it is not on disk, so there is none; the same key makes it.
    yield from _at("C1", "accept.before", {die: SENT, stall: SENT, error: SENT})
    yield from _at("C1", "accept.inside", {die: SENT})
    # C2: it is on disk and nobody was told; the same key finds it.
    yield from _at("C2", "accept.after", {die: SENT, stall: SENT, error: SENT})
    # C3: nothing has begun to leave; whoever takes it next begins again.
    yield from _at("C3", "claim.before", {die: SENT, stall: SENT, error: SENT})
    yield from _at("C3", "claim.inside", {die: SENT})
    claimed = {die: NOT_BEGUN, stall: SENT, believed_dead: NOT_BEGUN}
    yield from _at("C3", "claim.after", {**claimed, error: NOT_BEGUN})
    tokens = {die: _token_stays(NOT_BEGUN), stall: _token_stays(SENT), error: _token_stays(SENT)}
    for moment in ("before", "after"):
        yield from _at("C3", f"store.{moment}", tokens, renewed=True)
    yield from _at("C3", "begin.before", {**claimed, error: NO_DATABASE})
    yield from _at("C3", "begin.inside", {die: NOT_BEGUN})
    # C4: nobody knows whether the beginning was committed. Not a byte leaves on such a commit.
    yield from _at("C4", "begin.after", {error: NO_DATABASE})
    # C5 to C7: the beginning is committed, and the request is not whole.
    begun = {die: NOT_OUT, stall: SENT, believed_dead: REPAIRED}
    yield from _at("C5", "begin.after", begun)
    yield from _at("C5", "http.connect", {die: NOT_OUT, stall: SENT})
    yield from _at("C5", "http.connected", {die: NOT_OUT, stall: SENT})
    for failure in ("refused", "no_name", "no_tls"):
        yield Case(point="C6", what=error, ends=NOT_REACHED, at=f"http.connect:{failure}")
    yield from _at("C7", "http.mid_body", {die: NOT_OUT, stall: SENT}, large=True)
    yield from _at("C7", "http.last_piece", {die: NOT_OUT, stall: SENT, believed_dead: REPAIRED}, large=True)
    yield Case(point="C7", what=error, ends=NOT_REACHED, at="http.mid_body:reset", large=True)
    # C8: the request is whole, and no status came.
    for when, accepted in (("before_acceptance", 0), ("after_acceptance", 1)):
        died = open_or_repeated("worker_died", accepted=accepted)
        yield Case(point="C8", what=What.CUT_OFF, ends=died, fault=f"hang_{when}")
        for kind in ("reset", "close"):
            no_answer = open_or_repeated("no_answer", accepted=accepted)
            yield Case(point="C8", what=error, ends=no_answer, fault=f"{kind}_{when}")
    # C9: the provider has said yes, and that is not written down.
    said_yes = {die: OUT, stall: SENT, believed_dead: REPAIRED}
    yield from _at("C9", "http.status", said_yes)
    yield from _at("C9", "end.before", said_yes)
    yield from _at("C9", "end.inside", {die: OUT})
    # C10: the verdict cannot be written at first, or nobody knows whether it was.
    yield from _at("C10", "end.before", {error: SENT})
    yield from _at("C10", "end.after", {error: SENT})
    # C11: all is written, and nobody has read it yet.
    yield from _at("C11", "end.after", {die: SENT, stall: SENT})


CASES: Final = tuple(_cases())


def every_case() -> list[tuple[Case, str]]:
    """Every case with every route on which it can happen."""
    return [(case, via) for case in CASES for via in VIAS if case.end(via) is not None]


def some_cases(*, first: str) -> list[tuple[Case, str]]:
    """Every case with one mailbox, `first` and the other one in turn; with a relay only where that ends otherwise."""
    mailboxes = sorted(set(VIAS) - RELAYS, key=lambda via: via != first)
    chosen = [(case, mailboxes[number % 2]) for number, case in enumerate(CASES)]
    relayed = [
        (case, via) for case in CASES for via in RELAYS if case.end(via) not in (None, case.ends.mailbox)
    ]
    return chosen + relayed
