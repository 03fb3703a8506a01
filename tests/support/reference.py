"""The parts of `docs/reference/` that are written from the code, so that they cannot disagree with it.

`python tests/support/reference.py` writes them anew; `tests/docs/test_reference.py` holds them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner
from fastapi import FastAPI

from replysequence.cli.commands import commands as command_line
from replysequence.providers.base import Variable, VariableKind
from replysequence.providers.registry import PROVIDERS
from replysequence.settings import OWN_VARIABLES
from replysequence.web import api

ROOT = Path(__file__).parents[2]
MARK = "<!-- Written from the code by tests/support/reference.py. Change the code, not what follows. -->"

Json = Mapping[str, Any]

_TOPICS = {
    "integrations": "Connected accounts",
    "sends": "Sends",
    "drafts": "Drafts and their files",
    "events": "Events",
    "reports": "Reports to CRMs",
    "webhooks": "Webhooks",
    "health": "Health",
}
_EXPLAINED_ELSEWHERE = {"Kind": "events.md", "State": "states.md"}
_OF_THE_FRAMEWORK = {"HTTPValidationError", "ValidationError", "JsonValue"}
_WORDS = {
    "boolean": "true or false",
    "date-time": "time",
    "integer": "whole number",
    "null": "null",
    "string": "text",
    "uuid": "UUID",
}
_METHODS = ("get", "post", "patch", "put", "delete")


def page(name: str) -> str:
    """What the page should hold: its own beginning, and what the code says."""
    beginning, mark, _ = (ROOT / name).read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{name} has lost the line {MARK}")
    return f"{beginning}{MARK}\n\n{GENERATED[name]().strip()}\n"


def settings_tables() -> str:
    """A table for our own variables, and one for each provider; a variable stands where it comes first."""
    told = set(OWN_VARIABLES)
    parts = ["## The program itself", _variables(OWN_VARIABLES)]
    for provider in PROVIDERS:
        new = tuple(variable for variable in provider.variables if variable not in told)
        told.update(new)
        parts += [f"## {provider.title}", _variables(new)]
    return "\n\n".join(parts)


def _variables(variables: tuple[Variable, ...]) -> str:
    rows = [
        (f"`{each.name}`", _meaning(each), f"`{each.default}`" if each.default else "") for each in variables
    ]
    return _table(("Variable", "Meaning", "Default"), rows)


def _meaning(variable: Variable) -> str:
    marks = [
        mark
        for mark, is_so in (("needed", variable.needed), ("secret", variable.kind is VariableKind.SECRET))
        if is_so
    ]
    return f"{variable.meaning} *({', '.join(marks)})*" if marks else variable.meaning


def cli_help() -> str:
    """The help of every command, as the program itself prints it."""
    return "\n\n".join(f"## `{command}`\n\n```text\n{_help(command)}\n```" for command in commands())


def _help(command: str) -> str:
    asked = [*command.split()[1:], "--help"]
    told = CliRunner().invoke(command_line, asked, prog_name="replysequence", terminal_width=100)
    return told.output.rstrip()


def commands() -> list[str]:
    """Every command as it is typed, groups too."""
    return list(_typed(command_line, "replysequence"))


def _typed(command: click.Command, name: str) -> Iterator[str]:
    yield name
    if isinstance(command, click.Group):
        for part in sorted(command.commands):
            yield from _typed(command.commands[part], f"{name} {part}")


@cache
def openapi() -> Json:
    """The OpenAPI description of the JSON API."""
    app = FastAPI(title="ReplySequence")
    for router in api.ROUTERS:
        app.include_router(router)
    return app.openapi()


def routes() -> list[str]:
    """Every route of the JSON API, as `POST /api/drafts`."""
    return [f"{method.upper()} {path}" for method, path, _ in _operations()]


def http_routes() -> str:
    """Every route with what it takes and answers, then every shape that these name."""
    operations = list(_operations())
    parts = []
    for tag, title in _TOPICS.items():
        parts.append(f"## {title}")
        parts += [_route(*each) for each in operations if each[2]["tags"] == [tag]]
    if left := {each[2]["tags"][0] for each in operations} - _TOPICS.keys():
        raise ValueError(f"no heading for routes about {left}")
    shapes = {name: shape for name, shape in openapi()["components"]["schemas"].items() if _is_shown(name)}
    parts.append("## Shapes")
    parts += [_shape(name, shape) for name, shape in shapes.items()]
    return "\n\n".join(parts)


def _operations() -> Iterator[tuple[str, str, Json]]:
    for path, methods in openapi()["paths"].items():
        yield from ((method, path, methods[method]) for method in _METHODS if method in methods)


def _route(method: str, path: str, operation: Json) -> str:
    parts = [f"### `{method.upper()} {path}`", _sentence(operation["summary"])]
    if "description" in operation:
        parts.append(_prose(operation["description"]))
    given = [
        (f"`{each['name']}`", each["in"], _type(each["schema"]), _prose(each.get("description", "")))
        for each in operation.get("parameters", [])
    ]
    if given:
        parts.append(_table(("Parameter", "In", "Type", "Meaning"), given))
    facts = [*_body(operation), *_answers(operation)]
    if facts:
        parts.append("\n".join(f"- {fact}" for fact in facts))
    return "\n\n".join(parts)


def _body(operation: Json) -> Iterator[str]:
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body, `{kind}`: {_type(content['schema'])}"


def _answers(operation: Json) -> Iterator[str]:
    for status, answer in sorted(operation["responses"].items()):
        shape = answer.get("content", {}).get("application/json", {}).get("schema", {})
        if status != "422":
            yield f"Answers {status}{': ' + _type(shape) if shape else ''}"


def _is_shown(name: str) -> bool:
    return name not in _OF_THE_FRAMEWORK and not name.startswith("Listing_")


def _shape(name: str, shape: Json) -> str:
    parts = [f"### {_title(name)}"]
    if name in _EXPLAINED_ELSEWHERE:
        parts.append(f"One of the words in [{_EXPLAINED_ELSEWHERE[name]}]({_EXPLAINED_ELSEWHERE[name]}).")
    elif "enum" in shape:
        parts += [_prose(shape.get("description", "")), ", ".join(f"`{value}`" for value in shape["enum"])]
    else:
        parts.append(_prose(shape.get("description", "")))
        required = shape.get("required", [])
        rows = [
            (f"`{field}`", _type(kind), _note(kind, needed=field in required))
            for field, kind in shape["properties"].items()
        ]
        parts.append(_table(("Field", "Type", "Note"), rows))
    return "\n\n".join(part for part in parts if part)


def _note(kind: Json, *, needed: bool) -> str:
    said = _prose(kind.get("description", ""))
    return said if needed else f"May be left out. {said}".strip()


def _type(schema: Json) -> str:
    match schema:
        case {"$ref": str(reference)}:
            said = _link(reference.rpartition("/")[2])
        case {"anyOf": list(kinds)}:
            said = " or ".join(dict.fromkeys(_type(kind) for kind in kinds))
        case {"enum": list(values)}:
            said = " or ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": kind}:
            said = f"list of {_type(kind)}"
        case {"type": "integer", "minimum": low, "maximum": high} if high < 10_000:
            said = f"{low:.0f} to {high:.0f}"
        case {"contentMediaType": _}:
            said = "file"
        case _:
            said = _WORDS.get(schema.get("format", schema.get("type")), "JSON")
    return said


def _link(name: str) -> str:
    if name.startswith("Listing_"):
        return f"page of {_link(name.removeprefix('Listing_').removesuffix('_'))}"
    if name in _OF_THE_FRAMEWORK:
        return "JSON"
    return f"[{_title(name)}](#{_title(name).lower().replace(' ', '-')})"


def _title(name: str) -> str:
    """`Body_attach_api_…` is the framework's own name for the fields of a form."""
    return f"Form to {name.split('_')[1]}" if name.startswith("Body_") else name


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def _prose(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


GENERATED: Mapping[str, Callable[[], str]] = {
    "docs/reference/settings.md": settings_tables,
    "docs/reference/cli.md": cli_help,
    "docs/reference/http.md": http_routes,
}
"""Each page that ends with a part from the code, and what writes it."""


if __name__ == "__main__":
    for name in GENERATED:
        (ROOT / name).write_text(page(name), encoding="utf-8")
