"""The storm: clients that send through real web processes, while processes die and providers fail.

A client does what a browser does: it asks again with the same key when the connection died or the server was not
ready, at whatever web process answers, until it has been told that its send is accepted.
"""

import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from crash.fleet import Fleet, Program, Providers
from crash.judge import OK, OPEN, REFUSED, Taken, Told, Verdict, judge, read_records
from crash.sellers import Order
from replysequence.domain.send import State
from replysequence.storage.database import Database
from replysequence.storage.tables import sends

WEATHER: Mapping[str, float] = {
    "reset_before_acceptance": 0.02,
    "reset_after_acceptance": 0.02,
    "error_503_after_acceptance": 0.01,
    "refused_429": 0.05,
}
"""What share of the calls each fault strikes."""
AMBIGUOUS = frozenset({"reset_before_acceptance", "reset_after_acceptance", "error_503_after_acceptance"})
"""After these nobody can tell from the answer alone whether the message was taken."""

VENDORS = ("google", "microsoft", "resend")
_TRY_AGAIN = frozenset({429, 502, 503})
_LOOK_EVERY = 0.25


@dataclass(frozen=True, kw_only=True)
class Storm:
    """How hard it blows. Everything random comes from `seed`."""

    clients: int = 8
    per_second: float | None = None
    """Clicks a second; None: as fast as they are answered."""
    kill_every: float = 2.0
    kills: int | None = None
    """How many; None: until everything has finished. The weather lasts as long."""
    politely: bool = False
    """Whether processes are asked to stop (SIGTERM), and may finish what they have in hand, instead of killed."""
    weather: Mapping[str, float] = field(default_factory=lambda: WEATHER)
    asked_twice: float = 0.05
    """Share of the clients that ask again although they were answered, as at a double click."""
    seed: int = 1
    patience: float = 120.0
    """Seconds without any send finishing after which those that are left count as stuck."""


@dataclass(frozen=True, kw_only=True)
class Aftermath:
    """What a storm left behind."""

    verdict: Verdict
    kills: Counter[str]
    """How often each program was killed."""
    exit_codes: Counter[int]
    """How processes that were asked to stop ended."""
    in_flight: int
    """Sends in exchange with a provider at the kills, added up."""
    injected: Counter[str]
    """Faults that struck, by kind."""
    answers: Counter[str]
    """What clients got: statuses, and the names of errors."""
    seconds: float

    @property
    def ambiguous(self) -> int:
        """Injected faults after which nobody can know."""
        return sum(number for kind, number in self.injected.items() if kind in AMBIGUOUS)

    @property
    def bad_answers(self) -> Counter[str]:
        """What no client should ever get, whatever dies."""
        expected = {"200", "202", "503"}
        return Counter(
            {what: n for what, n in self.answers.items() if what.isdigit() and what not in expected}
        )

    @property
    def most_unknown(self) -> int:
        """How many sends may be unknown: those in flight at the kills, and those that the weather made so."""
        return self.in_flight + self.ambiguous


def blow(ships: Fleet, orders: Sequence[Order], storm: Storm) -> Aftermath:
    """Send `orders` through the storm, wait until every one has finished or is stuck, and judge."""
    began = time.monotonic()
    database = Database.open(ships.database_url)
    try:
        _raise_weather(ships, storm)
        killer = _Killer(ships, database, storm)
        crowd = _Crowd(ships, storm)
        with killer:
            told = crowd.send(orders)
            _wait(database, orders, storm=storm, over=killer.done.is_set)
        if storm.kills is not None:
            ships.providers.disarm()
        ships.start()
        _wait(database, orders, storm=storm)
        records = database.run(read_records)
    finally:
        database.close()
    return Aftermath(
        verdict=judge(told, records, Taken.of(ships.providers.ledger())),
        kills=killer.kills,
        exit_codes=killer.exit_codes,
        in_flight=killer.in_flight,
        injected=Counter(strike["kind"] for strike in ships.providers.strikes()),
        answers=crowd.answers,
        seconds=time.monotonic() - began,
    )


def loosen(providers: Providers, *, send_latency_seconds: float) -> None:
    """Lift the sandbox's limits, and let every exchange take long enough to be killed in."""
    for vendor in VENDORS:
        providers.set_vendor(vendor, units_per_minute=1_000_000, send_latency_seconds=send_latency_seconds)
    providers.set_team(requests_per_second=1_000, monthly_quota=1_000_000)


def _raise_weather(ships: Fleet, storm: Storm) -> None:
    for vendor in VENDORS:
        for number, (kind, share) in enumerate(storm.weather.items()):
            seed = storm.seed * 100 + number
            ships.providers.arm(
                kind, vendor=vendor, count=None, probability=share, seed=seed, retry_after_seconds=1
            )


def _wait(
    database: Database, orders: Sequence[Order], *, storm: Storm, over: Callable[[], bool] = lambda: False
) -> None:
    """Until every send has finished, `over` says so, or nothing has finished for as long as we are patient."""
    seen, since = -1, time.monotonic()
    while not over():
        finished = database.run(_count, states=OK | REFUSED | OPEN)
        if finished >= len(orders):
            return
        if finished > seen:
            seen, since = finished, time.monotonic()
        elif time.monotonic() - since > storm.patience:
            return
        time.sleep(_LOOK_EVERY)


def _count(connection: Connection, *, states: frozenset[State]) -> int:
    counted: int = connection.execute(
        select(func.count()).select_from(sends).where(sends.c.state.in_(states))
    ).scalar_one()
    return counted


class _Crowd:
    """The clients."""

    def __init__(self, ships: Fleet, storm: Storm) -> None:
        self._ships = ships
        self._storm = storm
        self._began = time.monotonic()
        self.answers: Counter[str] = Counter()
        self._lock = threading.Lock()

    def send(self, orders: Sequence[Order]) -> list[Told]:
        """Every order, by so many clients at a time."""
        self._began = time.monotonic()
        with ThreadPoolExecutor(self._storm.clients, thread_name_prefix="client") as pool:
            return list(pool.map(self._click, range(len(orders)), orders))

    def _click(self, number: int, order: Order) -> Told:
        chance = random.Random(f"{self._storm.seed} {number}")
        if self._storm.per_second:
            time.sleep(max(0.0, self._began + number / self._storm.per_second - time.monotonic()))
        told = {self._until_told(order, chance)}
        if chance.random() < self._storm.asked_twice:
            told.add(self._until_told(order, chance))
        return Told(order.draft_id, order.subject, frozenset(send_id for send_id in told if send_id))

    def _until_told(self, order: Order, chance: random.Random) -> str | None:
        """Ask until somebody answers; the id of the send, None when it was refused."""
        deadline = time.monotonic() + self._storm.patience
        while time.monotonic() < deadline:
            answer = self._ask(order, chance)
            if answer is not None:
                return answer or None
            time.sleep(chance.uniform(0.05, 0.3))
        return None

    def _ask(self, order: Order, chance: random.Random) -> str | None:
        """One request: the id of the send, an empty text for a refusal, None when it is to be asked again."""
        try:
            answer = self._ships.request(
                "POST",
                "/api/drafts/send",
                key=order.api_key,
                number=chance.randrange(len(self._ships.web)),
                headers={"Idempotency-Key": order.idempotency_key, "Prefer": "wait=0"},
                json_body={"draft_id": order.draft_id},
            )
        except (OSError, http.client.HTTPException) as error:
            self._note(type(error).__name__)
            return None
        self._note(str(answer.status))
        if answer.status in _TRY_AGAIN:
            return None
        return str(answer.json["id"]) if answer.status < 300 else ""

    def _note(self, what: str) -> None:
        with self._lock:
            self.answers[what] += 1


class _Killer(threading.Thread):
    """Ends a program that is up, again and again, and starts it again at once."""

    def __init__(self, ships: Fleet, database: Database, storm: Storm) -> None:
        super().__init__(name="killer")
        self._ships = ships
        self._database = database
        self._storm = storm
        self._chance = random.Random(storm.seed)
        self._deck: list[Program] = []
        self._over = threading.Event()
        self.done = threading.Event()
        self.kills: Counter[str] = Counter()
        self.exit_codes: Counter[int] = Counter()
        self.in_flight = 0

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(self._storm.kill_every):
            program = self._next()
            if program.is_up(program):
                self._kill(program)
            else:
                self._deck.append(program)
            if self.kills.total() == self._storm.kills:
                break
        self.done.set()

    def _next(self) -> Program:
        """A random one, but each once before any is taken again."""
        if not self._deck:
            self._deck = list(self._ships.programs.values())
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    def _kill(self, program: Program) -> None:
        if self._storm.politely:
            self.exit_codes[program.stop()] += 1
        else:
            before = self._sending()
            program.kill()
            self.in_flight += 0 if program.url else max(before, self._sending())
        self.kills[program.name] += 1
        program.start(wait=False)

    def _sending(self) -> int:
        return self._database.run(_count, states=frozenset({State.SENDING}))
