"""The floors of the house, as data, and the reader that finds who breaks them.

A module's place is its dotted name below `replysequence`: `domain.mime`, `web.api.drafts`, `worker`.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "replysequence"

# Who may import what of ours, besides the own room. A place stands for itself and all that is inside it.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "domain": frozenset(),
    "providers": frozenset({"domain"}),
    "storage": frozenset({"domain"}),
    "services": frozenset({"domain", "logs", "providers", "storage"}),
    "web": frozenset({"domain", "logs", "providers.registry", "services"}),
    "sandbox": frozenset(),
    "settings": frozenset({"domain", "providers", "storage"}),
    "logs": frozenset({"domain"}),
    "reporter": frozenset({"domain", "logs", "services", "storage"}),
    "worker": frozenset({"domain", "logs", "reporter", "services", "storage"}),
    "process": frozenset({"domain", "logs", "settings"}),
    "app": frozenset(
        {"domain", "logs", "process", "providers", "reporter", "services", "settings", "storage"}
    )
    | frozenset({"worker"}),
    "working": frozenset({"app", "logs", "process", "settings"}),
    "serving": frozenset({"app", "domain", "logs", "process", "settings", "storage", "web"}),
    "cli": frozenset({"app", "domain", "logs", "process", "providers", "sandbox", "services", "serving"})
    | frozenset({"settings", "storage"}),
    "__main__": frozenset({"cli"}),
    "__init__": frozenset({"_version", "app", "domain", "providers", "services", "settings"}),
    "_version": frozenset(),
}

# The one home of each outside library, by the name that is imported. Two places only where 0002 says why.
HOMES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("providers.http",),
    "alembic": ("storage",),
    "argon2": ("services.signing_in",),
    "click": ("cli",),
    "cryptography": ("storage.vault",),
    "fastapi": ("web",),
    "jinja2": ("web",),
    "jwt": ("providers.id_token",),
    "markupsafe": ("web",),
    "nh3": ("services.sanitizing",),
    "prometheus_client": ("web",),
    "psycopg": ("storage",),
    "pybase64": ("providers", "storage"),
    "pydantic": ("web",),
    "sqlalchemy": ("storage",),
    "starlette": ("web",),
    "structlog": ("logs",),
    "uvicorn": ("serving",),
    "uvloop": ("process",),
    "yarl": ("providers.http",),
}

# A separate program, which stands in for the world: it builds its own pages, keys and tokens.
SANDBOX_LIBRARIES = frozenset(
    {"cryptography", "fastapi", "h11", "jinja2", "jwt", "pybase64", "starlette", "uvicorn", "uvloop"}
)

PROVIDER_NAMES = frozenset(
    {"gmail", "google", "google_calendar", "google_meet", "hubspot", "microsoft", "microsoft_calendar"}
    | {"outlook", "outlook_calendar", "resend", "salesforce", "teams", "zoom"}
)

NAMES_THAT_SAY_NOTHING = frozenset({"common", "helper", "helpers", "misc", "util", "utils"})


@dataclass(frozen=True, kw_only=True, order=True)
class Violation:
    """A line that breaks a rule of the house."""

    place: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.place}:{self.line}: {self.rule}"


def place_of(file: Path, *, root: Path) -> str:
    """The dotted place of a source file below the package's folder `root`; a package is its folder's name."""
    parts = file.relative_to(root).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return ".".join(parts)


def violations(source: str, *, place: str, is_package: bool = False) -> list[Violation]:
    """Every rule of the house that the module at `place` breaks, in the order of its lines."""
    tree = ast.parse(source)
    package = f"{PACKAGE}.{place}" if is_package else f"{PACKAGE}.{place}".rpartition(".")[0]
    found = [
        *_imports_out_of_place(tree, place=place, package=package),
        *_imports_inside_functions(tree, place=place),
        *_provider_names(tree, place=place),
    ]
    return sorted(found)


def _is_inside(name: str, place: str) -> bool:
    return name == place or name.startswith(f"{place}.")


def _imported(tree: ast.AST, *, package: str) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported; `from a import b` gives `a.b`, maybe a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.rsplit(".", node.level - 1)[0]
                base = f"{above}.{base}" if base else above
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def _imports_out_of_place(tree: ast.AST, *, place: str, package: str) -> Iterator[Violation]:
    room = place.partition(".")[0]
    for line, name in _imported(tree, package=package):
        library = name.partition(".")[0]
        if library == PACKAGE:
            rule = _broken_floor(name.removeprefix(PACKAGE).removeprefix("."), room=room)
        elif library in sys.stdlib_module_names:
            rule = None
        else:
            rule = _broken_home(library, place=place, room=room)
        if rule:
            yield Violation(place=place, line=line, rule=rule)


def _broken_floor(target: str, *, room: str) -> str | None:
    if room not in MAY_IMPORT:
        return f"the room {room} is not in the house: name its floor in tests/support/layers.py"
    if target == "__version__" or any(_is_inside(target, allowed) for allowed in MAY_IMPORT[room] | {room}):
        return None
    return f"{room} may not import {target or PACKAGE}"


def _broken_home(library: str, *, place: str, room: str) -> str | None:
    if room == "sandbox":
        return None if library in SANDBOX_LIBRARIES else f"{library} is no library of the sandbox"
    if library not in HOMES:
        return f"{library} has no home: name one in tests/support/layers.py and in docs/decisions/0002"
    if any(_is_inside(place, home) for home in HOMES[library]):
        return None
    return f"{library} lives in {' and '.join(HOMES[library])}"


def _imports_inside_functions(tree: ast.AST, *, place: str) -> Iterator[Violation]:
    for scope in ast.walk(tree):
        if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            for node in ast.walk(scope):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield Violation(
                        place=place, line=node.lineno, rule="an import inside a function or class"
                    )
        if isinstance(scope, ast.Call) and _name_called(scope) in {"__import__", "import_module"}:
            yield Violation(place=place, line=scope.lineno, rule="an import that no reader can follow")


def _name_called(call: ast.Call) -> str | None:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return None


def _provider_names(tree: ast.AST, *, place: str) -> Iterator[Violation]:
    """Comparisons, `in` tests and `match` cases with a provider's name, which its own file should decide."""
    if place.partition(".")[0] in {"providers", "sandbox"}:
        return
    for node in ast.walk(tree):
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
            case ast.MatchValue():
                sides = [node.value]
            case _:
                continue
        for name in sorted(PROVIDER_NAMES.intersection(_literals(sides))):
            yield Violation(
                place=place, line=sides[0].lineno, rule=f"only {name}'s own file may ask for its name"
            )


def _literals(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                yield from _literals(elements)
