"""Drafts and their files: versions that never lose a change, and nothing for anybody else."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from replysequence.domain.draft import Draft, DraftContent
from replysequence.domain.errors import Conflict, NotFound
from replysequence.domain.event import Kind
from replysequence.domain.message import Address, Attachment
from replysequence.storage import attachments, drafts, events
from replysequence.storage.database import Database
from replysequence.storage.drafts import DraftHead
from replysequence.storage.ids import new_id

FULL = DraftContent(
    to=(Address("Dana Ng", "dana@customer.example"), Address("", "plain@customer.example")),
    cc=(Address("Ünal, Çelik", "cc@customer.example"),),
    bcc=(Address("", "crm@log.example"),),
    reply_to=(Address("Alice", "alice@team.example"),),
    subject="Our talk of today — next steps 🚀",
    html="<p>Thank you</p>",
    text="Thank you",
    in_reply_to="<1@customer.example>",
    references=("<0@customer.example>", "<1@customer.example>"),
    thread_id="18c2",
    connection_id=new_id(),
)
FILE = Attachment("offer.pdf", "application/pdf", b"%PDF\0\xff", None)


def create(database: Database, user_id: str, subject: str = "Hello") -> Draft:
    return database.run(drafts.create, user_id=user_id, content=DraftContent(subject=subject))


def attach(database: Database, draft: Draft, attachment: Attachment = FILE) -> str:
    info = database.run(attachments.add, user_id=draft.user_id, draft_id=draft.id, attachment=attachment)
    return info.id


def version(database: Database, draft: Draft) -> int:
    return database.run(drafts.get, user_id=draft.user_id, draft_id=draft.id).version


def test_a_draft_comes_back_as_it_was_written(database: Database, alice: str) -> None:
    made = database.run(drafts.create, user_id=alice, content=FULL)
    assert database.run(drafts.get, user_id=alice, draft_id=made.id) == made
    assert made.version == 1
    assert made.content == FULL


texts = st.text(st.characters(codec=None), max_size=40)  # with NUL and lone surrogates


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(subject=texts, html=st.none() | texts, name=texts, references=st.lists(texts, max_size=3))
def test_no_character_at_all_breaks_a_draft(
    database: Database, alice: str, *, subject: str, html: str | None, name: str, references: list[str]
) -> None:
    content = DraftContent(
        subject=subject, html=html, to=(Address(name, name),), references=tuple(references)
    )
    made = database.run(drafts.create, user_id=alice, content=content)
    assert database.run(drafts.get, user_id=alice, draft_id=made.id).content == content


def test_each_change_raises_the_version(database: Database, alice: str) -> None:
    made = create(database, alice)
    changed = database.run(drafts.update_content, user_id=alice, draft_id=made.id, content=FULL, version=1)
    assert (changed.version, changed.content) == (2, FULL)
    assert changed.updated_at > made.updated_at
    attachment_id = attach(database, made)
    assert version(database, made) == 3
    database.run(attachments.remove, user_id=alice, draft_id=made.id, attachment_id=attachment_id)
    assert version(database, made) == 4
    database.run(drafts.update_content, user_id=alice, draft_id=made.id, content=FULL)
    assert version(database, made) == 5


def test_a_change_to_an_old_version_is_refused_and_says_the_current_one(
    database: Database, alice: str
) -> None:
    made = create(database, alice)
    database.run(drafts.update_content, user_id=alice, draft_id=made.id, content=FULL, version=1)
    with pytest.raises(Conflict) as refused:
        database.run(
            drafts.update_content, user_id=alice, draft_id=made.id, content=DraftContent(), version=1
        )
    assert (refused.value.code, refused.value.details) == ("version_conflict", {"version": 2})
    assert database.run(drafts.get, user_id=alice, draft_id=made.id).content == FULL


def test_of_many_changes_to_one_version_exactly_one_is_made(database: Database, alice: str) -> None:
    made = create(database, alice)

    def change(number: int) -> bool:
        content = DraftContent(subject=str(number))
        try:
            database.run(drafts.update_content, user_id=alice, draft_id=made.id, content=content, version=1)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(change, range(24))).count(True) == 1
    assert version(database, made) == 2


def test_a_deleted_draft_is_gone_for_good(database: Database, alice: str) -> None:
    made = create(database, alice)
    database.run(drafts.delete, user_id=alice, draft_id=made.id)
    assert database.run(drafts.list_for_user, user_id=alice) == []
    for act in (drafts.get, drafts.delete):
        with pytest.raises(NotFound):
            database.run(act, user_id=alice, draft_id=made.id)
    with pytest.raises(NotFound):
        database.run(drafts.update_content, user_id=alice, draft_id=made.id, content=FULL)
    with pytest.raises(NotFound):
        attach(database, made)
    told = database.run(events.list_for_user, user_id=alice, draft_id=made.id)
    assert [event.kind for event in told] == [Kind.DRAFT_DELETED, Kind.DRAFT_CREATED]


def test_a_list_pages_through_all_drafts_once_the_last_changed_first(database: Database, alice: str) -> None:
    made = [create(database, alice, str(number)) for number in range(23)]
    database.run(
        drafts.update_content, user_id=alice, draft_id=made[4].id, content=DraftContent(subject="new")
    )
    seen: list[DraftHead] = []
    before: tuple[datetime, str] | None = None
    while page := database.run(drafts.list_for_user, user_id=alice, before=before, limit=5):
        assert len(page) <= 5
        seen += page
        before = (page[-1].updated_at, page[-1].id)
    assert [head.subject for head in seen] == ["new", *(str(n) for n in range(22, -1, -1) if n != 4)]
    assert seen[0].version == 2


def test_a_list_and_a_draft_do_not_load_what_is_large(database: Database, alice: str) -> None:
    """The contents of files, and in lists the bodies, stay in the database."""
    made = create(database, alice)
    attach(database, made)
    statements: list[str] = []
    engine = database._engines[0]
    listener = lambda *arguments: statements.append(arguments[2])  # noqa: E731
    event.listen(engine, "before_cursor_execute", listener)
    database.run(drafts.list_for_user, user_id=alice)
    database.run(drafts.get, user_id=alice, draft_id=made.id)
    event.remove(engine, "before_cursor_execute", listener)
    assert len(statements) >= 3
    assert not [sql for sql in statements if "attachments.content," in sql or "attachments.content " in sql]
    assert "drafts.body" not in next(sql for sql in statements if "LIMIT" in sql)


def test_a_file_comes_back_byte_for_byte_and_is_listed_without_its_content(
    database: Database, alice: str
) -> None:
    made = create(database, alice)
    image = Attachment("logo.png", "image/png", bytes(range(256)) * 9, "logo@team.example")
    ids = [attach(database, made), attach(database, made, image)]
    listed = database.run(drafts.get, user_id=alice, draft_id=made.id).attachments
    assert [(info.id, info.filename, info.size, info.content_id) for info in listed] == [
        (ids[0], "offer.pdf", 6, None),
        (ids[1], "logo.png", 2304, "logo@team.example"),
    ]
    assert database.run(attachments.get, user_id=alice, draft_id=made.id, attachment_id=ids[1]) == image


def test_a_file_that_was_taken_off_is_still_there_for_a_send(database: Database, alice: str) -> None:
    made = create(database, alice)
    attachment_id = attach(database, made)
    database.run(attachments.remove, user_id=alice, draft_id=made.id, attachment_id=attachment_id)
    assert database.run(attachments.list_for_draft, user_id=alice, draft_id=made.id) == ()
    for act in (attachments.get, attachments.remove):
        with pytest.raises(NotFound):
            database.run(act, user_id=alice, draft_id=made.id, attachment_id=attachment_id)
    assert version(database, made) == 3, "what failed raised no version"
    loaded = database.run(attachments.load, user_id=alice, attachment_ids=[attachment_id, new_id()])
    assert loaded == {attachment_id: FILE}


@pytest.mark.parametrize("whose", ["another person's", "nobody's", "no id at all"])
def test_to_everybody_but_the_owner_a_draft_is_not_there(
    whose: str, database: Database, alice: str, bob: str
) -> None:
    hers = create(database, alice)
    file = attach(database, hers)
    his = create(database, bob)
    wanted = {"another person's": hers.id, "nobody's": new_id(), "no id at all": "%' --"}[whose]
    refusals = [
        lambda c: drafts.get(c, user_id=bob, draft_id=wanted),
        lambda c: drafts.delete(c, user_id=bob, draft_id=wanted),
        lambda c: drafts.update_content(c, user_id=bob, draft_id=wanted, content=FULL),
        lambda c: drafts.update_content(c, user_id=bob, draft_id=wanted, content=FULL, version=2),
        lambda c: attachments.add(c, user_id=bob, draft_id=wanted, attachment=FILE),
        lambda c: attachments.get(c, user_id=bob, draft_id=wanted, attachment_id=file),
        lambda c: attachments.remove(c, user_id=bob, draft_id=wanted, attachment_id=file),
        lambda c: attachments.get(c, user_id=bob, draft_id=his.id, attachment_id=file),
        lambda c: attachments.remove(c, user_id=bob, draft_id=his.id, attachment_id=file),
        lambda c: attachments.get(c, user_id=alice, draft_id=his.id, attachment_id=file),
    ]
    for refused in refusals:
        with pytest.raises(NotFound):
            database.run(refused)
    assert database.run(attachments.list_for_draft, user_id=bob, draft_id=wanted) == ()
    assert database.run(attachments.load, user_id=bob, attachment_ids=[file]) == {}
    assert [head.id for head in database.run(drafts.list_for_user, user_id=bob)] == [his.id]
    assert version(database, hers) == 2
    assert version(database, his) == 1
