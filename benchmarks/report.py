"""Figures, what they must reach, and the page that shows them.

Each benchmark returns a :class:`Section`. They are kept as JSON, one entry for each benchmark with the circumstances
of its run, and ``docs/benchmarks.md`` is written from that: who runs one benchmark alone renews its section only.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self


@dataclass(frozen=True, slots=True)
class Gate:
    """What a figure must reach."""

    kind: Literal["at most", "at least"]
    bound: float

    def holds(self, value: float) -> bool:
        return value <= self.bound if self.kind == "at most" else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.kind == 'at most' else '≥'} {number(self.bound)}"


def at_most(bound: float) -> Gate:
    return Gate("at most", bound)


def at_least(bound: float) -> Gate:
    return Gate("at least", bound)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. ``unit`` may be empty: then it is a ratio or a count."""

    name: str
    value: float
    unit: str = ""
    gate: Gate | None = None

    @property
    def verdict(self) -> str:
        if self.gate is None:
            return ""
        return "holds" if self.gate.holds(self.value) else "**does not hold**"

    @property
    def shown(self) -> str:
        return f"{number(self.value)} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Where, when, how and with what a section was measured."""

    command: str
    date: str
    machine: str
    versions: str


@dataclass(frozen=True, slots=True)
class Section:
    """What one benchmark found. ``text`` tells a reader what was done and how to read it."""

    name: str
    title: str
    text: str
    figures: Sequence[Figure]
    circumstances: Circumstances | None = None
    left_out: Sequence[str] = field(default_factory=tuple)
    """Sentences about what could not be measured here."""

    @property
    def gated(self) -> list[Figure]:
        return [figure for figure in self.figures if figure.gate is not None]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Self:
        figures = [
            Figure(**{**each, "gate": Gate(**each["gate"]) if each["gate"] else None})
            for each in kept["figures"]
        ]
        found = kept["circumstances"]
        return cls(**{**kept, "figures": figures, "circumstances": Circumstances(**found) if found else None})


def keep(sections: Sequence[Section], *, results: Path, order: Sequence[str]) -> list[Section]:
    """Put ``sections`` in the place of the earlier ones of the same names, and return all in ``order``."""
    kept = {section.name: section for section in read(results)}
    kept |= {section.name: section for section in sections}
    ordered = [kept[name] for name in order if name in kept]
    text = json.dumps([section.to_json() for section in ordered], indent=1, ensure_ascii=False)
    results.write_text(f"{text}\n", encoding="utf-8")
    return ordered


def read(results: Path) -> list[Section]:
    """The sections of earlier runs; none when there was no run."""
    if not results.exists():
        return []
    return [Section.from_json(kept) for kept in json.loads(results.read_text(encoding="utf-8"))]


HEADER = """\
# Benchmarks

*Written by `make bench`; do not edit. What is measured and how it is run: [benchmarks/README.md]\
(../benchmarks/README.md).*

**How to read this.** Every gate is about a ratio or a cost in CPU time, measured within one run on one machine, with
what it is compared to in the same run: such figures survive another machine. CPU is that of the process under test,
all its threads together, as the kernel counts it (`getrusage`); the provider is a stub in a process of its own that
answers over TLS after 80 ms, and PostgreSQL's own CPU is shown apart. Sends a second depend on the machine and on
what else ran on it; *sends a second and core* is one divided by the CPU seconds of a send. Every benchmark counts what
the provider took: messages lost and messages taken twice are figures like any other.
"""


def page(sections: Sequence[Section]) -> str:
    """The whole of ``docs/benchmarks.md``."""
    return "\n".join([HEADER, *_summary(sections), *(_section(section) for section in sections)])


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    rows = [f"| {figure.name} | {_cells(figure)} |" for figure in figures]
    return "\n".join(["| figure | measured | gate | |", "|---|---:|---:|---|", *rows])


def _cells(figure: Figure) -> str:
    return f"{figure.shown} | {figure.gate or ''} | {figure.verdict}"


def number(value: float) -> str:
    """A value with as many digits as can be meant: three, or all of a whole number."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:.{digits}f}"


def _summary(sections: Sequence[Section]) -> list[str]:
    """How many gates hold, and each of them in one table."""
    gated = [(section, figure) for section in sections for figure in section.gated]
    holding = sum(figure.verdict == "holds" for _, figure in gated)
    rows = [f"| {section.title} | {figure.name} | {_cells(figure)} |" for section, figure in gated]
    head = ["| | figure | measured | gate | |", "|---|---|---:|---:|---|"]
    return [f"{holding} of {len(gated)} gates hold.\n", "\n".join([*head, *rows]), ""]


def _section(section: Section) -> str:
    parts = [f"## {section.title}\n", section.text.strip(), "", table(section.figures), ""]
    parts += [f"Left out: {sentence}\n" for sentence in section.left_out]
    found = section.circumstances
    if found:
        parts.append(
            f"Measured {found.date} by `{found.command}` on {found.machine}, with {found.versions}.\n"
        )
    return "\n".join(parts)
