"""Undo, “Send later” and the settings for both, as plain forms."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest

from replysequence.domain.wall_clock import zone
from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Fault
from support.answers import error_of, made, multipart
from support.days_to_come import comes_twice, in_month, never_comes
from support.plain_http import Answer
from support.webapp import PASSWORD, RunningApp, Visitor

HTML = {"Accept": "text/html"}
FIELDS = {"to": "ann@client.example", "format": "text", "text": "Hi"}
WINTER, SUMMER = in_month(2), in_month(6)


def typed(wall: datetime) -> str:
    """As a browser sends what was chosen."""
    return wall.isoformat(timespec="minutes")


def said(wall: datetime) -> str:
    """As a page shows it, without the zone."""
    return f"{wall:%a} {wall.day} {wall:%b %Y}, {wall:%H:%M}"


def utc(wall: datetime, *, hours: int) -> str:
    """As the API gives it; ``hours`` is the offset of the zone."""
    return (wall - timedelta(hours=hours)).isoformat() + "Z"


def text_of(html: str) -> str:
    """What a page says, on one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).split())


def page(who: Visitor, path: str) -> str:
    answer = who("GET", path, headers=HTML)
    assert answer.status == 200, answer.text
    return text_of(answer.text)


def submit(who: Visitor, path: str, **fields: str) -> Answer:
    body, headers = multipart(fields, [])
    return who("POST", path, body=body, headers={**headers, **HTML})


def send(who: Visitor, **fields: str) -> Answer:
    """Write a draft and press one of the buttons that send."""
    return submit(who, "/drafts", **{**FIELDS, "subject": "Later", **fields})


def read(who: Visitor, answer: Answer) -> dict[str, Any]:
    """The send whose page the answer leads to."""
    assert answer.status == 303, text_of(answer.text)
    found: dict[str, Any] = made(who("GET", f"/api{answer.headers['Location']}"), status=200)
    return found


@pytest.fixture
def berlin(web: RunningApp) -> Visitor:
    """Somebody in Berlin, with half a minute to undo."""
    visitor = web.browser("Bertha")
    web.prefer("Bertha", time_zone="Europe/Berlin", undo_seconds=30)
    return visitor


def test_a_click_can_be_undone_and_the_draft_sent_again(web: RunningApp, berlin: Visitor) -> None:
    answer = send(berlin, action="send")
    made_send = read(berlin, answer)
    assert (made_send["state"], made_send["reason"]) == ("waiting", "undo")
    accepted, due = (datetime.fromisoformat(made_send[name]) for name in ("created_at", "next_at"))
    assert due - accepted == timedelta(seconds=30)
    assert re.search(r"Sending in (30|29|28|27|26|25) s .* Undo", page(berlin, answer.headers["Location"]))

    undone = berlin("POST", f"{answer.headers['Location']}/cancel", form={"then": "draft"})
    draft = undone.headers["Location"]
    notice = web.notice_of(undone)
    assert notice is not None
    assert notice.text.startswith("Undone. Nothing was sent")
    assert made(berlin("GET", f"/api/sends/{made_send['id']}"), status=200)["state"] == "cancelled"
    web.prefer("Bertha", time_zone="Europe/Berlin", undo_seconds=0)
    again = read(berlin, submit(berlin, draft, **FIELDS, subject="Later", version="1", action="send"))
    assert again["draft_version"] == made_send["draft_version"] == 1
    assert again["id"] != made_send["id"]


def test_a_draft_that_was_changed_since_still_offers_to_take_the_earlier_version_back(
    berlin: Visitor,
) -> None:
    waiting = read(berlin, send(berlin, action="send"))
    draft = f"/drafts/{waiting['draft_id']}"
    assert "What you change here is a new version" in page(berlin, draft)
    submit(berlin, draft, **FIELDS, subject="Better", version="1", action="save")
    shown = page(berlin, draft)
    assert "Leaves in a few seconds." in shown
    assert "That is an earlier version of this draft." in shown
    assert "Undo sending Later" in shown


def test_a_program_has_no_time_to_undo(web: RunningApp, berlin: Visitor) -> None:
    program = web.program("Bertha")
    draft = made(
        program(
            "POST", "/api/drafts", json_body={"to": ["a@client.example"], "subject": "At once", "text": "Hi"}
        )
    )
    sent = made(program("POST", "/api/drafts/send", json_body={"draft_id": draft["id"]}), status=200)
    assert sent["state"] == "sent"


def test_a_time_is_meant_on_the_clock_of_the_person(berlin: Visitor) -> None:
    winter = read(berlin, send(berlin, action="send", send_at=typed(WINTER)))
    summer = read(berlin, send(berlin, action="send", send_at=typed(SUMMER)))
    assert winter["next_at"] == utc(WINTER, hours=1)
    assert summer["next_at"] == utc(SUMMER, hours=2)
    shown = page(berlin, f"/sends/{summer['id']}")
    assert f"Leaves {said(SUMMER)} CEST (UTC+2)." in shown
    for offered in ("Change the time", "Send now", "Cancel this send"):
        assert offered in shown


def test_a_suggested_time_is_one_press(berlin: Visitor) -> None:
    html = berlin("GET", "/drafts/new", headers=HTML).text
    assert "In your time zone, Europe/Berlin, it is" in text_of(html)
    values = re.findall(r'name="later" value="([^"]+)"', html)
    assert len(values) >= 2
    for value in values:
        # The field for another time may hold something: the button decides.
        planned = read(berlin, send(berlin, later=value, send_at=typed(WINTER)))
        assert datetime.fromisoformat(planned["next_at"]) > datetime.now(UTC)
        assert f"Leaves {said(datetime.fromisoformat(value))} CE" in page(berlin, f"/sends/{planned['id']}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2020-01-01T09:00", "Wed 1 Jan 2020, 09:00 CET (UTC+1) has passed: it is"),
        ("2099-01-01T09:00", "more than a year ahead"),
        ("tomorrow", "This is not a date and time."),
        (f"{typed(WINTER)}+01:00", "This is not a date and time."),
        ("9999-12-31T23:59", "more than a year ahead"),
        ("0001-01-01T00:00", "beyond the calendar"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused_and_stays_in_its_field(
    berlin: Visitor, text: str, why: str
) -> None:
    answer = send(berlin, action="send", send_at=text)
    assert answer.status == 422
    assert why in text_of(answer.text)
    assert f'value="{text}"' in unescape(answer.text)


def test_a_time_that_the_clocks_leave_out_is_refused_with_the_reason(
    web: RunningApp, berlin: Visitor
) -> None:
    where, wall = never_comes()
    web.prefer("Bertha", time_zone=where)
    answer = send(berlin, action="send", send_at=typed(wall))
    assert answer.status == 422
    assert f"02:30 does not exist on {wall.day} {wall:%b %Y} in {where}" in text_of(answer.text)


def test_of_a_time_that_comes_twice_the_first_is_taken_and_said(web: RunningApp, berlin: Visitor) -> None:
    where, wall = comes_twice()
    web.prefer("Bertha", time_zone=where)
    answer = send(berlin, action="send", send_at=typed(wall))
    notice = web.notice_of(answer)
    assert notice is not None
    first = re.search(r"this time comes twice\. The first is taken: (02:30 .+)\.", notice.text)
    assert first is not None
    assert f"Leaves {said(wall)[:-5]}{first[1]}." in page(berlin, answer.headers["Location"])


def test_the_time_of_a_planned_send_is_changed_until_it_leaves(web: RunningApp, berlin: Visitor) -> None:
    path = send(berlin, action="send", send_at=typed(WINTER)).headers["Location"]
    assert f"It is to leave {said(WINTER)} CET (UTC+1)." in page(berlin, f"{path}/time")
    assert berlin("POST", f"{path}/time", form={"send_at": typed(SUMMER)}).status == 303
    assert f"Leaves {said(SUMMER)} CEST (UTC+2)." in page(berlin, path)
    assert "Time changed" in page(berlin, path)
    for text, why in (("2020-01-01T09:00", "has passed"), ("", "Choose a date and a time.")):
        refused = berlin("POST", f"{path}/time", form={"send_at": text}, headers=HTML)
        assert refused.status == 422
        assert why in text_of(refused.text)

    assert web.browser("Charlie")("POST", f"{path}/time", form={"action": "now"}).status == 404
    now = web.notice_of(berlin("POST", f"{path}/time", form={"action": "now"}))
    assert now is not None
    assert now.text == "It leaves now."
    asked = berlin("GET", f"{path}/time")
    assert (asked.status, asked.headers["Location"]) == (303, path)
    late = web.notice_of(berlin("POST", f"{path}/time", form={"send_at": typed(WINTER)}))
    assert late is not None
    assert (late.tone, "can no longer be changed" in late.text) == ("bad", True)


def test_a_program_changes_the_time_too(web: RunningApp, berlin: Visitor) -> None:
    program = web.program("Bertha")
    written = {"to": ["a@client.example"], "subject": "Plan", "text": "Hi"}
    draft = made(program("POST", "/api/drafts", json_body=written))
    body = {"draft_id": draft["id"], "send_at": f"{WINTER.isoformat()}+01:00"}
    planned = made(program("POST", "/api/drafts/send", json_body=body), status=202)
    address = f"/api/sends/{planned['id']}"
    moved = made(program("PATCH", address, json_body={"send_at": f"{SUMMER.isoformat()}+02:00"}), status=200)
    assert (moved["send_at"], moved["reason"]) == (utc(SUMMER, hours=2), "scheduled")
    for bad in ({}, {"send_at": typed(WINTER)}, {"send_at": "2099-01-01T00:00:00Z"}, {"state": "sent"}):
        assert program("PATCH", address, json_body=bad).status == 422, bad
    assert made(program("PATCH", address, json_body={"send_at": None}), status=200)["reason"] is None
    late = program("PATCH", address, json_body={"send_at": None})
    assert (late.status, error_of(late)["code"]) == (409, "not_scheduled")


def test_the_list_offers_to_take_back_what_has_not_left(web: RunningApp) -> None:
    visitor = web.browser("Lena")
    web.prefer("Lena", time_zone="America/Sao_Paulo", undo_seconds=30)
    planned = send(visitor, action="send", subject="Planned", send_at=typed(WINTER))
    assert f"Leaves {said(WINTER)} UTC-3. Cancel" in page(visitor, "/sends")
    back = visitor("POST", f"{planned.headers['Location']}/cancel", form={"then": "list"})
    assert back.headers["Location"] == "/sends"
    assert "Cancelled" in page(visitor, "/sends")
    send(visitor, action="send", subject="Undoable")
    assert "Leaves in a few seconds. Undo" in page(visitor, "/sends")


def test_zone_and_time_to_undo_are_chosen_in_the_settings(web: RunningApp) -> None:
    visitor = web.browser("Zoe")
    path = "/settings/account/sending"
    assert visitor("POST", path, form={"time_zone": "tokyo", "undo_seconds": "20"}).status == 303
    html = visitor("GET", "/settings/account", headers=HTML).text
    assert 'value="Asia/Tokyo"' in html
    assert '<option value="20" selected>20 seconds' in html
    for time_zone, seconds, said in (
        ("Argentina", "5", "Several zones fit"),
        ("Asia/Tokyo", "7", "Choose one of the times"),
        ("Asia/Tokyo", "x", "Choose one of the times"),
    ):
        form = {"time_zone": time_zone, "undo_seconds": seconds}
        refused = visitor("POST", path, form=form, headers=HTML)
        assert refused.status == 422
        assert said in text_of(refused.text)
        assert f'value="{time_zone}"' in refused.text
    draft_id = made(visitor("POST", "/api/drafts", json_body={"subject": "When?"}))["id"]
    written = datetime.fromisoformat(
        made(visitor("GET", f"/api/drafts/{draft_id}"), status=200)["created_at"]
    ) + timedelta(hours=9)
    assert f"{written.day} {written:%b %Y, %H:%M}" in page(visitor, "/activity")
    assert "UTC" not in page(visitor, "/activity")


def test_the_browser_tells_the_zone_at_the_first_sign_in(web: RunningApp, anonymous: Visitor) -> None:
    signing_in = web.app.services.signing_in
    person = web.do(
        signing_in.add(email="first@example.com", name="First", password=PASSWORD, is_admin=False)
    )
    for told in ("Asia/Tokyo", "Europe/Berlin", "../../etc"):
        form = {"email": person.email, "password": PASSWORD, "time_zone": told}
        assert anonymous("POST", "/sign-in", form=form).status == 303
    link = web.do(signing_in.sign_in_link(person.email)).reveal()
    assert anonymous("POST", f"/sign-in/link/{link}", form={"time_zone": "Asia/Dubai"}).status == 303
    session = web.do(signing_in.sign_in(person.email, password=PASSWORD, client="test"))
    assert session.person.time_zone == "Asia/Tokyo"


def test_who_joins_has_the_zone_of_their_browser(web: RunningApp, alice: Visitor, anonymous: Visitor) -> None:
    signing_in = web.app.services.signing_in
    assert alice.person is not None
    invitation = web.do(signing_in.invite(alice.person, email="joins@example.com", is_admin=False)).reveal()
    form = {"name": "Jo", "password": PASSWORD, "time_zone": "Pacific/Auckland"}
    assert anonymous("POST", f"/join/{invitation}", form=form).status == 303
    session = web.do(signing_in.sign_in("joins@example.com", password=PASSWORD, client="test"))
    assert session.person.time_zone == "Pacific/Auckland"


def test_what_waits_for_the_provider_says_about_when_it_leaves_and_why(
    web: RunningApp, berlin: Visitor
) -> None:
    account = web.new_google_account()
    web.connect(berlin, "gmail", account)
    web.prefer("Bertha", time_zone="Europe/Berlin")
    web.box.world.faults.arm(
        Fault(kind="refused_429", vendor=Vendor.GOOGLE, account=account, retry_after_seconds=1800)
    )
    program = web.program("Bertha")
    draft = made(program("POST", "/api/drafts", json_body={"to": ["a@client.example"], "text": "Hi"}))
    waiting = made(program("POST", "/api/drafts/send", json_body={"draft_id": draft["id"]}), status=202)
    while not waiting["attempts"] or waiting["state"] != "queued":
        waiting = made(program("GET", f"/api/sends/{waiting['id']}"), status=200)
    # A page that shows a long wait does not ask every second.
    assert 'hx-trigger="every 30s"' in berlin("GET", f"/sends/{waiting['id']}", headers=HTML).text
    due = datetime.fromisoformat(waiting["next_at"]).astimezone(zone("Europe/Berlin"))
    for path in (f"/sends/{waiting['id']}", "/sends"):
        shown = page(berlin, path)
        assert re.search(
            rf"Leaves about [^:]*{due:%H:%M} CES?T \(UTC\+[12]\): {waiting['explanation']}", shown
        )
