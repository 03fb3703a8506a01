import base64
import hashlib
import secrets
from typing import Any

import jwt
import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.credentials import Client
from replysequence.sandbox.signing import half_hash
from support.google_app import CALLBACK, SEND, WORKSPACE, GoogleApp, bearer
from support.plain_http import Answer, call

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
REVOKED = (400, "invalid_grant", "Token has been expired or revoked.")


def refused(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.json["error"], answer.json["error_description"]


def claims(app: GoogleApp, id_token: str) -> dict[str, Any]:
    """Check the signature against the published key, as a relying party does."""
    published = call("GET", app.box.environment["GOOGLE_JWKS_URL"]).json["keys"]
    kid = jwt.get_unverified_header(id_token)["kid"]
    [key] = [jwt.PyJWK(item) for item in published if item["kid"] == kid]
    return jwt.decode(
        id_token,
        key,
        algorithms=["RS256"],
        audience=app.box.environment["GOOGLE_CLIENT_ID"],
        issuer=app.box.environment["GOOGLE_ISSUER"],
    )


def test_an_exchange_gives_tokens_and_canonical_scopes(app: GoogleApp) -> None:
    tokens = app.connect()

    assert tokens["access_token"].startswith("ya29.")
    assert tokens["refresh_token"].startswith("1//0")
    assert (tokens["expires_in"], tokens["token_type"]) == (3599, "Bearer")
    assert set(tokens["scope"].split()) == {
        "openid",
        "https://www.googleapis.com/auth/userinfo.email",
        "https://www.googleapis.com/auth/userinfo.profile",
        SEND,
    }


def test_the_id_token_says_who_it_is_and_is_signed(app: GoogleApp) -> None:
    tokens = app.connect()

    told = claims(app, tokens["id_token"])

    assert told["sub"] == app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).subject
    assert told["azp"] == told["aud"]
    assert (told["email"], told["email_verified"], told["hd"]) == (WORKSPACE, True, "brightwave.example")
    assert (told["name"], told["nonce"]) == ("Dana Reyes", "nonce-1")
    assert told["at_hash"] == half_hash(tokens["access_token"])


def test_asking_for_the_address_alone_adds_openid_and_keeps_the_name_back(app: GoogleApp) -> None:
    tokens = app.connect(scope="email")

    assert "openid" in tokens["scope"].split()
    assert "name" not in claims(app, tokens["id_token"])


def test_a_code_works_once(app: GoogleApp) -> None:
    code = app.code()

    assert app.exchange(code).status == 200
    assert refused(app.exchange(code)) == (400, "invalid_grant", "Bad Request")


def test_a_code_is_good_for_ten_minutes(app: GoogleApp) -> None:
    code = app.code()
    app.box.world.clock.advance(600)

    assert refused(app.exchange(code)) == (400, "invalid_grant", "Bad Request")


@pytest.mark.parametrize(
    ("challenge", "method", "verifier", "outcome"),
    [
        (CHALLENGE, "S256", VERIFIER, None),
        (VERIFIER, "plain", VERIFIER, None),
        (VERIFIER, None, VERIFIER, None),
        (CHALLENGE, "S256", None, (400, "invalid_grant", "Missing code verifier.")),
        (CHALLENGE, "S256", "w" * 64, (400, "invalid_grant", "Invalid code verifier.")),
        (CHALLENGE, "S256", CHALLENGE, (400, "invalid_grant", "Invalid code verifier.")),
    ],
)
def test_a_code_is_bound_to_its_challenge(
    app: GoogleApp,
    challenge: str,
    method: str | None,
    verifier: str | None,
    outcome: tuple[int, str, str] | None,
) -> None:
    code = app.code(code_challenge=challenge, code_challenge_method=method)

    answer = app.exchange(code, code_verifier=verifier)

    assert answer.status == 200 if outcome is None else refused(answer) == outcome


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"client_id": None}, (400, "invalid_request", "Could not determine client ID from request.")),
        ({"client_id": "nobody"}, (401, "invalid_client", "The OAuth client was not found.")),
        ({"client_secret": None}, (400, "invalid_request", "client_secret is missing.")),
        ({"client_secret": "wrong"}, (401, "invalid_client", "The provided client secret is invalid.")),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", "Invalid grant_type: password")),
        ({"code": None}, (400, "invalid_request", "Missing required parameter: code")),
        ({"code": "4/0Aforged"}, (400, "invalid_grant", "Malformed auth code.")),
        ({"redirect_uri": None}, (400, "invalid_request", "Missing parameter: redirect_uri")),
        ({"redirect_uri": f"{CALLBACK}/"}, (400, "redirect_uri_mismatch", "Bad Request")),
        ({"client_secret": "wrong", "grant_type": "password"}, (401, "invalid_client", None)),
        ({"grant_type": "password", "code": "4/0Aforged"}, (400, "unsupported_grant_type", None)),
        ({"code": "4/0Aforged", "redirect_uri": "x"}, (400, "invalid_grant", None)),
    ],
)
def test_the_exchange_errs_as_google_does_and_in_its_order(
    app: GoogleApp, changes: dict[str, str | None], outcome: tuple[int, str, str | None]
) -> None:
    status, error, description = refused(app.exchange(app.code(), **changes))

    assert (status, error) == outcome[:2]
    assert outcome[2] in (None, description)


def test_a_code_of_one_client_is_worthless_to_another(app: GoogleApp) -> None:
    app.box.world.credentials.register(
        Client(vendor=Vendor.GOOGLE, client_id="other", secret="other", project="other")
    )

    answer = app.exchange(app.code(), client_id="other", client_secret="other")

    assert refused(answer) == (400, "invalid_grant", "Bad Request")


def test_the_client_may_identify_itself_in_a_header(app: GoogleApp) -> None:
    environment = app.box.environment
    pair = f"{environment['GOOGLE_CLIENT_ID']}:{environment['GOOGLE_CLIENT_SECRET']}"
    form = {"grant_type": "authorization_code", "code": app.code(), "redirect_uri": CALLBACK}

    answer = call(
        "POST",
        environment["GOOGLE_TOKEN_URL"],
        form=form,
        headers={"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"},
    )

    assert answer.status == 200


def test_a_refresh_gives_an_access_token_and_no_new_refresh_token(app: GoogleApp) -> None:
    tokens = app.connect()

    answer = app.refresh(tokens["refresh_token"])

    assert answer.status == 200
    assert "refresh_token" not in answer.json
    assert answer.json["scope"] == tokens["scope"]
    assert "nonce" not in claims(app, answer.json["id_token"])
    assert app.send(answer.json["access_token"]).status == 200
    assert app.send(tokens["access_token"]).status == 200


def test_a_refresh_may_ask_for_less_and_not_for_more(app: GoogleApp) -> None:
    refresh_token = app.connect(untick=("gmail.send",))["refresh_token"]

    assert app.refresh(refresh_token, scope="openid").json["scope"] == "openid"
    assert app.refresh(refresh_token, scope=SEND).json["error"] == "invalid_scope"


def test_a_refresh_token_that_nobody_issued_is_refused(app: GoogleApp) -> None:
    assert refused(app.refresh("1//0forged")) == (400, "invalid_grant", "Bad Request")


def test_removing_the_app_kills_the_refresh_token(app: GoogleApp) -> None:
    refresh_token = app.connect()["refresh_token"]

    act(app.box.world, app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE), "remove_access")

    assert refused(app.refresh(refresh_token)) == REVOKED


def test_a_new_password_kills_only_refresh_tokens_with_a_gmail_scope(app: GoogleApp) -> None:
    with_gmail = app.connect()["refresh_token"]
    without = app.connect(untick=("gmail.send",))["refresh_token"]

    act(app.box.world, app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE), "change_password")

    assert refused(app.refresh(with_gmail)) == REVOKED
    assert app.refresh(without).status == 200


def test_half_a_year_without_use_kills_a_refresh_token(app: GoogleApp) -> None:
    refresh_token = app.connect()["refresh_token"]

    app.box.world.clock.advance(100 * 86400)
    assert app.refresh(refresh_token).status == 200
    app.box.world.clock.advance(100 * 86400)
    assert app.refresh(refresh_token).status == 200
    app.box.world.clock.advance(184 * 86400)
    assert refused(app.refresh(refresh_token)) == REVOKED


def test_an_app_in_testing_is_told_that_its_refresh_tokens_live_a_week(app: GoogleApp) -> None:
    app.box.world.google_client.testing = True
    tokens = app.connect()

    assert tokens["refresh_token_expires_in"] == 604799
    app.box.world.clock.advance(604799)
    assert refused(app.refresh(tokens["refresh_token"])) == REVOKED


def test_sign_in_alone_outlives_the_week_of_testing(app: GoogleApp) -> None:
    app.box.world.google_client.testing = True

    assert "refresh_token_expires_in" not in app.connect(scope="openid email")


def test_the_hundred_and_first_refresh_token_kills_the_oldest(app: GoogleApp) -> None:
    oldest = app.connect()["refresh_token"]
    second = app.connect()["refresh_token"]
    account = app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE)
    grant = app.box.world.credentials.grant(account, app.box.world.google_client.project)
    assert grant is not None
    for _ in range(98):
        app.box.world.credentials.issue_refresh_token(
            grant, app.box.world.google_client, value=secrets.token_hex(), scopes=("openid",)
        )

    app.connect()

    assert refused(app.refresh(oldest)) == REVOKED
    assert app.refresh(second).status == 200


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        ("admin_policy_enforced", (400, "admin_policy_enforced")),
        ("invalid_rapt", (400, "invalid_grant")),
        ("account_deleted", (400, "invalid_grant")),
        ("account_restricted", (400, "access_denied")),
        ("deleted_client", (401, "deleted_client")),
        ("unauthorized_client", (401, "unauthorized_client")),
        ("revoked", (400, "invalid_grant")),
    ],
)
def test_a_refresh_can_fail_in_each_way_that_google_knows(
    app: GoogleApp, failure: str, outcome: tuple[int, str]
) -> None:
    refresh_token = app.connect()["refresh_token"]
    app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).switches.at_token = failure

    answer = app.refresh(refresh_token)

    assert (answer.status, answer.json["error"]) == outcome


def test_a_session_policy_is_told_apart_by_its_subtype(app: GoogleApp) -> None:
    refresh_token = app.connect()["refresh_token"]
    app.box.world.accounts.at(Vendor.GOOGLE, WORKSPACE).switches.at_token = "invalid_rapt"

    assert app.refresh(refresh_token).json["error_subtype"] == "invalid_rapt"


def test_another_clients_refresh_token_is_refused(app: GoogleApp) -> None:
    refresh_token = app.connect()["refresh_token"]
    app.box.world.credentials.register(
        Client(vendor=Vendor.GOOGLE, client_id="other", secret="other", project="other")
    )

    answer = app.refresh(refresh_token, client_id="other", client_secret="other")

    assert answer.json["error"] == "unauthorized_client"


def test_the_lifetime_of_access_tokens_can_be_set(app: GoogleApp) -> None:
    app.box.world.settings[Vendor.GOOGLE].access_token_seconds = 60
    tokens = app.connect()

    assert tokens["expires_in"] == 60
    app.box.world.clock.advance(60)
    assert app.send(tokens["access_token"]).status == 401


def test_signed_tokens_keep_real_time_when_the_clock_is_advanced(app: GoogleApp) -> None:
    app.box.world.clock.advance(30 * 86400)

    assert claims(app, app.connect()["id_token"])["email"] == WORKSPACE


def test_json_web_keys_may_be_cached(app: GoogleApp) -> None:
    answer = call("GET", app.box.environment["GOOGLE_JWKS_URL"])

    assert "max-age=" in answer.headers["Cache-Control"]
    assert {"kty", "alg", "use", "kid", "n", "e"} == set(answer.json["keys"][0])


def test_the_certificates_hold_the_same_key(app: GoogleApp) -> None:
    [(kid, pem)] = call("GET", f"{app.box.base_url}/oauth2/v1/certs").json.items()

    assert kid == call("GET", app.box.environment["GOOGLE_JWKS_URL"]).json["keys"][0]["kid"]
    assert pem.startswith("-----BEGIN CERTIFICATE-----")


def test_userinfo_says_no_more_than_the_scopes_allow(app: GoogleApp) -> None:
    url = app.box.environment["GOOGLE_USERINFO_URL"]

    whole = call("GET", url, headers=bearer(app.connect()["access_token"])).json
    bare = call("GET", url, headers=bearer(app.connect(scope="openid")["access_token"])).json

    assert (whole["email"], whole["email_verified"], whole["name"]) == (WORKSPACE, True, "Dana Reyes")
    assert set(bare) == {"sub", "hd"}


def test_the_older_userinfo_has_other_names(app: GoogleApp) -> None:
    answer = call(
        "GET", f"{app.box.base_url}/oauth2/v2/userinfo", headers=bearer(app.connect()["access_token"])
    )

    assert {"id", "verified_email"} <= set(answer.json)


def test_userinfo_refuses_a_dead_token_in_the_flat_form(app: GoogleApp) -> None:
    answer = call("GET", app.box.environment["GOOGLE_USERINFO_URL"], headers=bearer("ya29.dead"))

    assert refused(answer) == (401, "invalid_request", "Invalid Credentials")


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_either_token_ends_the_whole_grant(app: GoogleApp, which: str) -> None:
    first, second = app.connect(), app.connect()

    answer = call("POST", app.box.environment["GOOGLE_REVOKE_URL"], form={"token": first[which]})

    assert (answer.status, answer.json) == (200, {})
    assert app.send(second["access_token"]).status == 401
    assert refused(app.refresh(second["refresh_token"])) == REVOKED


def test_revoking_a_dead_token_is_an_invalid_token(app: GoogleApp) -> None:
    url, token = app.box.environment["GOOGLE_REVOKE_URL"], app.connect()["refresh_token"]
    call("POST", url, form={"token": token})

    assert refused(call("POST", url, form={"token": token})) == (
        400,
        "invalid_token",
        "Token expired or revoked",
    )


def test_an_expired_access_token_cannot_revoke(app: GoogleApp) -> None:
    tokens = app.connect()
    app.box.world.clock.advance(4000)

    answer = call("POST", app.box.environment["GOOGLE_REVOKE_URL"], form={"token": tokens["access_token"]})

    assert answer.json["error"] == "invalid_token"
    assert app.refresh(tokens["refresh_token"]).status == 200


def test_revoking_by_get_is_not_found(app: GoogleApp) -> None:
    assert call("GET", app.box.environment["GOOGLE_REVOKE_URL"]).status == 404


def test_consent_after_a_revocation_starts_afresh(app: GoogleApp) -> None:
    old = app.connect()
    call("POST", app.box.environment["GOOGLE_REVOKE_URL"], form={"token": old["refresh_token"]})

    new = app.connect()

    assert app.refresh(new["refresh_token"]).status == 200
    assert refused(app.refresh(old["refresh_token"])) == REVOKED


def test_discovery_names_this_origin(app: GoogleApp) -> None:
    told = call("GET", f"{app.box.base_url}/.well-known/openid-configuration").json

    assert told["issuer"] == app.box.environment["GOOGLE_ISSUER"]
    assert told["token_endpoint"] == app.box.environment["GOOGLE_TOKEN_URL"]
    assert told["jwks_uri"] == app.box.environment["GOOGLE_JWKS_URL"]


def test_tokeninfo_describes_a_live_token_only(app: GoogleApp) -> None:
    url, tokens = f"{app.box.base_url}/tokeninfo", app.connect()

    assert SEND in call("GET", f"{url}?access_token={tokens['access_token']}").json["scope"]
    assert call("GET", f"{url}?access_token=ya29.dead").status == 400
