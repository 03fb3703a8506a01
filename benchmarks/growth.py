"""Whether a send costs more when the tables are full."""

from dataclasses import replace
from statistics import median

from benchmarks.bulk import TITLES
from benchmarks.draining import Drained, drain
from benchmarks.ledger import DRAFT, Databases, fill
from benchmarks.multiplying import multiply
from benchmarks.report import Figure, Section, at_most
from benchmarks.stage import Stage

SHORT = replace(DRAFT, html="<p>Thank you for your time on Tuesday.</p>")
"""What the finished drafts say; the measured ones are of the usual size."""
TEXT = """
The ledger holds so many drafts with finished sends, their attempts and events: a thousand of them sent by a worker,
the rest copies made by the database. Then {sends:,} new sends are accepted and drained as in bulk, and their CPU is
compared. The sizes take turns in one run (rounds: {rounds}); medians are shown.
"""


def measure(stage: Stage) -> Section:
    """The same work on ledgers of growing size."""
    figures = [figure for databases in stage.databases for figure in _on(stage, databases)]
    return Section(
        name="growth",
        title="Cost against the size of the tables",
        text=TEXT.format(sends=stage.sizes.sends // 3, rounds=stage.sizes.rounds),
        figures=figures,
        left_out=stage.left_out,
    )


def _on(stage: Stage, databases: Databases) -> list[Figure]:
    rows = stage.sizes.rows
    urls = {size: _ledger(stage, databases, size=size) for size in rows}
    drained: dict[int, list[Drained]] = {size: [] for size in rows}
    for number in range(stage.sizes.rounds):
        for size, url in urls.items():
            drained[size].append(_more(stage, url, number=number))
    title = TITLES[databases.kind]
    cpu = {size: median(each.cpu for each in found) for size, found in drained.items()}
    server = {size: median(each.server_cpu for each in found) for size, found in drained.items()}
    least, most = min(rows), max(rows)
    figures = [
        Figure(f"CPU of a durable send after {size:,}, {title}", cpu[size] * 1e3, "ms") for size in rows
    ]
    figures.append(
        Figure(f"after {most:,} ÷ after {least:,}, {title}", cpu[most] / cpu[least], gate=at_most(1.3))
    )
    if databases.kind == "postgresql":
        whole = (cpu[most] + server[most]) / (cpu[least] + server[least])
        figures.append(Figure("the same with the PostgreSQL server's CPU", whole, gate=at_most(1.3)))
    wrong = sum(abs(each.lost) + each.doubled for found in drained.values() for each in found)
    return [*figures, Figure(f"lost or taken twice, {title}", wrong, gate=at_most(0))]


def _ledger(stage: Stage, databases: Databases, *, size: int) -> str:
    """A database with ``size`` finished sends; its URL."""
    least = min(stage.sizes.rows)
    url = databases.create(f"growth_{size}")
    mailboxes = least // stage.sizes.sends_each
    fill(
        stage.environment(url),
        mailboxes=mailboxes,
        drafts_each=stage.sizes.sends_each,
        accepted=True,
        draft=SHORT,
    )
    drain(stage, url, count=mailboxes * stage.sizes.sends_each)
    multiply(url, copies=size // least - 1)
    return url


def _more(stage: Stage, url: str, *, number: int) -> Drained:
    """Accept some more, from mailboxes of their own, and drain them."""
    mailboxes = max(stage.sizes.sends // 3 // stage.sizes.sends_each, 1)
    fill(
        stage.environment(url),
        mailboxes=mailboxes,
        drafts_each=stage.sizes.sends_each,
        accepted=True,
        first=(number + 1) * 1_000_000,
    )
    return drain(stage, url, count=mailboxes * stage.sizes.sends_each)
