"""Whatever the other side writes, reading it gives something plain or nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replysequence.providers.accounts import account_address, account_name
from replysequence.providers.answers import (
    LONGEST_WAIT,
    json_object,
    mapping,
    mappings,
    parse_object,
    provider_id,
    retry_delay,
    word,
)
from replysequence.providers.http import Answer

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        ("17", 17),
        (" 17 ", 17),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 400, 3600),
        ("Sun, 22 Nov 2026 09:31:00 GMT", 60),
        ("Sunday, 22-Nov-26 09:31:00 GMT", 60),
        ("Sun, 22 Nov 2026 10:31:00 +0100", 60),
        ("Sun, 22 Nov 2026 09:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("nan", None),
        ("²", None),
        ("soon", None),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_a_wait_is_read_as_a_number_or_a_date_up_to_an_hour(*, header: str, seconds: float | None) -> None:
    assert retry_delay({"retry-after": header}, now=NOW) == seconds


def test_no_header_is_no_wait() -> None:
    assert retry_delay({}, now=NOW) is None


@given(st.text())
def test_any_header_gives_a_wait_within_bounds_or_none(header: str) -> None:
    delay = retry_delay({"retry-after": header}, now=NOW)

    assert delay is None or timedelta(0) <= timedelta(seconds=delay) <= LONGEST_WAIT


@given(st.binary())
def test_any_body_is_an_object_or_an_empty_one(body: bytes) -> None:
    assert isinstance(parse_object(body), dict)
    assert json_object(Answer(200, {}, body, truncated=True)) == {}


@given(ANY_JSON)
def test_any_value_is_read_as_what_it_should_be_or_as_nothing(value: object) -> None:
    assert isinstance(mapping(value), dict)
    assert all(isinstance(item, dict) for item in mappings(value))
    assert word(value) == "" or (isinstance(value, str) and word(value) == value)
    assert provider_id(value) in (None, value)
    assert "\n" not in account_name(value)
    assert account_address(value) is None or "@" in str(account_address(value))


@pytest.mark.parametrize(
    "token", ["ya29.a0AfH6SN", "eyJhbGciOi.eyJzdWIi.c2ln", "x" * 61, "two words", "a\r\nb", "", 7]
)
def test_what_might_be_a_token_or_a_sentence_is_no_error_code(*, token: object) -> None:
    assert word(token) == ""


@pytest.mark.parametrize(
    "code", ["invalid_grant", "RequestBroker--ParseUri", "ErrorAccessDenied", "rateLimitExceeded"]
)
def test_the_codes_that_providers_use_are_kept(*, code: str) -> None:
    assert word(code) == code
