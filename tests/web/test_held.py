"""What waits for its owner's word, on the pages as plain forms and over the API."""

import re
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import update

from replysequence.domain.send import State
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.mailbox import open_mail
from replysequence.storage.database import Transaction, now
from replysequence.storage.tables import sends
from support.answers import error_of, made
from support.plain_http import Answer
from support.webapp import RunningApp, Visitor

HTML = {"Accept": "text/html"}


@dataclass
class Broken:
    """Somebody whose Gmail account lost its consent, with sends of some ages waiting for it."""

    web: RunningApp
    who: Visitor
    email: str
    connection_id: str
    ids: list[str]

    def page(self, path: str) -> str:
        answer = self.who("GET", path, headers=HTML)
        assert answer.status == 200, answer.text
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", unescape(answer.text)))

    def post(self, path: str, **form: str) -> str:
        """Press a button: what the next page says of it."""
        answer = self.who("POST", path, form=form, headers=HTML)
        assert answer.status == 303, answer.text
        notice = self.web.notice_of(answer)
        return notice.text if notice else ""

    def state(self, send_id: str) -> State:
        send = self.web.do(self.web.app.services.sending.get(self.who.id, send_id=send_id))
        return send.state

    def becomes(self, send_id: str, state: State) -> None:
        for _ in range(400):
            if self.state(send_id) is state:
                return
            time.sleep(0.02)
        raise AssertionError(f"{send_id} is {self.state(send_id)}, not {state}")

    def reconnect(self) -> str:
        answer = self.web.connect(self.who, "gmail", self.email)
        notice = self.web.notice_of(answer)
        assert notice is not None
        return notice.text


def broken(web: RunningApp, *ages: timedelta) -> Broken:
    who = web.browser(f"Held{secrets.token_hex(3)}")
    email = web.new_google_account()
    assert web.connect(who, "gmail", email).status == 303
    connection_id = web.connection_id(who, email)
    act(web.box.world, web.box.world.accounts.at(Vendor.GOOGLE, email), "remove_access")
    ids = []
    for number, age in enumerate(ages):
        written = {"to": ["ann@client.example"], "subject": f"Number {number}", "text": "Hi"}
        draft = made(who("POST", "/api/drafts", json_body=written))
        send = made(who("POST", "/api/drafts/send", json_body={"draft_id": draft["id"]}), status=202)
        web.do(web.app.database.transaction(_age, send_id=send["id"], by=age))
        ids.append(send["id"])
    found = Broken(web, who, email, connection_id, ids)
    for send_id in ids:
        found.becomes(send_id, State.WAITING)
    return found


def _age(transaction: Transaction, *, send_id: str, by: timedelta) -> None:
    transaction.execute(update(sends).where(sends.c.id == send_id).values(created_at=now(transaction) - by))


HOURS = timedelta(hours=1)
DAYS = timedelta(days=3)


@pytest.fixture
def alices(web: RunningApp) -> Broken:
    return broken(web, HOURS, DAYS, DAYS + HOURS)


def test_every_page_says_that_an_account_needs_reconnecting_until_it_is_repaired(alices: Broken) -> None:
    said = f"{alices.email} needs reconnecting. 3 messages wait for it. Reconnect"
    pages = ["/", "/drafts/new", "/sends", f"/sends/{alices.ids[0]}", "/activity", "/settings/integrations"]
    pages += ["/settings/account", "/settings/api-keys", "/sends/held"]
    for path in pages:
        assert said in alices.page(path), path
    link = f'href="/api/auth/gmail?connection_id={alices.connection_id}"'
    assert link in unescape(alices.who("GET", "/activity", headers=HTML).text)
    part = alices.who("GET", f"/sends/{alices.ids[0]}/line", headers={"HX-Request": "true"})
    assert "needs reconnecting" not in part.text
    text = alices.reconnect()
    assert text == (
        f"{alices.email} is connected again. 1 message that waited goes out now, 2 are older than two days and "
        "wait for your word."
    )
    for path in pages:
        shown = alices.page(path)
        assert f"{alices.email} needs reconnecting" not in shown, path
        assert f"2 messages from {alices.email} wait for your word." in shown, path


def test_nobody_else_hears_of_it(web: RunningApp, alices: Broken, bob: Visitor) -> None:
    other = Broken(web, bob, "", "", [])
    for path in ("/", "/sends/held", "/settings/integrations"):
        assert alices.email not in other.page(path)


def test_the_list_of_what_asks_offers_one_by_one_and_all_at_once(alices: Broken) -> None:
    alices.reconnect()
    alices.becomes(alices.ids[0], State.SENT)
    shown = alices.page("/sends/held")
    assert "These were written more than 48 hours ago" in shown
    assert "Number 1" in shown
    assert "Number 0" not in shown
    assert alices.post(f"/sends/{alices.ids[1]}/release", then="held") == "It leaves now."
    alices.becomes(alices.ids[1], State.SENT)
    assert "only asks" not in alices.post(f"/sends/{alices.ids[1]}/release")
    text = alices.post(f"/sends/held/{alices.connection_id}/cancel")
    assert text == "Cancelled: 1 message. Nothing of it was sent."
    assert alices.state(alices.ids[2]) is State.CANCELLED
    assert "Nothing waits for you" in alices.page("/sends/held")
    assert alices.post(f"/sends/held/{alices.connection_id}/release") == "Nothing waited there any more."


def test_all_that_ask_leave_at_one_word(alices: Broken) -> None:
    alices.reconnect()
    text = alices.post(f"/sends/held/{alices.connection_id}/release")
    assert text == "Sending 2 messages now, the oldest first."
    for send_id in alices.ids:
        alices.becomes(send_id, State.SENT)


def test_a_program_lets_one_leave_that_asks_and_no_other(
    web: RunningApp, alices: Broken, bob: Visitor
) -> None:
    waiting = alices.who("POST", f"/api/sends/{alices.ids[1]}/release")
    assert (waiting.status, error_of(waiting)["code"]) == (409, "not_asking")
    alices.reconnect()
    asks = made(alices.who("GET", f"/api/sends/{alices.ids[1]}"), status=200)
    assert (asks["state"], asks["reason"], asks["next_at"]) == ("waiting", "asks_first", None)
    assert bob("POST", f"/api/sends/{alices.ids[1]}/release").status == 404
    released = made(alices.who("POST", f"/api/sends/{alices.ids[1]}/release"), status=200)
    assert released["state"] in {"queued", "claimed", "sending", "sent"}
    alices.becomes(alices.ids[1], State.SENT)


def disconnect(alices: Broken, **body: object) -> Answer:
    return alices.who("POST", "/api/integrations/gmail/disconnect", json_body=body)


@pytest.mark.parametrize(
    ("body", "waiting", "state"),
    [
        ({}, 3, State.WAITING),
        ({"sends": "keep"}, 3, State.WAITING),
        ({"sends": "cancel"}, 0, State.CANCELLED),
    ],
    ids=["default", "keep", "cancel"],
)
def test_a_program_says_at_a_disconnect_what_becomes_of_the_sends(
    alices: Broken, body: dict[str, object], waiting: int, state: State
) -> None:
    [gone] = made(disconnect(alices, **body), status=200)["disconnected"]
    assert (gone["waiting"], gone["cancelled"], gone["unknown"]) == (waiting, 3 - waiting, 0)
    assert [alices.state(each) for each in alices.ids] == [state] * 3


def test_another_word_about_the_sends_is_refused(alices: Broken) -> None:
    refused = disconnect(alices, sends="another")
    assert (refused.status, error_of(refused)["details"]["field"]) == (422, "sends")
    assert alices.state(alices.ids[0]) is State.WAITING


def test_the_question_before_a_disconnect_offers_what_there_is(web: RunningApp, alices: Broken) -> None:
    path = f"/settings/integrations/{alices.connection_id}/disconnect"
    shown = alices.page(path)
    assert "3 messages from this address have not left yet." in shown
    assert "Cancel them" in shown
    assert "from another account" not in shown.replace("or send from another account", "")
    other = web.new_google_account()
    web.connect(alices.who, "gmail", other)
    assert "Send the drafts from another account, now" in alices.page(path)
    refused = alices.post(path, sends="another", other_id=alices.connection_id)
    assert "Nothing was disconnected" in refused
    text = alices.post(path, sends="another", other_id=web.connection_id(alices.who, other))
    assert "Sending 3 messages from the other account now." in text
    assert [alices.state(each) for each in alices.ids] == [State.CANCELLED] * 3
    following = web.do(web.app.services.sending.list(alices.who.id, limit=3)).items
    for send in following:
        alices.becomes(send.id, State.SENT)
    assert {send.previous_send_id for send in following} == set(alices.ids)
    assert {send.route.sender.email for send in following} == {other}


def test_what_was_kept_at_a_disconnect_is_listed_and_sent_from_another_account_later(
    web: RunningApp, alices: Broken
) -> None:
    path = f"/settings/integrations/{alices.connection_id}/disconnect"
    assert "Messages that wait for your word: 3." in alices.post(path, sends="keep")
    shown = alices.page("/sends/held")
    assert f"{alices.email} This account was disconnected" in shown
    assert "Cancel all 3" in shown
    assert "wait for your word" not in alices.page("/"), "what was decided nags on every page"
    assert "Waiting for you: 3" in alices.page("/sends")
    refused = alices.post(f"/sends/held/{alices.connection_id}/another", other_id="x")
    assert refused.startswith("Choose another account")
    other = web.new_google_account()
    web.connect(alices.who, "gmail", other)
    text = alices.post(
        f"/sends/held/{alices.connection_id}/another", other_id=web.connection_id(alices.who, other)
    )
    assert text == "Sending 3 messages from the other account now."


def test_the_mail_about_it_comes_once_to_the_address_of_its_owner(web: RunningApp, alices: Broken) -> None:
    assert alices.who.person is not None
    inbox = web.box.world.inbox
    for _ in range(500):
        if inbox(alices.who.person.email):
            break
        time.sleep(0.02)
    [message] = inbox(alices.who.person.email)
    mail = open_mail(message.delivered)
    assert message.vendor is Vendor.RESEND
    assert mail.subject == f"Connect {alices.email} again"
    assert f"{web.base_url}/settings/integrations" in (mail.text or "")
