"""What is logged in CRMs, on the pages as plain forms and over the API."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import pytest

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.report import CrmOptions
from replysequence.sandbox.running import sandbox
from replysequence.web.rendering import outward
from support.answers import error_of, made
from support.crm_connections import connect_crm, put_status
from support.rolodex import Service, installed, service
from support.webapp import RunningApp, Visitor, running_app
from web.conftest import database_for

HTML = {"Accept": "text/html"}
ANN = "ann@client.example"


@dataclass
class Desk:
    """An app whose people have the toy CRM, and that CRM."""

    web: RunningApp
    crm: Service

    def seller(self, name: str, **options: Any) -> tuple[Visitor, str]:
        """Somebody new with a CRM connected; and its id."""
        who = self.web.browser(name)
        chosen = CrmOptions(**options)
        made_ = connect_crm(
            self.web.app.database, self.web.app.vault, who.id, subject=name.lower(), options=chosen
        )
        return who, made_.id

    def send(self, who: Visitor, *, to: str = ANN) -> str:
        """A message that is sent; its id."""
        written = {"to": [to], "subject": "Our meeting", "text": "Hi"}
        draft = made(who("POST", "/api/drafts", json_body=written))
        answer = who(
            "POST", "/api/drafts/send", json_body={"draft_id": draft["id"]}, headers={"Prefer": "wait=10"}
        )
        assert answer.json["state"] == "sent", answer.text
        return str(answer.json["id"])

    def becomes(self, who: Visitor, send_id: str, state: str) -> dict[str, Any]:
        """Wait until its one report is in this state."""
        found: dict[str, Any] = {}
        for _ in range(200):
            [found] = who("GET", f"/api/sends/{send_id}").json["reports"]
            if found["state"] == state:
                return found
            time.sleep(0.05)
        raise AssertionError(found)

    def page(self, who: Visitor, path: str) -> str:
        answer = who("GET", path, headers=HTML)
        assert answer.status == 200, answer.text
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", unescape(answer.text)))

    def press(self, who: Visitor, path: str, body: str = "") -> str:
        """Press a button: what the next page says of it."""
        form = {"Content-Type": "application/x-www-form-urlencoded", **HTML}
        answer = who("POST", path, body=body.encode(), headers=form)
        assert answer.status == 303, answer.text
        notice = self.web.notice_of(answer)
        return notice.text if notice else ""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("reports")
    with service() as crm, pytest.MonkeyPatch.context() as patch:
        crm.add(ANN)
        for target, name, value in installed(crm.url):
            patch.setitem(target, name, value)
        with (
            database_for(request, folder) as url,
            sandbox() as box,
            running_app(url, folder, box=box) as app,
        ):
            yield Desk(app, crm)


def test_the_page_of_a_send_says_where_it_is_logged_and_leads_there(desk: Desk) -> None:
    dana, _ = desk.seller("Dana")
    send_id = desk.send(dana)
    report = desk.becomes(dana, send_id, "logged")
    assert report["person"] == "Ann"
    shown = desk.page(dana, f"/sends/{send_id}")
    assert "CRM Rolodex Logged On Ann" in shown
    raw = dana("GET", f"/sends/{send_id}", headers=HTML).text
    assert f'href="{report["entry_url"]}" target="_blank" rel="noreferrer noopener"' in raw
    assert "Log again" not in shown
    assert report in dana("GET", f"/api/reports?send_id={send_id}").json["items"]
    assert dana("GET", "/api/reports?state=failed").json["items"] == []


def test_what_was_skipped_says_why_and_can_be_logged_again_by_its_owner(desk: Desk) -> None:
    eli, crm_id = desk.seller("Eli")
    eve, _ = desk.seller("Eve")
    send_id = desk.send(eli, to="stranger@client.example")
    desk.becomes(eli, send_id, "skipped")
    assert "Nobody in Rolodex has this address." in desk.page(eli, f"/sends/{send_id}")
    assert "Our meeting" in desk.page(eli, "/reports?show=skipped")
    again = f"/api/reports/{send_id}/{crm_id}/again"
    assert eve("POST", again).status == 404
    desk.crm.add("stranger@client.example")
    pressed = desk.press(eli, f"/sends/{send_id}/reports/{crm_id}/again")
    assert pressed == "It is logged again now. An entry that is there already stays the only one."
    desk.becomes(eli, send_id, "logged")
    assert desk.crm.written()[send_id] == 1
    answer = eli("POST", again)
    assert (answer.status, error_of(answer)["code"]) == (409, "not_over")


def test_what_is_logged_is_chosen_on_the_settings_page_and_over_the_api(desk: Desk) -> None:
    fay, crm_id = desk.seller("Fay")
    eve, _ = desk.seller("Eve")
    email = desk.web.new_google_account()
    assert desk.web.connect(fay, "gmail", email).status == 303
    assert "What is logged" in desk.page(fay, "/settings/integrations")
    form = f"/settings/integrations/{crm_id}/logging"
    said = desk.press(fay, form, f"parts=subject&create_contacts=on&senders={email.replace('@', '%40')}")
    assert said == "Saved. It counts for what is sent from now on."
    assert options(fay, crm_id) == {"create_contacts": True, "parts": "subject", "senders": []}
    assert desk.press(fay, form, "parts=body").startswith("Nothing was changed. Tick at least one")
    wrong = desk.press(fay, form, "parts=body&senders=other%40client.example")
    assert wrong.startswith("Nothing was changed. This is not an address")

    path = f"/api/integrations/crm/{crm_id}"
    changed = fay("PATCH", path, json_body={"parts": "body", "senders": [email]})
    assert changed.json["options"] == {"create_contacts": True, "parts": "body", "senders": [email]}
    assert options(fay, crm_id)["senders"] == [email]
    assert eve("PATCH", path, json_body={"parts": "body"}).status == 404
    mailbox = desk.web.connection_id(fay, email)
    assert fay("PATCH", f"/api/integrations/crm/{mailbox}", json_body={}).status == 404
    for bad in ({"parts": "all"}, {"senders": ["x@y.example"]}, {"create_contacts": "yes"}, {"more": 1}):
        assert fay("PATCH", path, json_body=bad).status == 422, bad


def options(who: Visitor, crm_id: str) -> dict[str, Any]:
    for category in who("GET", "/api/integrations").json["categories"]:
        for provider in category["providers"]:
            for connection in provider["connections"]:
                if connection["id"] == crm_id:
                    return dict(connection["options"])
                assert connection["options"] is None
    raise AssertionError("it is not there")


def test_a_broken_crm_is_told_on_every_page_and_what_waits_is_counted(desk: Desk) -> None:
    gus, crm_id = desk.seller("Gus")
    desk.web.app.database.run(put_status, crm_id, ConnectionStatus.NEEDS_RECONNECT)
    send_id = desk.send(gus)
    assert desk.becomes(gus, send_id, "due")["next_at"] is None
    for path in ("/", "/sends", f"/sends/{send_id}", "/settings/integrations"):
        shown = desk.page(gus, path)
        assert "Rolodex needs reconnecting (gus@rolodex.example)." in shown, path
        assert "Sending does not wait for it." in shown, path
    assert "1 message waits to be logged" in desk.page(gus, "/settings/integrations")
    assert "It is logged once Rolodex is connected again." in desk.page(gus, f"/sends/{send_id}")
    assert "Our meeting" in desk.page(gus, f"/reports?crm={crm_id}&show=waiting")


def test_disconnecting_says_what_becomes_of_what_waits(desk: Desk) -> None:
    hal, crm_id = desk.seller("Hal")
    desk.web.app.database.run(put_status, crm_id, ConnectionStatus.NEEDS_RECONNECT)
    send_id = desk.send(hal)
    shown = desk.page(hal, f"/settings/integrations/{crm_id}/disconnect")
    assert "1 message is not logged there yet, and will not be." in shown
    assert "Sent folder" not in shown
    assert "The permission itself stays" not in shown
    desk.press(hal, f"/settings/integrations/{crm_id}/disconnect")
    assert desk.becomes(hal, send_id, "skipped")["reason"] == "disconnected"
    assert "Log again" not in desk.page(hal, f"/sends/{send_id}")


def test_a_permission_that_stays_at_the_provider_is_told_before_the_click(desk: Desk) -> None:
    one, other = desk.web.browser("Ida"), desk.web.browser("Jon")
    email = desk.web.new_google_account()
    for who in (one, other):
        assert desk.web.connect(who, "gmail", email).status == 303
    connection_id = desk.web.connection_id(one, email)
    shown = desk.page(one, f"/settings/integrations/{connection_id}/disconnect")
    assert "The permission itself stays at the provider" in shown


@pytest.mark.parametrize("url", ["https://app.example/1", "http://127.0.0.1:8000/1", "http://[::1]/"])
def test_a_page_links_to_a_site(url: str) -> None:
    assert outward(url) == url


@pytest.mark.parametrize(
    "url",
    ["http://app.example/1", "javascript:alert(1)", "data:text/html,x", "https:", "//x.example", "", None],
)
def test_a_page_links_to_nothing_else(url: str | None) -> None:
    assert not outward(url)
