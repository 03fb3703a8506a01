"""CPU of a durable send in bulk, against what the vendors' clients spend on the bare call."""

from statistics import median

from benchmarks.draining import Drained, drain
from benchmarks.ledger import Databases, fill
from benchmarks.programs import program
from benchmarks.report import Figure, Section, at_least, at_most
from benchmarks.stage import Stage

TEXT = """
Accepted sends lie in the ledger, {each} for each of {mailboxes:,} mailboxes, put there by the code that a request
runs. One worker process drains them: claim, decrypt, build the message, commit `sending`, call the provider, write
outcome, attempt and event. Its CPU is divided by the sends. What it is compared with makes the bare call only, with a
message built once and a connection that is used again: nothing is stored, nothing is decrypted, nothing is built.
All take turns in one run, and the medians of the turns are shown (rounds: {rounds}).
"""
PEERS = {
    "own_client": "our HTTP client, bare call",
    "google_client": "google-api-python-client, bare call",
    "graph_sdk": "msgraph-sdk, bare call",
}
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


def measure(stage: Stage) -> Section:
    """Sends through the whole engine on each database, and bare calls, in turns."""
    sizes = stage.sizes
    mailboxes = sizes.sends // sizes.sends_each
    for databases in stage.databases:
        url = databases.create("bulk")
        fill(stage.environment(url), mailboxes=mailboxes, drafts_each=sizes.sends_each, accepted=True)
    calls: dict[str, list[float]] = {peer: [] for peer in PEERS}
    drains: dict[str, list[Drained]] = {databases.kind: [] for databases in stage.databases}
    for number in range(sizes.rounds):
        for databases in stage.databases:
            drains[databases.kind].append(_drain_copy(stage, databases, number=number))
        for peer in PEERS:
            calls[peer].append(call(stage, peer))
    return Section(
        name="bulk",
        title="A durable send in bulk",
        text=TEXT.format(each=sizes.sends_each, mailboxes=mailboxes, rounds=sizes.rounds),
        figures=_figures(drains, {peer: median(found) for peer, found in calls.items()}),
        left_out=stage.left_out,
    )


def call(stage: Stage, peer: str) -> float:
    """CPU seconds of one bare call by a peer."""
    count = stage.sizes.calls
    arguments = (stage.providers.url, str(stage.providers.authority), str(count))
    trusted = {"HTTPLIB2_CA_CERTS": str(stage.providers.authority)}
    with program(f"benchmarks.peers.{peer}", *arguments, folder=stage.folder, environment=trusted) as caller:
        before = caller.hear()
        after = caller.ask("go")
    used: float = after["cpu"] - before["cpu"]
    return used / count


def _drain_copy(stage: Stage, databases: Databases, *, number: int) -> Drained:
    return drain(stage, databases.copy("bulk", f"bulk_{number}"), count=stage.sizes.sends)


def _figures(drains: dict[str, list[Drained]], calls: dict[str, float]) -> list[Figure]:
    every = [each for found in drains.values() for each in found]
    cpu = {kind: median(each.cpu for each in found) for kind, found in drains.items()}
    figures: list[Figure] = []
    for kind, found in drains.items():
        title = TITLES[kind]
        figures += [
            Figure(f"CPU of a durable send, {title}", cpu[kind] * 1e3, "ms"),
            Figure(
                f"sends a second and core, {title}",
                1 / cpu[kind],
                gate=at_least(1100) if kind == "sqlite" else None,
            ),
            Figure(f"sends a second in this run, {title}", median(each.per_second for each in found)),
        ]
    figures += [Figure(f"CPU of {what}", calls[peer] * 1e3, "ms") for peer, what in PEERS.items()]
    figures += [
        Figure(
            "durable send on SQLite ÷ bare call of google-api-python-client",
            cpu["sqlite"] / calls["google_client"],
            gate=at_most(0.25),
        ),
        Figure(
            "durable send on SQLite ÷ bare call of msgraph-sdk",
            cpu["sqlite"] / calls["graph_sdk"],
            gate=at_most(0.125),
        ),
        Figure("durable send on SQLite ÷ bare call of our HTTP client", cpu["sqlite"] / calls["own_client"]),
    ]
    if "postgresql" in cpu:
        server = median(each.server_cpu for each in drains["postgresql"])
        figures += [
            Figure(
                "durable send on PostgreSQL ÷ on SQLite", cpu["postgresql"] / cpu["sqlite"], gate=at_most(2)
            ),
            Figure("CPU of the PostgreSQL server for a durable send", server * 1e3, "ms"),
        ]
    return [
        *figures,
        Figure("CPU of the stub for a send", median(each.stub_cpu for each in every) * 1e3, "ms"),
        Figure("messages lost", sum(each.lost for each in every), gate=at_most(0)),
        Figure("messages taken twice", sum(each.doubled for each in every), gate=at_most(0)),
    ]
