"""How large a message can become is known without writing it out."""

from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replysequence.domain.message import Address, Attachment, Message
from replysequence.providers.carrying import most_bytes, problems_of
from replysequence.providers.gmail import Gmail
from replysequence.providers.http import HttpClient
from replysequence.providers.outlook import Outlook
from replysequence.providers.resend import Resend
from support.messages import BOB, CHARLIE, a_message

MAILBOX = {
    "GMAIL_API_URL": "https://gmail.googleapis.com",
    "GRAPH_API_URL": "https://graph.microsoft.com/v1.0",
}
RELAY = {
    "RESEND_API_KEY": "re_canary",
    "RESEND_FROM": "relay@team.example",
    "RESEND_API_URL": "https://api.resend.com",
}

SWELLING = (
    "<hr>",
    "<ul><ul><ul><li>",
    "<p>",
    "=",
    "é",
    "𝄞",
    "漢",
    '"',
    "\x01",
    "\n",
    " \n",
    ".",
    "<a href='tel:1'>",
)
"""What grows most: rules and lists in the plain form, the rest where it is escaped or encoded."""

swelling_texts = st.lists(st.sampled_from(SWELLING), min_size=1, max_size=4).flatmap(
    lambda parts: st.integers(1, 400).map(lambda times: "x" + "".join(parts) * times)
)
names = st.text(st.sampled_from("aZ é漢𝄞=?_\"\\(.,'"), max_size=100)
messages = st.builds(
    a_message,
    html=swelling_texts | st.none(),
    text=swelling_texts,
    subject=names,
    cc=st.lists(names.map(lambda name: Address(name, "cc@customer.example")), max_size=20).map(tuple),
    attachments=st.lists(
        st.builds(
            Attachment,
            filename=names.map(lambda name: f"f{name.translate(str.maketrans('', '', chr(92)))}.pdf"),
            content_type=st.just("application/pdf"),
            content=st.integers(0, 5000).map(bytes),
            content_id=st.none() | st.just("image-1"),
        ),
        max_size=3,
    ).map(tuple),
    in_reply_to=st.none() | st.just("<before@customer.example>"),
    references=st.integers(0, 50).map(lambda count: ("<a.long.one.of.somebody@customer.example>",) * count),
    send_id=st.just("0193-send"),
)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(
            lambda each: Gmail(MAILBOX, HttpClient()).prepare(each, thread_id=None).body, id="gmail"
        ),
        pytest.param(
            lambda each: Outlook(MAILBOX, HttpClient()).prepare(each, thread_id=None).body, id="outlook"
        ),
        pytest.param(lambda each: Resend(RELAY, HttpClient()).prepare(each).body, id="resend"),
    ],
)
def test_no_form_of_a_message_is_larger_than_foretold(write: Callable[[Message], bytes]) -> None:
    @given(messages)
    def check(message: Message) -> None:
        assert len(write(message)) <= most_bytes(message)

    check()


def test_a_message_far_below_the_limit_is_not_written_out() -> None:
    assert problems_of(a_message(), provider="P", max_recipients=10, max_bytes=1_000_000, size=_never) == []


def test_a_message_that_could_be_too_large_is_measured() -> None:
    large = a_message(html="x" * 500_000)
    (problem,) = problems_of(
        large, provider="P", max_recipients=10, max_bytes=1_000_000, size=lambda: 1_000_001
    )
    assert (problem.field, problem.severity) == ("html", "blocker")
    assert (
        problems_of(large, provider="P", max_recipients=10, max_bytes=1_000_000, size=lambda: 999_999) == []
    )


def test_too_many_recipients_are_told_whatever_the_size() -> None:
    (problem,) = problems_of(
        a_message(cc=(BOB, CHARLIE)), provider="P", max_recipients=2, max_bytes=1_000_000, size=_never
    )
    assert problem.field == "to"


def _never() -> NoReturn:
    raise AssertionError("it was written out")
