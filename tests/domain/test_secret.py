"""A secret shows itself nowhere but through `reveal`."""

import copy
import json
import logging
import pickle

import pytest

from replysequence.domain.secret import Secret

CANARY = "canary-7f3a"


@pytest.mark.parametrize(
    "shown",
    [
        str(Secret(CANARY)),
        repr(Secret(CANARY)),
        f"{Secret(CANARY)}",
        f"{Secret(CANARY)!r:>40}",
        "{:s}".format(Secret(CANARY)),  # noqa: UP032 - the old ways count too
        "%s %r" % (Secret(CANARY), Secret(CANARY)),  # noqa: UP031
        repr({"token": [Secret(CANARY)]}),
        str(ValueError(Secret(CANARY))),
        logging.Formatter().format(
            logging.LogRecord("room", logging.INFO, __file__, 1, "%s", (Secret(CANARY),), None)
        ),
    ],
)
def test_no_text_form_shows_it(shown: str) -> None:
    assert CANARY not in shown
    assert "***" in shown


def test_it_can_be_neither_pickled_copied_nor_turned_into_json() -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, json.dumps):
        with pytest.raises(TypeError) as refused:
            attempt(Secret(CANARY))
        assert CANARY not in str(refused.value)


def test_it_has_no_other_attribute_to_look_into() -> None:
    with pytest.raises(TypeError):
        vars(Secret(CANARY))


def test_it_equals_only_a_secret_of_the_same_value() -> None:
    assert Secret(CANARY) == Secret(CANARY)
    assert hash(Secret(CANARY)) == hash(Secret(CANARY))
    assert Secret(CANARY) != Secret("other")
    assert Secret(CANARY) != CANARY


def test_an_empty_string_is_none() -> None:
    with pytest.raises(ValueError, match="empty"):
        Secret("")


def test_reveal_gives_the_value() -> None:
    assert Secret(CANARY).reveal() == CANARY
