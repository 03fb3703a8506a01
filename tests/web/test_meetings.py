"""Meetings, follow-ups and templates over HTTP, for people and for drafting engines."""

import time
from typing import Any

import pytest

from support.answers import error_of, made
from support.webapp import RunningApp, Visitor

HTML = {"Accept": "text/html"}
KICK_OFF = "Pilot kick-off with Northwind"


def meetings(who: Visitor) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = who("GET", "/api/meetings?limit=200").json["items"]
    return found


def seller(web: RunningApp, name: str, *, account: str = "dana.reyes@brightwave.example") -> Visitor:
    """Somebody whose calendar has been read."""
    who = web.browser(name)
    if not meetings(who):
        web.connect(who, "google_calendar", account)
        for _ in range(200):
            if meetings(who):
                break
            time.sleep(0.1)
    return who


def meeting(who: Visitor, title: str) -> dict[str, Any]:
    return next(each for each in meetings(who) if each["title"] == title)


@pytest.fixture
def dana(web: RunningApp) -> Visitor:
    return seller(web, "Dora")


def test_meetings_are_listed_with_who_was_there_and_without_oneself_and_rooms(dana: Visitor) -> None:
    kick_off = meeting(dana, KICK_OFF)

    assert [(each["email"], each["response"]) for each in kick_off["attendees"]] == [
        ("maya.lindqvist@northwind.example", "accepted"),
        ("henrik.dahl@northwind.example", "declined"),
        ("elin.berg@northwind.example", "none"),
    ]
    assert kick_off["sources"] == ["Google Calendar"]
    assert (kick_off["follow_up"], kick_off["all_day"], kick_off["cancelled"]) == (None, False, False)
    assert not meeting(dana, "Trade fair in Gothenburg")["can_be_followed_up"]
    assert not [each for each in meetings(dana) if each["title"] == "Lunch with Northwind"]


def test_pages_of_meetings_follow_one_another_and_hold_each_once(dana: Visitor) -> None:
    seen, before = [], ""
    while True:
        page = dana("GET", f"/api/meetings?limit=3{before}").json
        seen += [each["id"] for each in page["items"]]
        if page["next"] is None:
            break
        before = f"&before={page['next'].replace('+', '%2B')}"

    assert seen == [each["id"] for each in meetings(dana)]
    assert len(set(seen)) == len(seen) > 6
    assert dana("GET", "/api/meetings?before=nonsense").status == 422


def test_a_program_starts_a_follow_up_from_the_template(web: RunningApp, dana: Visitor) -> None:
    program = web.program("Dora")
    address = f"/api/meetings/{meeting(dana, KICK_OFF)['id']}/follow-up"

    draft = made(program("POST", address))
    assert [each["email"] for each in draft["to"]] == ["maya.lindqvist@northwind.example"]
    assert draft["subject"] == f"Thank you for the meeting: {KICK_OFF}"
    assert draft["html"].startswith("<p>Hi Maya,</p>")
    again = program("POST", address)
    assert (again.status, again.json["id"]) == (200, draft["id"])
    assert meeting(dana, KICK_OFF)["follow_up"] == {"draft_id": draft["id"], "state": None, "send_id": None}

    refused = program("POST", address, json_body={"text": "Mine"})
    assert refused.status == 409
    assert error_of(refused)["code"] == "follow_up_exists"
    assert error_of(refused)["details"]["draft_id"] == draft["id"]

    assert dana("DELETE", f"/api/drafts/{draft['id']}").status == 204
    assert meeting(dana, KICK_OFF)["follow_up"] is None
    body = {"subject": "Written elsewhere", "text": "Hello"}
    other = made(program("POST", address, json_body=body))
    assert (other["subject"], other["text"], other["html"]) == ("Written elsewhere", "Hello", None)
    assert [each["email"] for each in other["to"]] == ["maya.lindqvist@northwind.example"]


def test_a_follow_up_that_is_sent_shows_at_its_meeting(dana: Visitor) -> None:
    figures = meeting(dana, "Figures for Oliveira Logística")
    draft = made(dana("POST", f"/api/meetings/{figures['id']}/follow-up"))
    sent = made(dana("POST", "/api/drafts/send", json_body={"draft_id": draft["id"]}), status=200)

    shown = meeting(dana, "Figures for Oliveira Logística")["follow_up"]
    assert shown == {"draft_id": draft["id"], "state": "sent", "send_id": sent["id"]}
    assert f"/sends/{sent['id']}" in dana("GET", "/", headers=HTML).text


def test_what_is_to_come_cannot_be_followed_up(dana: Visitor) -> None:
    for title, code in (("Next steps with Northwind", "not_yet"), ("Trade fair in Gothenburg", "not_yet")):
        refused = dana("POST", f"/api/meetings/{meeting(dana, title)['id']}/follow-up")
        assert (refused.status, error_of(refused)["code"]) == (409, code)


def test_a_hostile_title_is_shown_as_text_and_ends_no_header(dana: Visitor) -> None:
    hostile = next(each for each in meetings(dana) if "alert" in each["title"])
    page = dana("GET", "/", headers=HTML).text
    assert "<script>alert" not in page
    assert "<img src=x" not in page

    draft = made(dana("POST", f"/api/meetings/{hostile['id']}/follow-up"))
    assert "\n" not in draft["subject"]
    assert "\u202e" not in draft["subject"] + draft["html"]
    assert "<img" not in draft["html"]
    checks = dana("POST", f"/api/drafts/{draft['id']}/preflight").json
    assert checks["can_send"], checks


def test_nobody_starts_a_follow_up_of_somebody_elses_meeting(web: RunningApp, dana: Visitor) -> None:
    address = f"/api/meetings/{meeting(dana, KICK_OFF)['id']}/follow-up"
    mine = made(dana("POST", "/api/templates", json_body={"name": "Mine", "html": "<p>Hi</p>"}))
    other = seller(web, "Olga", account="dana.reyes@gmail.example")

    assert web.program("Charlie")("POST", address).status == 404
    own = meeting(other, "Pipeline review")["id"]
    taken = other("POST", f"/api/meetings/{own}/follow-up", json_body={"template_id": mine["id"]})
    assert taken.status == 404
    assert dana("DELETE", f"/api/templates/{mine['id']}").status == 204


def test_two_clicks_at_once_make_one_draft(web: RunningApp) -> None:
    who = seller(web, "Tina")
    address = f"/meetings/{meeting(who, 'Pipeline review')['id']}/follow-up"
    services = web.app.services

    async def both() -> list[Any]:
        one = services.following_up.start(who.id, meeting_id=address.split("/")[2])
        two = services.following_up.start(who.id, meeting_id=address.split("/")[2])
        return [await one, await two]

    first, second = web.do(both())
    assert first.draft.id == second.draft.id
    assert (first.is_new, second.is_new) == (True, False)


def test_a_template_of_ones_own_is_used_and_what_it_lacks_is_said_before_the_click(web: RunningApp) -> None:
    who = seller(web, "Wanda")
    html = "<p>Dear {{ first_name | friend }}, {{ summary }}</p><script>x</script>{{ signature | }}"
    written = {"name": "Short", "subject": "{{ company }}: {{ meeting_title }}", "html": html}
    template = made(who("POST", "/api/templates", json_body=written))
    assert template["is_default"]
    assert "script" not in template["html"]
    assert who("PUT", "/api/signature", json_body={"html": "<b onclick=x>Wanda</b>"}).json == {
        "html": "<b>Wanda</b>"
    }

    draft = made(who("POST", f"/api/meetings/{meeting(who, KICK_OFF)['id']}/follow-up"))
    assert draft["subject"] == f"Northwind: {KICK_OFF}"
    assert draft["html"] == "<p>Dear Maya, {{ summary }}</p><b>Wanda</b>"
    warned = who("POST", f"/api/drafts/{draft['id']}/preflight").json
    assert [each["message"] for each in warned["problems"] if "{{ summary }}" in each["message"]]
    assert warned["can_send"]


def test_a_template_with_a_field_that_does_not_exist_is_refused_with_its_name(dana: Visitor) -> None:
    for changes, field in (({"html": "{{ price }}"}, "html"), ({"subject": "{{ price }}"}, "subject")):
        body = {"name": "x", "html": "<p>Hi</p>", **changes}
        refused = dana("POST", "/api/templates", json_body=body)
        assert (refused.status, error_of(refused)["details"]["field"]) == (422, field)
        assert "price" in error_of(refused)["message"]


def test_there_is_always_one_default_template(web: RunningApp) -> None:
    who = web.browser("Tess")

    def defaults() -> list[str]:
        return [each["name"] for each in who("GET", "/api/templates").json["items"] if each["is_default"]]

    one = made(who("POST", "/api/templates", json_body={"name": "One", "html": "1"}))
    two = made(who("POST", "/api/templates", json_body={"name": "Two", "html": "2"}))
    assert defaults() == ["One"]
    changed = {"name": "Two", "html": "2", "is_default": True}
    assert who("PUT", f"/api/templates/{two['id']}", json_body=changed).json["is_default"]
    assert defaults() == ["Two"]
    assert who("DELETE", f"/api/templates/{two['id']}").status == 204
    assert defaults() == ["One"]
    assert who("DELETE", f"/api/templates/{one['id']}").status == 204
    assert defaults() == []


def test_the_pages_of_templates_work_as_plain_forms(web: RunningApp) -> None:
    who = web.browser("Paula")
    form = {
        "name": "By form",
        "subject": "S",
        "html": "<p>Hi {{ first_name | there }}</p>",
        "is_default": "yes",
    }
    assert who("POST", "/settings/templates", form=form).headers["Location"] == "/settings/templates"
    assert "By form" in who("GET", "/settings/templates", headers=HTML).text

    wrong = who("POST", "/settings/templates", form=form | {"html": "{{ nothing }}"}, headers=HTML)
    assert wrong.status == 422
    assert "There is no field called nothing" in wrong.text
    assert "{{ nothing }}" in wrong.text

    shown = who("POST", "/settings/templates/preview", form=form | {"html": "<p>{{ company }}</p><script>"})
    assert "<p>Northwind</p>" in shown.text
    assert "sandbox" in shown.headers["Content-Security-Policy"]
    assert who("POST", "/settings/signature", form={"html": "<p>Paula</p>"}).status == 303
    assert "&lt;p&gt;Paula&lt;/p&gt;" in who("GET", "/settings/templates", headers=HTML).text
