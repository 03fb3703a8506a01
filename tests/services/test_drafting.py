"""Drafts before they are sent: what preflight says, and that the preview is what the recipient gets."""

import pytest

from replysequence.domain.errors import Conflict, InvalidInput, NotFound
from replysequence.domain.message import Attachment
from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.mailbox import open_mail
from replysequence.services.sanitizing import leaves_out, sanitize
from replysequence.storage.ids import new_id
from support.office import DANA, Opening

HOSTILE = (
    '<p onclick="steal()" style="color:red;position:fixed">Hello <b>Bob</b></p>'
    "<script>steal()</script><iframe src='https://evil.example'></iframe>"
    '<a href="javascript:steal()">here</a><!-- secret --><form action="/x"><input name="y"></form>'
)


async def test_preflight_says_which_way_a_draft_leaves_and_that_nothing_is_in_its_way(
    office: Opening,
) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        preflight = it.app.services.drafting.preflight
        by_relay = await preflight(alice, draft_id=draft.id)
        assert (by_relay.via, by_relay.via_title, by_relay.can_send) == ("resend", "Resend", True)
        assert by_relay.reply_to[0].email.startswith("alice")
        mailbox = await it.connect(alice)
        by_mailbox = await preflight(alice, draft_id=draft.id)
        assert (by_mailbox.via, by_mailbox.connection_id) == ("gmail", mailbox.id)
        assert by_mailbox.sender is not None
        assert by_mailbox.sender.email == DANA
        assert (by_mailbox.problems, by_mailbox.reply_to) == ((), ())
        assert by_mailbox.size > 0


async def test_preflight_names_every_blocker_with_its_field(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice, to=(), subject="", html=None)
        found = await it.app.services.drafting.preflight(alice, draft_id=draft.id)
        assert not found.can_send
        blockers = {problem.field for problem in found.problems if problem.severity == "blocker"}
        assert "to" in blockers


async def test_preflight_says_when_there_is_no_way_to_send(office: Opening) -> None:
    async with office(RESEND_API_KEY="") as it:
        alice = await it.person("Alice")
        draft = await it.draft(alice)
        found = await it.app.services.drafting.preflight(alice, draft_id=draft.id)
        assert (found.via, found.can_send) == (None, False)
        assert "Settings → Integrations" in found.problems[0].message


async def test_preflight_warns_that_a_broken_mailbox_keeps_the_message_waiting(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        it.box.world.accounts.at(Vendor.GOOGLE, DANA).switch({"at_send": "domain_policy"})
        await it.sent(alice)
        draft = await it.draft(alice)
        found = await it.app.services.drafting.preflight(alice, draft_id=draft.id)
        (warning,) = found.problems
        assert (warning.field, warning.severity) == ("connection_id", "warning")
        assert "it is not sent another way" in warning.message
        send, _ = await it.app.services.sending.accept(alice, draft_id=draft.id)
        assert send.state is State.WAITING


async def test_the_preview_is_what_the_recipient_gets(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        await it.connect(alice)
        draft = await it.draft(alice, html=HOSTILE)
        preview = await it.app.services.drafting.preview(alice, draft_id=draft.id)
        preview_text = await it.app.services.drafting.preview_text(alice, draft_id=draft.id)
        for word in ("script", "steal", "iframe", "form", "secret", "position"):
            assert word not in preview
        found = await it.app.services.drafting.preflight(alice, draft_id=draft.id)
        assert [problem.field for problem in found.problems] == ["html"]
        await it.app.services.sending.accept(alice, draft_id=draft.id)
        await it.work()
        received = open_mail(it.box.world.inbox("bob@customer.example")[0].delivered)
        assert (received.html or "").splitlines() == preview.splitlines()
        assert (received.text or "").splitlines() == preview_text.splitlines()


@pytest.mark.parametrize(
    "html",
    [
        "<p>one<p>two<br>three",
        "<html><head><title>t</title></head><body><p>Hello</p></body></html>",
        "1 < 2 & 3 > 2",
        "<P>Loud</P><img src='cid:x'/>",
    ],
)
def test_html_that_is_only_tidied_is_not_said_to_lose_anything(html: str) -> None:
    assert not leaves_out(html)


@pytest.mark.parametrize(
    "html",
    ["<p>one<p>two<script>x()</script>", "<style>p{}</style><p>a</p>", "<object></object>", "<form></form>"],
)
def test_html_that_loses_an_element_is_said_to(html: str) -> None:
    assert leaves_out(html)


def test_sanitising_twice_changes_nothing_more() -> None:
    once = sanitize(HOSTILE)
    assert sanitize(once) == once


async def test_a_draft_that_is_being_sent_cannot_be_thrown_away(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        send = await it.accept(alice)
        drafting = it.app.services.drafting
        with pytest.raises(Conflict) as refused:
            await drafting.delete(alice, draft_id=send.draft_id)
        assert (refused.value.code, refused.value.details) == ("being_sent", {"send_id": send.id})
        await it.work()
        await drafting.delete(alice, draft_id=send.draft_id)
        with pytest.raises(NotFound):
            await drafting.get(alice, draft_id=send.draft_id)


async def test_the_list_shows_where_the_latest_send_stands_and_is_paged(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        sent = await it.sent(alice, subject="sent")
        for number in range(2):
            await it.draft(alice, subject=str(number))
        listed = it.app.services.drafting.list
        first = await listed(alice, limit=2)
        second = await listed(alice, limit=2, before=first.next)
        assert [line.subject for line in first.items + second.items] == ["1", "0", "sent"]
        assert (second.items[0].state, second.items[0].send_id) == (State.SENT, sent.id)
        for nonsense in ("x", "2026-01-01_x", "2026-01-01T00:00:00_0193b2c4-0000-7000-8000-000000000001"):
            with pytest.raises(InvalidInput):
                await listed(alice, before=nonsense)


async def test_what_no_mail_has_is_refused_with_its_field(office: Opening) -> None:
    async with office() as it:
        alice = await it.person("Alice")
        for field, content in (("html", "x" * 3_000_000), ("subject", "x" * 256), ("text", "x" * 3_000_000)):
            with pytest.raises(InvalidInput) as refused:
                await it.draft(alice, **{field: content})
            assert refused.value.field == field
        draft = await it.draft(alice)
        for file in (
            Attachment("big.bin", "application/octet-stream", bytes(25 * 1024 * 1024 + 1)),
            Attachment(" ", "text/plain", b"x"),
        ):
            with pytest.raises(InvalidInput):
                await it.app.services.drafting.attach(alice, draft_id=draft.id, attachment=file)


async def test_a_strangers_hands_stay_off(office: Opening) -> None:
    async with office() as it:
        alice, charlie = await it.person("Alice"), await it.person("Charlie")
        draft, drafting = await it.draft(alice), it.app.services.drafting
        for attempt in (
            drafting.get(charlie, draft_id=draft.id),
            drafting.preflight(charlie, draft_id=draft.id),
            drafting.preview(charlie, draft_id=draft.id),
            drafting.delete(charlie, draft_id=draft.id),
            drafting.update(charlie, draft_id=draft.id, content=draft.content),
            drafting.attach(charlie, draft_id=draft.id, attachment=Attachment("a", "text/plain", b"")),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert (await drafting.list(charlie)).items == []


async def test_nobody_writes_drafts_for_a_person_who_is_not_there(office: Opening) -> None:
    async with office() as it:
        for nobody in (new_id(), "nobody"):
            with pytest.raises(NotFound):
                await it.draft(nobody)
