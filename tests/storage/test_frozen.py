"""A frozen message thaws to itself, for as long as it takes."""

from datetime import UTC, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from replysequence.domain.message import Address, Attachment, Message
from replysequence.storage import frozen
from support.messages import ALICE, BOB, CHARLIE, a_message

FILE = Attachment("plan.pdf", "application/pdf", b"%PDF", content_id="plan@acme")

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ADDRESS = st.builds(Address, TEXT, TEXT)
PEOPLE = st.lists(ADDRESS, max_size=3).map(tuple)
MESSAGES = st.builds(
    a_message,
    sender=ADDRESS,
    to=PEOPLE,
    cc=PEOPLE,
    bcc=PEOPLE,
    reply_to=PEOPLE,
    subject=TEXT,
    html=st.none() | TEXT,
    text=st.none() | TEXT,
    in_reply_to=st.none() | TEXT,
    references=st.lists(TEXT, max_size=3).map(tuple),
    date=st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))])),
    send_id=st.just("s1"),
)


@given(MESSAGES)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    words, envelope = frozen.freeze(message, attachment_ids=[]), frozen.freeze_envelope(message)
    assert frozen.Frozen(words, envelope).thaw(send_id="s1", files={}) == message


def test_files_come_back_by_their_ids_in_their_order() -> None:
    other = Attachment("a.txt", "text/plain", b"a")
    message = a_message(attachments=(FILE, other), send_id="s1")
    words = frozen.freeze(message, attachment_ids=["f1", "f2"])
    stored = frozen.Frozen(words, frozen.freeze_envelope(message))
    assert stored.attachment_ids == ["f1", "f2"]
    assert stored.thaw(send_id="s1", files={"f2": other, "f1": FILE}) == message
    assert "%PDF" not in words


def test_the_envelope_alone_tells_who_writes_to_whom() -> None:
    message = a_message(cc=(CHARLIE,), bcc=(ALICE,), reply_to=(CHARLIE, ALICE))
    assert frozen.people(frozen.freeze_envelope(message)) == (ALICE, CHARLIE, (BOB, CHARLIE, ALICE))
    assert frozen.people(frozen.freeze_envelope(a_message()))[1] is None
    assert "Hello" not in frozen.freeze_envelope(message)
