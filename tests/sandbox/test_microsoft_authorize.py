from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from replysequence.sandbox.accounts import CONSUMERS_TENANT, Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from support.microsoft_app import (
    CALLBACK,
    LOCKED_DOWN,
    PERSONAL,
    SCOPES,
    WORK,
    MicrosoftApp,
    Page,
)
from support.plain_http import call

ASKED, ASKED_AT_HOME = "Permissions requested", "Let this app access your info?"
TURNED_AWAY = "Sorry, but we’re having trouble signing you in."
ELSEWHERE = "http://localhost:8000/somewhere/else"


def test_accepting_brings_back_a_code_the_state_and_at_work_a_session(microsoft: MicrosoftApp) -> None:
    page = microsoft.authorize().pick(WORK)
    assert page.heading == "Permissions requested"
    assert "Send mail as you" in page.text
    assert "checkbox" not in page.text
    callback = page.accept().callback
    assert callback.keys() == {"code", "state", "session_state"}
    assert callback["state"] == "state-1"
    assert len(callback["code"]) > 900


def test_a_personal_account_gets_a_short_code_and_no_session(microsoft: MicrosoftApp) -> None:
    callback = microsoft.authorize().pick(PERSONAL).accept().callback
    assert callback.keys() == {"code", "state"}
    assert callback["code"].startswith("M.")


def test_who_has_consented_is_not_asked_again_until_a_scope_is_new(microsoft: MicrosoftApp) -> None:
    microsoft.code(WORK)
    assert "code" in microsoft.authorize().pick(WORK).callback
    assert microsoft.authorize(prompt="consent").pick(WORK).heading == "Permissions requested"
    assert microsoft.authorize(scope=f"{SCOPES} User.Read").pick(WORK).heading == "Permissions requested"


def test_cancelling_at_a_work_account_says_65004_and_cancel(microsoft: MicrosoftApp) -> None:
    callback = microsoft.authorize().pick(WORK).cancel().callback
    assert callback["error"] == "access_denied"
    assert callback["error_subcode"] == "cancel"
    lines = callback["error_description"].split("\r\n")
    assert lines[0].startswith("AADSTS65004: ")
    assert [line.partition(":")[0] for line in lines[1:]] == ["Trace ID", "Correlation ID", "Timestamp"]


def test_cancelling_at_a_personal_account_gives_no_number(microsoft: MicrosoftApp) -> None:
    callback = microsoft.authorize().pick(PERSONAL).cancel().callback
    assert callback == {
        "error": "access_denied",
        "error_description": "The user has denied access to the scope requested by the client application.",
        "state": "state-1",
    }


def test_need_admin_approval_goes_back_without_saying_why(microsoft: MicrosoftApp) -> None:
    page = microsoft.authorize().pick(LOCKED_DOWN)
    assert page.heading == "Need admin approval"
    assert "AADSTS90094" in page.text
    callback = page.press("return").callback
    assert callback == {"error": "access_denied", "error_subcode": "cancel", "state": "state-1"}


def test_need_admin_approval_can_also_be_reported_to_the_app(microsoft: MicrosoftApp) -> None:
    microsoft.account(WORK).switches.at_consent = "admin_approval_reported"
    callback = microsoft.authorize().pick(WORK).callback
    assert callback["error"] == "access_denied"
    assert callback["error_description"].startswith("AADSTS90094: ")


def test_a_locked_down_tenant_lets_users_sign_in_without_mail(microsoft: MicrosoftApp) -> None:
    assert (
        microsoft.authorize(scope="openid profile email").pick(LOCKED_DOWN).heading == "Permissions requested"
    )


@pytest.mark.parametrize("scope", ["Calendars.Read", "Mail.Read", "OnlineMeetings.Read"])
def test_the_managed_policy_keeps_a_scope_from_work_users_only(microsoft: MicrosoftApp, scope: str) -> None:
    asked = f"{SCOPES} {scope}"
    assert microsoft.authorize(scope=asked).pick(WORK).heading == "Need admin approval"
    assert "code" in microsoft.authorize(scope=asked).pick(PERSONAL).accept().callback


def test_an_administrator_approves_for_everybody(microsoft: MicrosoftApp) -> None:
    tenant = microsoft.account(LOCKED_DOWN).tenant
    parameters = {
        "client_id": microsoft.box.environment["MICROSOFT_CLIENT_ID"],
        "redirect_uri": CALLBACK,
        "scope": "openid profile email offline_access https://graph.microsoft.com/Mail.Send",
        "state": "state-2",
    }
    url = microsoft.url("/organizations/v2.0/adminconsent")
    assert "lockdown.example" in call("GET", f"{url}?{urlencode(parameters)}").text
    answer = call("POST", url, form=parameters | {"tenant": tenant, "decision": "accept"})
    back = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    assert back == {
        "admin_consent": "True",
        "tenant": tenant,
        "scope": "openid profile email https://graph.microsoft.com/Mail.Send",
        "state": "state-2",
    }
    assert "code" in microsoft.authorize().pick(LOCKED_DOWN).callback
    assert microsoft.authorize(prompt="consent").pick(LOCKED_DOWN).heading == "Need admin approval"


def test_an_administrator_who_refuses_sends_an_error_back(microsoft: MicrosoftApp) -> None:
    form = {
        "client_id": microsoft.box.environment["MICROSOFT_CLIENT_ID"],
        "redirect_uri": CALLBACK,
        "scope": "Mail.Send",
        "decision": "cancel",
    }
    answer = call("POST", microsoft.url("/organizations/v2.0/adminconsent"), form=form)
    back = dict(parse_qsl(urlsplit(answer.headers["Location"]).query))
    assert (back["admin_consent"], back["error"]) == ("True", "access_denied")
    assert microsoft.authorize().pick(LOCKED_DOWN).heading == "Need admin approval"


def test_admin_consent_is_no_matter_for_common(microsoft: MicrosoftApp) -> None:
    query = urlencode(
        {"client_id": microsoft.box.environment["MICROSOFT_CLIENT_ID"], "redirect_uri": CALLBACK}
    )
    assert "AADSTS90002" in call("GET", microsoft.url(f"/common/v2.0/adminconsent?{query}")).text


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"redirect_uri": ELSEWHERE}, 50011),
        ({"redirect_uri": CALLBACK + "/"}, 50011),
        ({"redirect_uri": CALLBACK.replace("outlook", "Outlook")}, 50011),
        ({"redirect_uri": CALLBACK.replace("localhost", "127.0.0.1")}, 50011),
        ({"redirect_uri": None}, 900971),
        ({"client_id": "nobody"}, 700016),
        ({"client_id": None}, 700016),
    ],
)
def test_what_could_send_a_code_astray_stays_on_the_page(
    microsoft: MicrosoftApp, changes: dict[str, str | None], number: int
) -> None:
    assert f"AADSTS{number}: " in microsoft.authorize_with(changes).text


def test_an_unknown_tenant_is_said_on_the_page(microsoft: MicrosoftApp) -> None:
    assert "AADSTS90002: " in microsoft.authorize(segment="no-such-tenant.example").text


def test_the_port_of_localhost_does_not_matter(microsoft: MicrosoftApp) -> None:
    moved = CALLBACK.replace(":8000", ":54321")
    page = microsoft.authorize(redirect_uri=moved).pick(WORK).accept()
    assert page.location.startswith(f"{moved}?code=")


@pytest.mark.parametrize(
    ("changes", "error", "number"),
    [
        ({"response_type": "token"}, "unsupported_response_type", 700054),
        ({"scope": None}, "invalid_scope", 28003),
        ({"scope": "openid Mail.Sned"}, "invalid_client", 650053),
        ({"scope": "openid\nMail.Send"}, "invalid_client", 650053),
        ({"prompt": "maybe"}, "invalid_request", 90023),
        ({"code_challenge_method": "S512"}, "invalid_request", 501491),
        ({"code_challenge": "short"}, "invalid_request", 501491),
        ({"prompt": "none"}, "login_required", 50058),
    ],
)
def test_a_mistake_in_the_request_comes_back_to_the_app(
    microsoft: MicrosoftApp, changes: dict[str, str | None], error: str, number: int
) -> None:
    callback = microsoft.authorize_with(changes).callback
    assert callback["error"] == error
    assert callback["error_description"].startswith(f"AADSTS{number}: ")
    assert callback["state"] == "state-1"


def test_without_a_page_a_missing_consent_is_an_error(microsoft: MicrosoftApp) -> None:
    silent = {"prompt": "none", "login_hint": WORK}
    assert microsoft.authorize(**silent).callback["error"] == "consent_required"
    microsoft.code(WORK)
    assert "code" in microsoft.authorize(**silent).callback
    microsoft.account(WORK).switches.at_consent = "mfa"
    assert microsoft.authorize(**silent).callback["error"] == "interaction_required"


def test_a_login_hint_skips_the_account_picker(microsoft: MicrosoftApp) -> None:
    assert microsoft.authorize(login_hint=WORK).heading == "Permissions requested"
    assert microsoft.authorize(login_hint="stranger@nowhere.example").heading == "Pick an account"
    assert microsoft.authorize(login_hint=WORK, prompt="select_account").heading == "Pick an account"


def test_an_unknown_account_is_said_on_the_page(microsoft: MicrosoftApp) -> None:
    assert "charlie@nowhere.example" in microsoft.authorize().pick("charlie@nowhere.example").text


@pytest.mark.parametrize(
    ("segment", "email", "heading"),
    [
        ("organizations", WORK, ASKED),
        ("organizations", PERSONAL, TURNED_AWAY),
        ("consumers", PERSONAL, ASKED_AT_HOME),
        ("consumers", WORK, TURNED_AWAY),
        (CONSUMERS_TENANT, PERSONAL, ASKED_AT_HOME),
        ("contoso.example", WORK, ASKED),
        ("contoso.example", LOCKED_DOWN, TURNED_AWAY),
        ("contoso.example", PERSONAL, TURNED_AWAY),
    ],
)
def test_a_tenant_segment_admits_its_own(
    microsoft: MicrosoftApp, segment: str, email: str, heading: str
) -> None:
    assert microsoft.authorize(segment=segment).pick(email).heading == heading


@pytest.mark.parametrize(("switch", "number"), [("conditional_access", 53003), ("not_assigned", 50105)])
def test_a_policy_block_is_a_dead_end(microsoft: MicrosoftApp, switch: str, number: int) -> None:
    microsoft.account(WORK).switches.at_consent = switch
    page = microsoft.authorize().pick(WORK)
    assert f"AADSTS{number}: " in page.text
    assert "<form" not in page.text


def test_a_second_factor_is_asked_for_on_the_way(microsoft: MicrosoftApp) -> None:
    microsoft.account(WORK).switches.at_consent = "mfa"
    page = microsoft.authorize().pick(WORK)
    assert page.heading == "Approve sign-in request"
    assert "code" in page.press("mfa", decision="continue").accept().callback
    refused = microsoft.authorize().pick(WORK).press("mfa", decision="cancel").callback
    assert refused["error"] == "access_denied"


def test_an_unverified_app_says_so(microsoft: MicrosoftApp) -> None:
    assert "Unverified" not in microsoft.authorize().pick(WORK).text
    microsoft.account(WORK).switches.unverified_app = True
    assert "Unverified" in microsoft.authorize().pick(WORK).text


def test_a_page_that_was_answered_cannot_be_answered_again(microsoft: MicrosoftApp) -> None:
    page = microsoft.authorize().pick(WORK)
    page.accept()
    assert "start again" in page.accept().text


def test_the_answer_can_come_in_the_fragment_or_as_a_form(microsoft: MicrosoftApp) -> None:
    page = microsoft.authorize(response_mode="fragment").pick(WORK).accept()
    assert page.location.startswith(f"{CALLBACK}#code=")
    form = microsoft.authorize(response_mode="form_post").pick(WORK)
    assert f'action="{CALLBACK}"' in form.text
    assert 'name="code"' in form.text


def test_a_bare_redirect_uri_comes_back_with_a_slash(microsoft: MicrosoftApp) -> None:
    microsoft.box.world.microsoft_client.redirect_uris.add("http://localhost")
    page = microsoft.authorize(redirect_uri="http://localhost:5000").pick(WORK).accept()
    assert page.location.startswith("http://localhost:5000/?code=")


@pytest.mark.parametrize(
    ("kind", "words"), [("admin_approval", "Need admin approval"), ("error_page", "trouble signing you in")]
)
def test_a_fault_shows_a_page_that_leads_nowhere(microsoft: MicrosoftApp, kind: str, words: str) -> None:
    microsoft.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.MICROSOFT, endpoint=Endpoint.AUTHORIZE))
    page: Page = microsoft.authorize()
    assert words in page.text
    assert "<form" not in page.text
    assert microsoft.authorize().heading == "Pick an account"
