import base64

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.zoom_scopes import ZOOM_SCOPES
from support.consent import NoRedirectError, approve, cancel
from support.google_app import callback_parameters
from support.plain_http import Answer, call
from support.zoom_app import USER, ZoomApp


def refused(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.json["error"], answer.json["reason"]


INVALID_TOKEN = (400, "invalid_grant", "Invalid Token!")


def test_a_consent_gives_tokens_for_the_scopes_of_the_apps_settings(zoom: ZoomApp) -> None:
    told = zoom.connect()

    assert set(told) == {"access_token", "token_type", "refresh_token", "expires_in", "scope", "api_url"}
    assert set(told["scope"].split()) == set(ZOOM_SCOPES)
    assert (told["token_type"], told["expires_in"]) == ("bearer", 3599)
    assert told["api_url"] == zoom.box.environment["ZOOM_API_URL"].removesuffix("/v2")
    assert zoom.get(told["access_token"], "/users/me").json["email"] == USER


def test_the_consent_page_says_in_words_what_the_app_gets(zoom: ZoomApp) -> None:
    first = call("GET", zoom.authorize_url()).text
    pending = first.partition('name="pending" value="')[2].partition('"')[0]
    second = call(
        "POST",
        f"{zoom.box.base_url}/zoom/oauth/account",
        form={"pending": pending, "account": USER},
    ).text

    assert "Sign in" in first
    assert "View a meeting&#39;s summary" in second
    assert "checkbox" not in second


def test_declining_tells_the_app(zoom: ZoomApp) -> None:
    told = callback_parameters(cancel(zoom.authorize_url(), account=USER))

    assert told == {"error": "access_denied", "state": "state-1"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_id": "nobody"}, r"Invalid client_id: nobody \(4,702\)"),
        (
            {"redirect_uri": "http://localhost:8000/api/auth/zoom/callback/"},
            r"Invalid redirect: .* \(4,700\)",
        ),
        ({"redirect_uri": None}, r"Invalid redirect: +\(4,700\)"),
        ({"response_type": "token"}, "Invalid response type"),
        ({"scope": "meeting:write:meeting"}, "Invalid scope"),
        ({"code_challenge": "short"}, "Invalid code challenge"),
        ({"code_challenge_method": "S512"}, "Invalid code challenge"),
    ],
)
def test_a_bad_request_ends_on_zooms_page(zoom: ZoomApp, changes: dict[str, str | None], words: str) -> None:
    with pytest.raises(NoRedirectError, match=words):
        approve(zoom.authorize_url(**changes), account=USER)


@pytest.mark.parametrize("failure", ["admin_approval", "app_disabled", "error_page"])
def test_an_account_that_may_not_add_the_app_ends_on_zooms_page(zoom: ZoomApp, failure: str) -> None:
    zoom.box.world.accounts.at(Vendor.ZOOM, USER).switches.at_consent = failure

    with pytest.raises(NoRedirectError, match="complete your request"):
        approve(zoom.authorize_url(), account=USER)


def test_a_decision_about_a_request_that_is_over_leads_nowhere(zoom: ZoomApp) -> None:
    for path in ("account", "consent"):
        answer = call("POST", f"{zoom.box.base_url}/zoom/oauth/{path}", form={"pending": "gone"})
        assert (answer.status, "This request is over" in answer.text) == (400, True)


def test_a_refresh_token_works_once_and_the_next_one_takes_its_place(zoom: ZoomApp) -> None:
    first = zoom.connect()
    second = zoom.refresh(first["refresh_token"]).json

    assert second["refresh_token"] != first["refresh_token"]
    assert refused(zoom.refresh(first["refresh_token"])) == INVALID_TOKEN
    assert zoom.refresh(second["refresh_token"]).status == 200
    assert zoom.get(first["access_token"], "/users/me").status == 200


def test_a_new_authorization_ends_every_earlier_token(zoom: ZoomApp) -> None:
    first, second = zoom.connect(), zoom.connect()

    assert refused(zoom.refresh(first["refresh_token"])) == INVALID_TOKEN
    assert zoom.get(first["access_token"], "/users/me").json == {
        "code": 124,
        "message": "Invalid access token.",
    }
    assert zoom.get(second["access_token"], "/users/me").status == 200


def test_a_code_works_once_for_five_minutes(zoom: ZoomApp) -> None:
    code, late = zoom.code(), zoom.code()

    assert zoom.exchange(code).status == 200
    assert refused(zoom.exchange(code)) == (400, "invalid_grant", "Invalid authorization code.")
    zoom.box.world.clock.advance(301)
    assert refused(zoom.exchange(late)) == (400, "invalid_grant", "Code is expired")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"code": "made-up"}, "Invalid authorization code."),
        ({"redirect_uri": "https://elsewhere.example/"}, "Redirect URI mismatch."),
        ({"redirect_uri": None}, "Redirect URI mismatch."),
        ({"code_verifier": None}, "Invalid code verifier."),
        ({"code_verifier": "w" * 64}, "Invalid code verifier."),
        ({"grant_type": None}, "Missing grant type."),
        ({"grant_type": "password"}, "unsupported grant type"),
    ],
)
def test_an_exchange_that_is_wrong_is_refused(
    zoom: ZoomApp, changes: dict[str, str | None], reason: str
) -> None:
    answer = zoom.exchange(zoom.code(), **changes)

    assert (answer.status, answer.json["reason"]) == (400, reason)


def test_the_client_shows_its_secret_as_basic_authentication_only(zoom: ZoomApp) -> None:
    wrong = zoom.token(secret="wrong", grant_type="refresh_token", refresh_token="x")
    form = {
        "grant_type": "refresh_token",
        "refresh_token": "x",
        "client_id": zoom.box.environment["ZOOM_CLIENT_ID"],
        "client_secret": zoom.box.environment["ZOOM_CLIENT_SECRET"],
    }
    in_the_form = call("POST", zoom.box.environment["ZOOM_TOKEN_URL"], form=form)
    garbled = call(
        "POST", zoom.box.environment["ZOOM_TOKEN_URL"], form=form, headers={"Authorization": "Basic %%%"}
    )
    stranger = base64.b64encode(b"nobody:x").decode()
    unknown = call(
        "POST", zoom.box.environment["ZOOM_TOKEN_URL"], headers={"Authorization": f"Basic {stranger}"}
    )

    for answer in (wrong, in_the_form, garbled, unknown):
        assert refused(answer) == (400, "invalid_client", "Invalid client_id or client_secret")


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_either_token_ends_both(zoom: ZoomApp, which: str) -> None:
    tokens = zoom.connect()

    assert zoom.revoke(tokens[which]).json == {"status": "success"}
    assert zoom.get(tokens["access_token"], "/users/me").status == 401
    assert refused(zoom.refresh(tokens["refresh_token"])) == INVALID_TOKEN
    assert refused(zoom.revoke(tokens[which])) == INVALID_TOKEN


def test_a_token_of_another_vendor_is_not_revoked_here(zoom: ZoomApp) -> None:
    world = zoom.box.world
    account = world.accounts.of(Vendor.GOOGLE)[0]
    grant = world.credentials.give_consent(account, world.google_client.project, ["openid"])
    world.credentials.issue_access_token(
        grant, world.google_client, value="ya29.x", scopes=["openid"], lifetime_seconds=60
    )

    assert refused(zoom.revoke("ya29.x")) == INVALID_TOKEN
    assert not grant.revoked


@pytest.mark.parametrize(
    ("switch", "told"),
    [
        ("revoked", INVALID_TOKEN),
        ("owner_gone", (400, "invalid_grant", "The owner of the token does not exist.")),
        ("disabled_by_admin", (400, "invalid_grant", "The token is disabled by admin.")),
        ("app_disabled", (400, "invalid_client", "The app has been disabled")),
    ],
)
def test_a_refresh_token_can_die_in_many_ways(zoom: ZoomApp, switch: str, told: tuple[int, str, str]) -> None:
    refresh_token = zoom.connect()["refresh_token"]
    zoom.box.world.accounts.at(Vendor.ZOOM, USER).switches.at_token = switch

    assert refused(zoom.refresh(refresh_token)) == told
    zoom.box.world.accounts.at(Vendor.ZOOM, USER).switches.at_token = ""
    assert zoom.refresh(refresh_token).status == 200


def test_a_refresh_token_lives_for_ninety_days(zoom: ZoomApp) -> None:
    refresh_token = zoom.connect()["refresh_token"]

    zoom.box.world.clock.advance(91 * 86_400)

    assert refused(zoom.refresh(refresh_token)) == INVALID_TOKEN


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("invalid_grant", 400),
        ("invalid_client", 400),
        ("refused_429", 429),
        ("refused_503", 503),
        ("html", 200),
    ],
)
def test_the_token_endpoint_can_fail_and_spends_nothing(zoom: ZoomApp, kind: str, status: int) -> None:
    refresh_token = zoom.connect()["refresh_token"]
    zoom.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.ZOOM, endpoint=Endpoint.TOKEN, account=USER))

    assert zoom.refresh(refresh_token).status == status
    assert zoom.refresh(refresh_token).status == 200


@pytest.mark.parametrize("kind", ["admin_approval", "error_page", "refused_503"])
def test_the_sign_in_page_can_lead_nowhere(zoom: ZoomApp, kind: str) -> None:
    zoom.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.ZOOM, endpoint=Endpoint.AUTHORIZE))

    with pytest.raises(NoRedirectError, match="complete your request"):
        approve(zoom.authorize_url(), account=USER)
