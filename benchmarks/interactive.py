"""What a person waits for: time added to the provider's own, and what happens when many send at once."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from statistics import median

import psycopg

from benchmarks.bulk import TITLES
from benchmarks.ledger import Databases
from benchmarks.loading import Loaded, Site, provider_alone, send_all, sent_drafts, site
from benchmarks.report import Figure, Section, at_least, at_most
from benchmarks.stage import Sizes, Stage

CPU = 0.0005
"""Seconds of CPU in the floor."""
TURNS = 10
WARM_UP = 20
"""Sends before the measured ones, so that nothing is met for the first time."""
TEXT = """
One connection posts drafts one after another to `/api/drafts/send` and waits for each outcome. What the provider
alone takes, called in the same run over a connection that is used again, is taken off; the rest is *added*. The floor
is the time of two durable commits on the same disk by the bare driver, and 0.5 ms of CPU: a send that is on disk
before it is accepted, and before its first byte leaves, cannot be faster. Then many connections post at once, each
waiting for its outcome before the next. Beyond what the server admits it answers 503 with `Retry-After`; a refused
draft must have no send, an accepted one exactly one.
"""


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Sorted seconds of sends, of calls at the provider alone, and of durable commits, taken in turns."""

    sends: list[float]
    alone: list[float]
    commits: list[float]


def measure(stage: Stage) -> Section:
    """One after another on every database, then many at once."""
    return Section(
        name="interactive",
        title="An interactive send",
        text=TEXT,
        figures=[figure for databases in stage.databases for figure in _on(stage, databases)],
        left_out=stage.left_out,
    )


def _on(stage: Stage, databases: Databases) -> list[Figure]:
    sizes = stage.sizes
    people = 2 * max(sizes.at_once)
    needed = WARM_UP + sizes.one_by_one + sum(_many_each(sizes).values()) * sizes.rounds + 2 * sizes.too_many
    with site(stage, databases, name="interactive", people=people, drafts_each=-(-needed // people)) as at:
        send_all(at, at.take(WARM_UP), connections=4)
        single = _one_by_one(at, databases)
        many = _many_at_once(at)
        beyond = send_all(at, at.take(2 * sizes.too_many), connections=sizes.too_many)
        wrong = _half_accepted(at, beyond)
    title = TITLES[databases.kind]
    return [
        *_single(title, single),
        *_many(title, many),
        *_beyond(title, beyond, connections=sizes.too_many, wrong=wrong),
    ]


def _many_each(sizes: Sizes) -> dict[int, int]:
    """By number of connections: how many drafts one turn sends over them, two each at the least."""
    return {at_once: max(sizes.requests // sizes.rounds, 2 * at_once) for at_once in sizes.at_once}


def _many_at_once(at: Site) -> dict[int, list[Loaded]]:
    """Every number of connections in turns: what else the machine does then troubles all alike."""
    each = _many_each(at.stage.sizes)
    found: dict[int, list[Loaded]] = {at_once: [] for at_once in each}
    for _ in range(at.stage.sizes.rounds):
        for at_once, drafts in each.items():
            found[at_once].append(send_all(at, at.take(drafts), connections=at_once))
    return found


def _one_by_one(at: Site, databases: Databases) -> OneByOne:
    """Sends, bare calls and bare commits in many short turns: what else the disk does then troubles all alike."""
    turns = min(TURNS, at.stage.sizes.one_by_one)
    each = at.stage.sizes.one_by_one // turns
    found = OneByOne([], [], [])
    with _bare(at.stage, databases) as commit:
        for _ in range(turns):
            found.sends.extend(send_all(at, at.take(each), connections=1).seconds)
            found.alone.extend(provider_alone(at.stage, calls=each))
            found.commits.extend(commit() for _ in range(2 * each))
    return OneByOne(sorted(found.sends), sorted(found.alone), sorted(found.commits))


def _single(title: str, found: OneByOne) -> list[Figure]:
    alone = _part(found.alone, 50)
    floor = 2 * _part(found.commits, 50) + CPU
    added = _part(found.sends, 50) - alone
    return [
        Figure(f"the provider alone, p50, {title}", alone * 1e3, "ms"),
        Figure(f"floor, {title}", floor * 1e3, "ms"),
        Figure(f"added, p50, {title}", added * 1e3, "ms"),
        Figure(f"added, p99, {title}", (_part(found.sends, 99) - alone) * 1e3, "ms"),
        Figure(f"added p50 ÷ floor, {title}", added / floor, gate=at_most(3)),
    ]


def _many(title: str, many: dict[int, list[Loaded]]) -> list[Figure]:
    per_second = {at_once: median(turn.per_second for turn in turns) for at_once, turns in many.items()}
    figures: list[Figure] = []
    for at_once, turns in many.items():
        p50 = median(_part(turn.seconds, 50) for turn in turns)
        figures += [
            Figure(f"sends a second with {at_once} at once, {title}", per_second[at_once]),
            Figure(f"answer p50 with {at_once} at once, {title}", p50 * 1e3, "ms"),
        ]
    fewest, most = min(many), max(many)
    wrong = sum(
        abs(len(turn.answers["seconds"]) - turn.taken) + turn.doubled
        for turns in many.values()
        for turn in turns
    )
    return [
        *figures,
        Figure(
            f"sends a second with {most} at once ÷ with {fewest}, {title}",
            per_second[most] / per_second[fewest],
            gate=at_least(0.95),
        ),
        Figure(f"memory with {most} at once, {title}", many[most][-1].memory / 1e6, "MB", at_most(130)),
        Figure(f"drafts not sent exactly once, {title}", wrong, gate=at_most(0)),
    ]


def _beyond(title: str, found: Loaded, *, connections: int, wrong: int) -> list[Figure]:
    answers = found.answers
    other = sum(answers["statuses"].values()) - len(answers["accepted"]) - len(answers["refused"])
    beside = answers["without_retry_after"] + answers["broken"] + other
    return [
        Figure(f"accepted of {connections} at once, {title}", len(answers["accepted"])),
        Figure(f"answered 503 of {connections} at once, {title}", len(answers["refused"])),
        Figure(f"answered otherwise, without `Retry-After`, or not at all, {title}", beside, gate=at_most(0)),
        Figure(f"half accepted, {title}", wrong, gate=at_most(0)),
    ]


def _half_accepted(at: Site, found: Loaded) -> int:
    """Refused drafts that have a send, and accepted ones that have none."""
    kept = sent_drafts(at)
    refused = {each.replace("-", "") for each in found.answers["refused"]}
    accepted = {each.replace("-", "") for each in found.answers["accepted"]}
    return len(refused & kept) + len(accepted - kept)


@contextmanager
def _bare(stage: Stage, databases: Databases) -> Iterator[Callable[[], float]]:
    """Makes one durable commit of one row by the bare driver, and says how many seconds it took."""
    url = databases.create("floor")
    if databases.kind == "sqlite":
        with closing(sqlite3.connect(stage.folder / "floor.db", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            yield _timed(connection.execute)
    else:
        with psycopg.connect(url, autocommit=True) as server:
            yield _timed(server.execute)


def _timed(execute: Callable[[str], object]) -> Callable[[], float]:
    execute("CREATE TABLE floor (id INTEGER PRIMARY KEY, at TEXT)")
    numbers = count()

    def commit() -> float:
        began = time.perf_counter()
        execute("BEGIN")
        execute(f"INSERT INTO floor VALUES ({next(numbers)}, 'x')")
        execute("COMMIT")
        return time.perf_counter() - began

    return commit


def _part(ordered: list[float], percent: int) -> float:
    """The value that so many percent of them do not exceed."""
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]
