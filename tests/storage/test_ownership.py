"""No function hands out or changes a person's rows without being told whose they are."""

import inspect
from types import ModuleType

import pytest

from replysequence.storage import (
    api_keys,
    attachments,
    connections,
    deciding,
    drafts,
    events,
    oauth_attempts,
    platforms,
    reports,
)

PERSONAL = [api_keys, attachments, connections, deciding, drafts, events, oauth_attempts, platforms, reports]

WITHOUT_OWNER = {
    "api_keys.find": "a key is looked up by its hash to learn whose it is",
    "connections.token_values": "a part of connect and of refreshing that only seals",
    "platforms.active": "for workers, who act for everybody",
    "events.append_many": "each event names its owner",
    "reports.add": "each send comes with its owner",
    "oauth_attempts.belongs_elsewhere": "tells only that a state waits, to who has the state",
    "oauth_attempts.forget_expired": "tidies up",
}


def public_functions(module: ModuleType) -> list[tuple[str, inspect.Signature]]:
    room = module.__name__.rpartition(".")[2]
    return [
        (f"{room}.{name}", inspect.signature(function))
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]


@pytest.mark.parametrize("module", PERSONAL, ids=lambda module: str(module.__name__.rpartition(".")[2]))
def test_every_function_takes_the_owner_by_name(module: ModuleType) -> None:
    functions = public_functions(module)
    assert len(functions) >= 3
    for name, signature in functions:
        if name not in WITHOUT_OWNER:
            assert signature.parameters["user_id"].kind is inspect.Parameter.KEYWORD_ONLY, name
            assert signature.parameters["user_id"].default is inspect.Parameter.empty, name


def test_every_exception_from_the_rule_exists() -> None:
    assert {name for module in PERSONAL for name, _ in public_functions(module)} >= WITHOUT_OWNER.keys()
