import pytest

from replysequence.sandbox.faults import MENU
from support.google_app import WORKSPACE, GoogleApp
from support.plain_http import Answer, call


def control(app: GoogleApp, method: str, path: str, body: object = None) -> Answer:
    return call(method, f"{app.box.base_url}/_sandbox{path}", json_body=body)


def test_the_ledger_and_the_messages_can_be_read(app: GoogleApp) -> None:
    app.send(app.connect()["access_token"])

    [entry] = control(app, "GET", "/ledger").json
    [summary] = control(app, "GET", "/messages?mailbox=Charlie@customer.example").json
    whole = control(app, "GET", f"/messages/{entry['message']}").json
    raw = control(app, "GET", f"/messages/{entry['message']}/raw")

    assert entry["send_id"] == "send-1"
    assert summary["id"] == entry["message"]
    assert whole["from"] == {"name": "Dana Reyes", "address": WORKSPACE}
    assert whole["text"].strip() == "Thank you for your time."
    assert ["X-ReplySequence-Send-Id", "send-1"] in whole["headers"]
    assert raw.body.endswith(b"Thank you for your time.\r\n")
    assert len(control(app, "GET", "/messages").json) == 1
    assert control(app, "GET", "/messages/none").status == 404


def test_an_account_can_be_added_and_connected(app: GoogleApp) -> None:
    seller = {"vendor": "google", "email": "sal@brightwave.example", "name": "Sal Eller", "subject": "1045"}

    added = control(app, "POST", "/accounts", seller)

    assert added.status == 201
    assert added.json["email"] == "sal@brightwave.example"
    assert app.send(app.connect("sal@brightwave.example")["access_token"]).status == 200


def test_the_clock_can_be_advanced(app: GoogleApp) -> None:
    token = app.connect()["access_token"]

    control(app, "POST", "/clock", {"advance_seconds": 3600})

    assert app.send(token).status == 401
    assert control(app, "GET", "/state").json["ahead_seconds"] == 3600


def test_faults_can_be_armed_listed_and_removed(app: GoogleApp) -> None:
    token = app.connect()["access_token"]
    armed = control(app, "POST", "/faults", {"vendor": "google", "kind": "refused_503", "count": None})
    control(app, "POST", "/faults", {"vendor": "google", "kind": "slow", "delay_seconds": 0})

    assert armed.status == 201
    assert app.send(token).status == 503
    assert len(control(app, "GET", "/state").json["faults"]) == 2
    assert control(app, "GET", "/state").json["strikes"][0]["kind"] == "refused_503"
    assert control(app, "DELETE", f"/faults?id={armed.json['id']}").status == 204
    assert app.send(token).status == 200
    assert control(app, "DELETE", "/faults").status == 204
    assert control(app, "GET", "/state").json["faults"] == []


def test_the_menu_can_be_read(app: GoogleApp) -> None:
    assert [line["kind"] for line in control(app, "GET", "/faults").json] == list(MENU)


def test_switches_and_actions_reach_an_account(app: GoogleApp) -> None:
    refresh_token = app.connect()["refresh_token"]

    changed = control(app, "POST", f"/accounts/{WORKSPACE}", {"at_token": "account_restricted"})
    assert changed.json["switches"]["at_token"] == "account_restricted"
    assert app.refresh(refresh_token).json["error"] == "access_denied"

    control(app, "POST", f"/accounts/{WORKSPACE}", {"at_token": "", "do": "remove_access"})
    assert app.refresh(refresh_token).json["error"] == "invalid_grant"


def test_access_tokens_can_be_expired_at_once(app: GoogleApp) -> None:
    tokens = app.connect()

    control(app, "POST", f"/accounts/{WORKSPACE}", {"do": "expire_access_tokens"})

    assert app.send(tokens["access_token"]).status == 401
    assert app.refresh(tokens["refresh_token"]).status == 200


def test_limits_and_lifetimes_of_a_vendor_can_be_set(app: GoogleApp) -> None:
    answer = control(app, "POST", "/vendors/google", {"access_token_seconds": 300, "units_per_minute": 100})

    tokens = app.connect()
    assert answer.json["access_token_seconds"] == 300
    assert tokens["expires_in"] == 300
    assert [app.send(tokens["access_token"]).status for _ in range(2)] == [200, 403]


def test_redirect_uris_can_be_registered(app: GoogleApp) -> None:
    control(app, "POST", "/clients", {"public_url": "https://app.example/"})
    control(app, "POST", "/clients", {"redirect_uris": ["https://other.example/callback"]})

    known = app.box.world.google_client.redirect_uris
    assert {"https://app.example/api/auth/gmail/callback", "https://other.example/callback"} <= known
    assert "https://app.example/api/auth/outlook/callback" in app.box.world.microsoft_client.redirect_uris


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/clock", {"advance_seconds": -1}, 400),
        ("/clock", {}, 404),
        ("/clock", [], 400),
        ("/faults", {"vendor": "google", "kind": "earthquake"}, 400),
        ("/faults", {"vendor": "yahoo", "kind": "slow"}, 400),
        ("/faults", {"vendor": "google", "kind": "slow", "colour": "red"}, 400),
        (f"/accounts/{WORKSPACE}", {"at_send": "no_such_failure"}, 400),
        (f"/accounts/{WORKSPACE}", {"mood": "bad"}, 400),
        (f"/accounts/{WORKSPACE}", {"unverified_app": "yes"}, 400),
        (f"/accounts/{WORKSPACE}", {"do": "sing"}, 400),
        ("/accounts/nobody@nowhere.example", {}, 404),
        ("/accounts", {"email": "sal@brightwave.example"}, 400),
        ("/accounts", {"vendor": "google", "email": "sal@brightwave.example", "is_admin": "yes"}, 400),
        ("/accounts", {"vendor": "google", "email": 7, "name": "Sal", "subject": "1"}, 400),
        ("/vendors/google", {"colour": "red"}, 400),
    ],
)
def test_a_wrong_order_is_refused_with_words(app: GoogleApp, path: str, body: object, status: int) -> None:
    answer = control(app, "POST", path, body)

    assert answer.status == status
    assert answer.json["error"]
