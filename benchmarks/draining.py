"""One worker drains a ledger of accepted sends against the stub: what it costs."""

from dataclasses import dataclass

from benchmarks.machine import cpu_of_family
from benchmarks.programs import program
from benchmarks.stage import Stage, states, wait_for


@dataclass(frozen=True, slots=True)
class Drained:
    """CPU in seconds for each send, of the worker and of the database server; memory in bytes."""

    cpu: float
    server_cpu: float
    stub_cpu: float
    per_second: float
    memory_idle: float
    memory: float
    lost: int
    doubled: int


def drain(stage: Stage, database_url: str, *, count: int) -> Drained:
    """Let a worker send the ``count`` accepted sends of this database."""
    sent_before = states(database_url).get("sent", 0)
    stub_before = stage.stub.ask("reset")["cpu"]
    with program(
        "benchmarks.workers", folder=stage.folder, environment=stage.environment(database_url)
    ) as worker:
        idle = worker.hear()
        server_before = _server_cpu(stage)
        before = worker.ask("go")
        seconds = wait_for(stage.stub, count)
        after = worker.ask("stop")
        server_after = _server_cpu(stage)
    tally = stage.stub.ask("tally")
    return Drained(
        cpu=(after["cpu"] - before["cpu"]) / count,
        server_cpu=(server_after - server_before) / count,
        stub_cpu=(tally["cpu"] - stub_before) / count,
        per_second=count / seconds,
        memory_idle=idle["memory"],
        memory=after["memory"],
        lost=count - (states(database_url).get("sent", 0) - sent_before),
        doubled=int(tally["doubled"] + tally["accepted"] - tally["distinct"]),
    )


def _server_cpu(stage: Stage) -> float:
    return 0.0 if stage.server is None else cpu_of_family(stage.server)
