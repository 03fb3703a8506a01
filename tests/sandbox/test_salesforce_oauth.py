import base64
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from support.consent import NoRedirectError, approve, cancel
from support.google_app import bearer
from support.plain_http import Answer, call
from support.salesforce_app import CONTOSO, DANA, SalesforceApp, SalesforceVisit


def refused(answer: Answer) -> tuple[int, str]:
    """Status and error; that it is one flat object with words is checked on the way."""
    assert answer.json.keys() == {"error", "error_description"}
    return answer.status, answer.json["error"]


def told(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def reads(tokens: Any) -> int:
    return SalesforceVisit(tokens["instance_url"], tokens["access_token"]).query("SELECT Id FROM User").status


def test_a_whole_connect_says_where_to_call_and_not_for_how_long(salesforce: SalesforceApp) -> None:
    tokens = salesforce.connect()

    assert tokens.keys() == {
        *("access_token", "refresh_token", "instance_url", "id", "token_type", "issued_at", "signature"),
        *("scope", "id_token"),
    }
    assert tokens["instance_url"] == f"{salesforce.box.base_url}/salesforce/brightwave"
    assert tokens["id"].endswith("/id/00DgL0000000001UAA/005gL0000000101QAA")
    assert isinstance(tokens["issued_at"], str)
    assert len(tokens["issued_at"]) == 13
    assert reads(tokens) == 200


def test_only_the_instance_answers_the_api(salesforce: SalesforceApp) -> None:
    token = salesforce.connect()["access_token"]
    elsewhere = SalesforceVisit(f"{salesforce.box.base_url}/salesforce/contoso", token)

    assert elsewhere.query("SELECT Id FROM User").json[0]["errorCode"] == "INVALID_SESSION_ID"
    assert SalesforceVisit(salesforce.box.base_url, token).query("SELECT Id FROM User").status == 404


def test_the_signature_is_made_with_the_clients_secret(salesforce: SalesforceApp) -> None:
    tokens, secret = salesforce.connect(), salesforce.box.environment["SALESFORCE_CLIENT_SECRET"]

    expected = hmac.digest(secret.encode(), (tokens["id"] + tokens["issued_at"]).encode(), hashlib.sha256)

    assert tokens["signature"] == base64.b64encode(expected).decode()


def test_the_id_token_is_signed_with_a_key_that_is_served(salesforce: SalesforceApp) -> None:
    tokens = salesforce.connect()
    keys = jwt.PyJWKSet.from_dict(call("GET", salesforce.login("/id/keys")).json)
    kid = jwt.get_unverified_header(tokens["id_token"])["kid"]

    claims = jwt.decode(
        tokens["id_token"],
        keys[kid],
        algorithms=["RS256"],
        audience=salesforce.box.environment["SALESFORCE_CLIENT_ID"],
        issuer=salesforce.box.base_url,
    )

    assert (claims["sub"], claims["nonce"], claims["email"]) == (tokens["id"], "nonce-1", DANA)
    assert claims["organization_id"] == "00DgL0000000001UAA"
    assert "id_token" not in salesforce.connect(scope="api refresh_token")


def test_without_leave_to_refresh_there_is_no_refresh_token(salesforce: SalesforceApp) -> None:
    assert "refresh_token" not in salesforce.connect(scope="api")
    assert "refresh_token" in salesforce.connect(scope="api offline_access")


def test_identity_and_userinfo_say_who_it_is(salesforce: SalesforceApp) -> None:
    tokens = salesforce.connect()
    headers = bearer(tokens["access_token"])

    identity = call("GET", tokens["id"], headers=headers).json
    userinfo = call("GET", salesforce.login("/services/oauth2/userinfo"), headers=headers).json
    stranger = tokens["id"].replace("005gL0000000101QAA", "005gL0000000303QAA")

    assert (identity["username"], identity["organization_id"]) == (DANA, "00DgL0000000001UAA")
    assert identity["urls"]["custom_domain"] == tokens["instance_url"]
    assert (userinfo["sub"], userinfo["email"]) == (tokens["id"], DANA)
    assert call("GET", stranger, headers=headers).text == "Wrong_Org"
    for url in (tokens["id"], salesforce.login("/services/oauth2/userinfo")):
        assert (call("GET", url).status, call("GET", url).text) == (403, "Bad_OAuth_Token")


def test_deny_comes_back_as_one(salesforce: SalesforceApp) -> None:
    answer = told(cancel(salesforce.authorize_url(), account=DANA))

    assert answer == {
        "error": "access_denied",
        "error_description": "end-user denied authorization",
        "state": "state-1",
    }


def test_who_has_approved_before_is_not_asked_again(salesforce: SalesforceApp) -> None:
    salesforce.connect()

    straight = call("GET", salesforce.authorize_url(login_hint=DANA))
    asked = call("GET", salesforce.authorize_url(login_hint=DANA, prompt="consent"))
    chooses = call("GET", salesforce.authorize_url(login_hint=DANA, prompt="select_account"))

    assert "code" in told(straight.headers["Location"])
    assert "Allow access?" in asked.text
    assert "Log in to Salesforce" in chooses.text


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"scope": "api everything"}, "invalid_scope"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": "short"}, "invalid_request"),
    ],
)
def test_a_wrong_request_comes_back_with_an_error(
    salesforce: SalesforceApp, changes: dict[str, str | None], error: str
) -> None:
    answer = told(call("GET", salesforce.authorize_url(**changes)).headers["Location"])

    assert (answer["error"], answer["state"]) == (error, "state-1")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_id": "nobody"}, "invalid_client_id"),
        ({"redirect_uri": "https://elsewhere.example/"}, "redirect_uri_mismatch"),
    ],
)
def test_an_unknown_app_or_address_never_returns(
    salesforce: SalesforceApp, changes: dict[str, str | None], words: str
) -> None:
    with pytest.raises(NoRedirectError, match=words):
        approve(salesforce.authorize_url(**changes), account=DANA)


@pytest.mark.parametrize(
    ("switch", "words"),
    [("app_not_installed", "not installed"), ("app_blocked", "blocked"), ("login_domain", "My Domain")],
)
def test_an_org_that_does_not_allow_the_app_says_so_on_its_page(
    salesforce: SalesforceApp, switch: str, words: str
) -> None:
    salesforce.box.world.accounts.at(Vendor.SALESFORCE, DANA).switches.at_consent = switch

    with pytest.raises(NoRedirectError, match=words):
        approve(salesforce.authorize_url(), account=DANA)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_id": "nobody"}, (400, "invalid_client_id")),
        ({"client_secret": "wrong"}, (400, "invalid_client")),
        ({"client_secret": None}, (400, "invalid_client")),
        ({"grant_type": None}, (400, "unsupported_grant_type")),
        ({"code": "made-up"}, (400, "invalid_grant")),
        ({"redirect_uri": "https://elsewhere.example/"}, (400, "redirect_uri_mismatch")),
        ({"code_verifier": None}, (400, "invalid_grant")),
        ({"code_verifier": "w" * 43}, (400, "invalid_request")),
    ],
)
def test_a_wrong_exchange_is_refused(
    salesforce: SalesforceApp, changes: dict[str, str | None], expected: tuple[int, str]
) -> None:
    assert refused(salesforce.exchange(salesforce.code(), **changes)) == expected


def test_a_code_is_good_once_and_for_a_quarter_of_an_hour(salesforce: SalesforceApp) -> None:
    code, late = salesforce.code(), salesforce.code()
    assert salesforce.exchange(code).status == 200

    assert refused(salesforce.exchange(code)) == (400, "invalid_grant")
    salesforce.box.world.clock.advance(901)
    assert salesforce.exchange(late).json["error_description"] == "expired authorization code"


def test_a_session_slides_with_its_use_and_ends_two_hours_after_the_last(salesforce: SalesforceApp) -> None:
    tokens, clock = salesforce.connect(), salesforce.box.world.clock

    for _ in range(3):
        clock.advance(7000)
        assert reads(tokens) == 200
    clock.advance(7201)

    assert reads(tokens) == 401
    assert reads(salesforce.refresh(tokens["refresh_token"]).json) == 200


def test_a_refresh_says_where_the_org_is_now(salesforce: SalesforceApp) -> None:
    tokens = salesforce.connect()
    salesforce.org.change({"instance": "brightwave--moved"})

    fresh = salesforce.refresh(tokens["refresh_token"]).json

    assert reads(tokens) == 401
    assert fresh["instance_url"] == f"{salesforce.box.base_url}/salesforce/brightwave--moved"
    assert reads(fresh) == 200
    salesforce.org.change({"instance_url": "https://evil.example"})
    assert salesforce.refresh(tokens["refresh_token"]).json["instance_url"] == "https://evil.example"


def test_a_refresh_token_stays_unless_the_org_rotates_it(salesforce: SalesforceApp) -> None:
    first = salesforce.connect()["refresh_token"]
    assert "refresh_token" not in salesforce.refresh(first).json

    salesforce.org.change({"rotates_refresh_tokens": True})
    second = salesforce.refresh(first).json["refresh_token"]

    assert refused(salesforce.refresh(first)) == (400, "invalid_grant")
    assert salesforce.refresh(second).status == 200


@pytest.mark.parametrize(
    ("switch", "error", "words"),
    [
        ("revoked", "invalid_grant", "expired access/refresh token"),
        ("inactive_user", "invalid_grant", "inactive user"),
        ("inactive_org", "inactive_org", "locked"),
        ("app_blocked", "invalid_grant", "approved"),
        ("ip_restricted", "invalid_grant", "ip"),
    ],
)
def test_a_refresh_token_can_be_dead_in_several_ways(
    salesforce: SalesforceApp, switch: str, error: str, words: str
) -> None:
    token = salesforce.connect()["refresh_token"]
    salesforce.box.world.accounts.at(Vendor.SALESFORCE, DANA).switches.at_token = switch

    answer = salesforce.refresh(token)

    assert refused(answer) == (400, error)
    assert words in answer.json["error_description"]


def test_the_sixth_approval_drops_the_oldest(salesforce: SalesforceApp) -> None:
    tokens = [salesforce.connect()["refresh_token"] for _ in range(6)]

    assert [salesforce.refresh(each).status for each in tokens] == [400, *[200] * 5]


def test_revoking_a_refresh_token_ends_its_access_tokens_and_an_access_token_only_itself(
    salesforce: SalesforceApp,
) -> None:
    one, other = salesforce.connect(), salesforce.connect()
    fresh = salesforce.refresh(one["refresh_token"]).json

    assert salesforce.revoke(other["access_token"]).status == 200
    assert (reads(other), salesforce.refresh(other["refresh_token"]).status) == (401, 200)
    assert salesforce.revoke(one["refresh_token"]).status == 200
    assert (reads(one), reads(fresh)) == (401, 401)
    assert refused(salesforce.refresh(one["refresh_token"])) == (400, "invalid_grant")
    assert refused(salesforce.revoke(one["refresh_token"])) == (400, "invalid_token")
    wrong = salesforce.revoke(other["refresh_token"], token_type_hint="id_token")
    assert refused(wrong) == (400, "unsupported_token_type")


def test_removing_the_app_in_salesforce_ends_everything(salesforce: SalesforceApp) -> None:
    tokens = salesforce.connect()

    act(salesforce.box.world, salesforce.box.world.accounts.at(Vendor.SALESFORCE, DANA), "remove_access")

    assert (reads(tokens), salesforce.refresh(tokens["refresh_token"]).status) == (401, 400)


def test_a_token_without_the_api_scope_is_no_good_for_the_api(salesforce: SalesforceApp) -> None:
    answer = salesforce.visit(scope="openid").query("SELECT Id FROM User")

    assert (answer.status, answer.json[0]["errorCode"]) == (401, "INVALID_SESSION_ID")


def test_another_org_is_another_world(salesforce: SalesforceApp) -> None:
    contoso = salesforce.visit(CONTOSO)

    assert contoso.found("SELECT Id FROM Contact") == []
    assert [each["Email"] for each in contoso.found("SELECT Email FROM User")] == [CONTOSO]
