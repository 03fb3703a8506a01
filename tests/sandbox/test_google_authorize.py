import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.running import RunningSandbox
from support.consent import NoRedirectError, approve, cancel
from support.google_app import CONSUMER, SEND, WORKSPACE, GoogleApp, callback_parameters
from support.plain_http import call


def test_agreeing_returns_to_the_app_with_the_parameters_in_googles_order(app: GoogleApp) -> None:
    url = approve(app.authorize_url(), account=WORKSPACE)

    told = callback_parameters(url)
    assert list(told) == ["state", "iss", "code", "scope", "authuser", "hd", "prompt"]
    assert told["state"] == "state-1"
    assert told["iss"] == app.box.environment["GOOGLE_ISSUER"]
    assert told["scope"].split()[:2] == ["email", "profile"]
    assert told["scope"].split()[-1] == SEND
    assert (told["hd"], told["prompt"]) == ("brightwave.example", "consent")


def test_a_consumer_account_has_no_hosted_domain(app: GoogleApp) -> None:
    assert "hd" not in callback_parameters(approve(app.authorize_url(), account=CONSUMER))


def test_cancelling_returns_access_denied_and_the_state(app: GoogleApp) -> None:
    assert callback_parameters(cancel(app.authorize_url(), account=WORKSPACE)) == {
        "error": "access_denied",
        "state": "state-1",
    }


def test_unticking_the_send_box_is_a_success_with_fewer_scopes(app: GoogleApp) -> None:
    granted = app.connect(untick=("gmail.send",))

    assert SEND not in granted["scope"]
    assert "refresh_token" in granted


def test_a_lone_scope_without_sign_in_has_no_box_to_untick(app: GoogleApp) -> None:
    assert app.connect(untick=("gmail.send",), scope=SEND)["scope"] == SEND


def test_granting_nothing_at_all_is_a_refusal(app: GoogleApp) -> None:
    readonly = "https://www.googleapis.com/auth/gmail.readonly"
    url = approve(
        app.authorize_url(scope=f"{SEND} {readonly}"),
        account=WORKSPACE,
        untick=("gmail.send", "gmail.readonly"),
    )

    assert callback_parameters(url)["error"] == "access_denied"


def test_a_login_hint_skips_the_account_chooser_unless_the_app_asks_for_it(app: GoogleApp) -> None:
    hinted = call("GET", app.authorize_url(login_hint=WORKSPACE))
    chosen = call("GET", app.authorize_url(login_hint=WORKSPACE, prompt="consent select_account"))

    assert "wants access" in hinted.text
    assert "Choose an account" in chosen.text


def test_asking_again_without_prompt_shows_no_consent_and_gives_no_refresh_token(app: GoogleApp) -> None:
    app.connect()

    url = approve(app.authorize_url(prompt=None), account=WORKSPACE)
    again = app.exchange(callback_parameters(url)["code"]).json

    assert callback_parameters(url)["prompt"] == "none"
    assert "refresh_token" not in again


def test_online_access_gives_no_refresh_token(app: GoogleApp) -> None:
    assert "refresh_token" not in app.connect(access_type="online")


def test_prompt_none_without_consent_comes_back_as_interaction_required(app: GoogleApp) -> None:
    answer = call("GET", app.authorize_url(prompt="none", login_hint=WORKSPACE))

    assert callback_parameters(answer.headers["Location"]) == {
        "error": "interaction_required",
        "error_subtype": "access_denied",
        "state": "state-1",
    }


def test_prompt_none_after_consent_needs_nobody(app: GoogleApp) -> None:
    app.connect()

    answer = call("GET", app.authorize_url(prompt="none", login_hint=WORKSPACE))

    assert "code" in callback_parameters(answer.headers["Location"])


def test_earlier_scopes_are_merged_when_the_app_asks_for_it(app: GoogleApp) -> None:
    app.connect()

    calendar = "https://www.googleapis.com/auth/calendar.events.readonly"
    granted = app.connect(scope=calendar, include_granted_scopes="true")["scope"].split()

    assert {calendar, SEND, "openid"} <= set(granted)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {"redirect_uri": "http://localhost:8000/api/auth/gmail/callback/"},
            "Error 400: redirect_uri_mismatch",
        ),
        (
            {"redirect_uri": "http://LOCALHOST:8000/api/auth/gmail/callback"},
            "Error 400: redirect_uri_mismatch",
        ),
        ({"client_id": "nobody.apps.googleusercontent.com"}, "Error 401: invalid_client"),
        ({"client_id": None}, "Error 400: invalid_request"),
        ({"response_type": None}, "Error 400: invalid_request"),
        ({"response_type": "token"}, "Error 400: invalid_request"),
        ({"scope": "openid telepathy"}, "Error 400: invalid_scope"),
        ({"prompt": "none consent"}, "Error 400: invalid_request"),
        ({"prompt": "login"}, "Error 400: invalid_request"),
        ({"code_challenge": "short"}, "Error 400: invalid_request"),
        ({"code_challenge": "a" * 43, "code_challenge_method": "S512"}, "Error 400: invalid_request"),
    ],
)
def test_a_bad_request_ends_on_googles_page_and_never_at_the_app(
    app: GoogleApp, changes: dict[str, str | None], error: str
) -> None:
    with pytest.raises(NoRedirectError) as caught:
        approve(app.authorize_url(**changes), account=WORKSPACE)

    assert error in caught.value.text
    assert "/signin/oauth/error?authError=" in caught.value.url


def test_a_deleted_client_ends_on_googles_page(app: GoogleApp) -> None:
    app.box.world.google_client.deleted = True

    with pytest.raises(NoRedirectError, match="Error 401: deleted_client"):
        approve(app.authorize_url(), account=WORKSPACE)


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ("admin_policy_enforced", "Error 400: admin_policy_enforced"),
        ("org_internal", "Error 403: org_internal"),
        ("not_a_test_user", "Error 403: access_denied"),
    ],
)
def test_an_account_that_may_not_consent_ends_on_googles_page(
    app: GoogleApp, failure: str, error: str
) -> None:
    app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).switches.at_consent = failure

    with pytest.raises(NoRedirectError, match=error):
        approve(app.authorize_url(), account=WORKSPACE)


def test_an_unverified_app_warns_before_the_consent_page(app: GoogleApp) -> None:
    app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).switches.unverified_app = True

    first = call("GET", app.authorize_url(login_hint=WORKSPACE))

    assert "has not been verified" in first.text
    assert "code" in callback_parameters(approve(app.authorize_url(), account=WORKSPACE))


def test_an_error_page_shows_hostile_text_as_text(box: RunningSandbox, app: GoogleApp) -> None:
    answer = call("GET", app.authorize_url(redirect_uri="<script>alert(1)</script>"))
    shown = call("GET", box.base_url + answer.headers["Location"])

    assert "<script>" not in shown.text
    assert "&lt;script&gt;" in shown.text


def test_an_opaque_error_that_nobody_made_is_still_a_page(box: RunningSandbox) -> None:
    assert call("GET", f"{box.base_url}/signin/oauth/error?authError=%FFnonsense").status == 400


def test_a_decision_about_a_request_that_is_over_leads_nowhere(box: RunningSandbox) -> None:
    for path in ("accounts", "warning", "consent"):
        answer = call("POST", f"{box.base_url}/signin/oauth/{path}", form={"request": "gone"})
        assert "/signin/oauth/error" in answer.headers["Location"]
