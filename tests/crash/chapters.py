"""What a soak runs, chapter by chapter, and what each figure must be."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from crash.bench import SqliteFolder
from crash.default_account import shuffle
from crash.fleet import fleet
from crash.races import disconnects, double_clicks, refresh_storm
from crash.report import Chapter
from crash.sellers import campaign
from crash.storm import Aftermath, Storm, blow, loosen
from crash.trial import run_every
from mutants.catalogue import MUTANTS, NAMED
from mutants.trial import try_all
from replysequence.storage.database import Database
from replysequence.storage.keys import Key
from replysequence.storage.migrations import upgrade
from replysequence.storage.vault import Vault
from support.postgresql import PostgreSQL

WHOLE = 10_000
LATENCY = 0.12
"""Seconds that a provider takes for a message."""
RESEND_PER_SECOND = 100
"""The limit of a team that sends in bulk; ten a second is where a new one begins."""
MAILBOXES = {"gmail": 200, "outlook": 400}
"""Enough that the provider's own limits (60 and 30 a minute) are not what the storm is about."""
FLEETS = (("SQLite", 2, 2), ("PostgreSQL", 1, 1), ("PostgreSQL", 3, 3))
"""Database, web processes, workers."""

_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a soak runs: a folder, a PostgreSQL server, and how much it does."""

    folder: Path
    server: PostgreSQL
    sends: int
    seed: int

    @property
    def scale(self) -> float:
        """The share of a whole run."""
        return self.sends / WHOLE

    def scaled(self, number: int) -> int:
        """So many of what a whole run does so often."""
        return max(1, round(number * self.scale))

    @contextmanager
    def database(self, kind: str) -> Iterator[tuple[str, Path]]:
        """A fresh database, migrated, and a folder beside it."""
        name = f"soak_{next(_numbers)}"
        folder = self.folder / name
        folder.mkdir()
        if kind == "SQLite":
            url = f"sqlite:///{folder}/soak.db"
            upgrade(url)
            yield url, folder
        else:
            url = self.server.create(name)
            upgrade(url)
            yield url, folder
            self.server.drop(name)


def storms(place: Place) -> Chapter:
    """Sends through each provider, on each fleet, with a random process killed every two seconds."""
    chapter = Chapter(
        title="Kill storms",
        words=(
            "Sends accepted over HTTP by real web processes, with a random process (web or worker) killed by SIGKILL "
            "every 2 seconds and started again, while 2 % of the provider's exchanges are reset before and 2 % after "
            "it accepted, 1 % answered 503 after it accepted, and 5 % refused with 429. Clients ask again with the "
            "same key when a connection dies; one in twenty asks twice anyway. *In flight* are the sends on the wire "
            "at the kills of workers, *ambiguous* the injected exchanges whose end nobody can know; their sum bounds "
            "*unknown*, and *taken* are those of them that the provider did accept."
        ),
        columns=(
            "Database",
            "Processes",
            "Provider",
            "Sends",
            "Kills",
            "In flight",
            "Ambiguous",
            "Sent",
            "Unknown",
            "Taken",
            "Lost",
            "Doubled",
            "Wrong",
            "Unexplained",
            "Stuck",
            "Seconds",
        ),
    )
    for kind, web, workers in FLEETS:
        for provider in ("gmail", "outlook", "resend"):
            aftermath = _storm(place, kind, provider, web=web, workers=workers)
            _write_down(chapter, aftermath, [kind, f"{web} web, {workers} workers", provider])
    return chapter


def _storm(place: Place, kind: str, provider: str, *, web: int, workers: int) -> Aftermath:
    number = MAILBOXES.get(provider, 0)
    with (
        place.database(kind) as (url, folder),
        fleet(url, folder, web=web, workers=workers) as ships,
    ):
        if provider == "resend":
            orders = campaign(ships, mailboxes={}, relayed=place.sends)
            loosen(ships.providers, send_latency_seconds=LATENCY)
            ships.providers.set_team(requests_per_second=RESEND_PER_SECOND)
        else:
            mailboxes = place.scaled(number)
            orders = campaign(ships, mailboxes={provider: mailboxes}, each=place.sends // mailboxes)
            for vendor in ("google", "microsoft"):
                ships.providers.set_vendor(vendor, send_latency_seconds=LATENCY)
        return blow(ships, orders, Storm(clients=12, seed=place.seed, patience=900))


def _write_down(chapter: Chapter, aftermath: Aftermath, which: list[str]) -> None:
    verdict = aftermath.verdict
    chapter.rows.append(
        [
            *which,
            f"{verdict.sends:,}",
            aftermath.kills.total(),
            aftermath.in_flight,
            aftermath.ambiguous,
            f"{verdict.ok:,}",
            verdict.open,
            verdict.open_and_taken,
            len(verdict.lost) + len(verdict.unrecorded),
            len(verdict.doubled),
            len(verdict.wrong),
            len(verdict.unexplained) + len(verdict.torn),
            len(verdict.stuck),
            f"{aftermath.seconds:.0f}",
        ]
    )
    where = ", ".join(which)
    print(
        f"{where}: {verdict.sends:,} sends, {verdict.open} unknown, {verdict.faults or 'no fault'}",
        flush=True,
    )
    for name, ids in verdict.faults.items():
        chapter.broken.append(f"{where}: {name} {len(ids)}, such as {ids[0]}.")
    chapter.must(verdict.refused == 0, f"{where}: {verdict.refused} refused.")
    chapter.must(not aftermath.bad_answers, f"{where}: clients were answered {dict(aftermath.bad_answers)}.")
    chapter.must(
        verdict.open <= (0 if "resend" in which else aftermath.most_unknown),
        f"{where}: {verdict.open} unknown: {dict(verdict.unknown)}.",
    )


def restarts(place: Place) -> Chapter:
    """Processes asked to stop, one after the other, while sends are accepted and carried out."""
    chapter = Chapter(
        title="Rolling restarts",
        words=(
            "Every 2 seconds one process (web or worker) is asked to stop by SIGTERM and started again when it has "
            "ended. Nothing is broken off: every process ends with 0, and no send is unknown. *Asked again* are "
            "requests that found nobody listening, *cut off* those whose connection died."
        ),
        columns=(
            "Database",
            "Processes",
            "Sends",
            "Restarts",
            "Sent",
            "Unknown",
            "Lost",
            "Doubled",
            "Asked again",
            "Cut off",
        ),
    )
    for kind, web, workers in FLEETS:
        with (
            place.database(kind) as (url, folder),
            fleet(url, folder, web=web, workers=workers) as ships,
        ):
            mailboxes = place.scaled(100)
            orders = campaign(
                ships, mailboxes={"gmail": mailboxes}, each=max(1, place.sends // 4 // mailboxes)
            )
            ships.providers.set_vendor("google", send_latency_seconds=LATENCY)
            storm = Storm(clients=12, seed=place.seed, politely=True, weather={}, patience=900)
            aftermath = blow(ships, orders, storm)
        verdict, answers = aftermath.verdict, aftermath.answers
        broken_off = (
            sum(n for what, n in answers.items() if not what.isdigit()) - answers["ConnectionRefusedError"]
        )
        where = f"{kind}, {web} web, {workers} workers"
        chapter.rows.append(
            [
                kind,
                f"{web} web, {workers} workers",
                f"{verdict.sends:,}",
                aftermath.kills.total(),
                f"{verdict.ok:,}",
                verdict.open,
                len(verdict.lost) + len(verdict.unrecorded),
                len(verdict.doubled),
                answers["ConnectionRefusedError"],
                broken_off,
            ]
        )
        chapter.must(not verdict.faults, f"{where}: {verdict.faults}.")
        chapter.must(verdict.open == 0, f"{where}: {verdict.open} unknown: {dict(verdict.unknown)}.")
        chapter.must(set(aftermath.exit_codes) == {0}, f"{where}: ended with {dict(aftermath.exit_codes)}.")
    return chapter


def tokens(place: Place) -> Chapter:
    """Five hundred callers over eight processes, at a provider where each refresh token works once."""
    chapter = Chapter(
        title="Refresh storms",
        words=(
            "500 callers in 8 processes want the token of one account at the same moment, round after round, at a "
            "provider where each refresh token works once. One call a round is right; more would be refused, and the "
            "account lost."
        ),
        columns=("Database", "Rounds", "Rounds with one call", "Rounds with one token", "Refusals", "Errors"),
    )
    for kind in ("SQLite", "PostgreSQL"):
        rounds = place.scaled(1_000)
        with place.database(kind) as (url, folder), fleet(url, folder, web=0, workers=0) as ships:
            figures = refresh_storm(ships, folder, processes=8, callers=500, rounds=rounds)
        errors = figures.errors.total()
        chapter.rows.append(
            [kind, rounds, figures.token_calls[1], figures.tokens[1], figures.refusals, errors]
        )
        chapter.must(
            figures.token_calls[1] == figures.tokens[1] == rounds,
            f"{kind}: calls a round {dict(figures.token_calls)}, tokens a round {dict(figures.tokens)}.",
        )
        chapter.must(figures.refusals + errors == 0, f"{kind}: errors {dict(figures.errors)}.")
    return chapter


def clicks(place: Place) -> Chapter:
    """Twenty clicks at once on one button, over four web processes; and disconnects at any moment of a send."""
    chapter = Chapter(
        title="Double clicks and disconnects",
        words=(
            "Each button is clicked 20 times at once over 4 web processes: one send, and 20 answers that are the same "
            "to the byte. Each disconnect comes at a random moment of a send from that account: no token stays, and "
            "the send leaves from that account or not at all."
        ),
        columns=("Database", "Buttons", "One answer", "Mails", "Disconnects", "Sent", "Waiting", "Broken"),
    )
    for kind in ("SQLite", "PostgreSQL"):
        buttons, rounds = place.scaled(100), place.scaled(40)
        with place.database(kind) as (url, folder), fleet(url, folder, web=4, workers=2) as ships:
            loosen(ships.providers, send_latency_seconds=LATENCY)
            orders = campaign(ships, mailboxes={"gmail": 10}, each=-(-buttons // 20), relayed=buttons // 2)
            answers = double_clicks(ships, orders, times=20)
            mails = len(ships.providers.ledger())
            runs = [disconnects(ships, mailboxes=12, within=0.6, seed=n) for n in range(rounds)]
        same = sum(len(different) == 1 for different in answers)
        broken = [sentence for run in runs for sentence in run.broken]
        states: Counter[str] = sum((run.states for run in runs), start=Counter())
        chapter.rows.append(
            [
                kind,
                len(orders),
                same,
                mails,
                states.total(),
                states["sent"],
                states["waiting"],
                len(broken),
            ]
        )
        chapter.must(
            same == mails == len(orders), f"{kind}: {same} of {len(orders)} the same, {mails} mails."
        )
        chapter.broken += [f"{kind}: {sentence}." for sentence in broken]
    return chapter


def defaults(place: Place) -> Chapter:
    """Eight threads at the accounts of one person."""
    chapter = Chapter(
        title="The default account",
        words=(
            "8 threads connect, choose, break and take down the accounts of one person, and look after every step: "
            "exactly one usable account is the default, or there is none."
        ),
        columns=("Database", "Steps", "Right", "Wrong"),
    )
    for kind in ("SQLite", "PostgreSQL"):
        steps = place.scaled(5_000)
        with place.database(kind) as (url, _), ExitStack() as closing:
            databases = [Database.open(url) for _ in range(2)]
            for database in databases:
                closing.callback(database.close)
            vault = Vault([Key("first", bytes(range(32)))])
            seen = shuffle(databases, vault=vault, threads=8, steps=steps, seed=place.seed)
        wrong = {words: number for words, number in seen.items() if words not in ("right", "too late")}
        chapter.rows.append([kind, f"{8 * steps:,}", f"{seen['right']:,}", sum(wrong.values())])
        chapter.must(seen["right"] == 8 * steps, f"{kind}: {wrong}.")
    return chapter


def mutants(_: Place) -> Chapter:
    """Every mutant against the tests that must kill it."""
    chapter = Chapter(
        title="Mutants",
        words=(
            f"Do the tests notice? {len(MUTANTS)} mistakes, each made in a copy of the source, against tests that "
            f"must fail on it. The first {NAMED} break one thing each that the promise rests on."
        ),
        columns=("Mistake", "With it …", "Noticed by"),
    )
    for death in try_all(MUTANTS):
        test = death.killer.rpartition("::")[2]
        chapter.rows.append(
            [death.mutant.name, death.mutant.breaks, f"`{test}`" if death.killed else "nobody"]
        )
        chapter.must(death.killed, f"{death.mutant.name} survives {test}.")
    return chapter


def failpoints(place: Place) -> Chapter:
    """One process breaks at every crash point, on every route."""
    chapter = Chapter(
        title="Crash points",
        words=(
            "A process of its own for each case: one send by one provider, and a break at one place (it dies, stands "
            "still, stands still and is believed dead, or fails and lives). Another process recovers. *Right* is the "
            "state, every attempt with its phase and reason, every event, and the provider's ledger."
        ),
        columns=("Database", "Crash point", "Cases", "Right"),
    )
    for kind in ("SQLite", "PostgreSQL"):
        folder = place.folder / f"failpoints-{kind}"
        server = place.server if kind == "PostgreSQL" else SqliteFolder(folder / "databases")
        cases, right = Counter[str](), Counter[str]()
        for case, via, wrong in run_every(server, folder):
            cases[case.point] += 1
            right[case.point] += not wrong
            chapter.must(
                not wrong, f"{kind}: {case.name} by {via}: {wrong.splitlines()[0] if wrong else ''}."
            )
        chapter.rows += [[kind, point, number, right[point]] for point, number in cases.items()]
    return chapter


CHAPTERS: Mapping[str, Callable[[Place], Chapter]] = {
    "failpoints": failpoints,
    "storms": storms,
    "restarts": restarts,
    "tokens": tokens,
    "clicks": clicks,
    "defaults": defaults,
    "mutants": mutants,
}
