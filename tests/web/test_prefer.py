"""How long a request may be held (RFC 7240)."""

import pytest

from replysequence.web.api.prefer import Wait, read_prefer


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (None, Wait(10, None)),
        ("", Wait(10, None)),
        ("wait=0", Wait(0, "wait=0")),
        ("wait=5", Wait(5, "wait=5")),
        ("Wait = 5", Wait(5, "wait=5")),
        ('wait="7"', Wait(7, "wait=7")),
        ("wait=31", Wait(30, "wait=30")),
        ("wait=999999999999", Wait(10, None)),
        ("wait=-1", Wait(10, None)),
        ("wait=soon", Wait(10, None)),
        ("respond-async", Wait(0, "respond-async")),
        ("respond-async, wait=4", Wait(4, "wait=4")),
        ("return=minimal, wait=3; x=y", Wait(3, "wait=3")),
    ],
)
def test_a_wish_to_wait_is_read_capped_or_ignored(header: str | None, wait: Wait) -> None:
    assert read_prefer(header) == wait
