import base64
import json
import re
from typing import Any

import jwt
import pytest

from replysequence.sandbox.accounts import CONSUMERS_TENANT, Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.credentials import Client
from replysequence.sandbox.faults import Endpoint, Fault
from support.microsoft_app import GUEST, PERSONAL, SCOPES, WORK, MicrosoftApp, bearer, unverified_claims
from support.plain_http import Answer, call


def refused(answer: Answer) -> tuple[int, str, int]:
    """Status, `error` and the AADSTS number; the envelope is checked on the way."""
    body = answer.json
    [number] = body["error_codes"]
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert body["trace_id"] in body["error_description"]
    assert body["correlation_id"] in body["error_description"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", body["timestamp"])
    assert answer.headers["Cache-Control"] == "no-store, no-cache"
    return answer.status, body["error"], number


def verified(microsoft: MicrosoftApp, id_token: str) -> dict[str, Any]:
    """Validate as Microsoft's guide says: the key's issuer, with the tenant filled in, is the token's issuer."""
    published = call("GET", microsoft.box.environment["MICROSOFT_JWKS_URL"]).json["keys"]
    kid = jwt.get_unverified_header(id_token)["kid"]
    [key] = [item for item in published if item["kid"] == kid]
    claims: dict[str, Any] = jwt.decode(
        id_token,
        jwt.PyJWK(key),
        algorithms=["RS256"],
        audience=microsoft.box.environment["MICROSOFT_CLIENT_ID"],
    )
    assert key["issuer"].replace("{tenantid}", claims["tid"]) == claims["iss"]
    return claims


def test_a_work_account_gets_urls_for_scopes_and_a_random_lifetime(microsoft: MicrosoftApp) -> None:
    tokens = microsoft.connect(WORK)
    assert list(tokens) == [
        "token_type",
        "scope",
        "expires_in",
        "ext_expires_in",
        "access_token",
        "refresh_token",
        "id_token",
    ]
    assert tokens["token_type"] == "Bearer"
    assert tokens["scope"] == "openid profile email https://graph.microsoft.com/Mail.Send"
    assert 3599 <= tokens["expires_in"] <= 5399


def test_a_personal_account_gets_short_scopes_and_opaque_tokens(microsoft: MicrosoftApp) -> None:
    tokens = microsoft.connect(PERSONAL)
    assert tokens["scope"] == "openid profile email Mail.Send"
    assert tokens["expires_in"] == 3600
    assert tokens["access_token"].startswith("EwB")
    assert tokens["refresh_token"].startswith("M.C5")


def test_a_work_account_gets_a_scope_back_as_it_was_asked_for(microsoft: MicrosoftApp) -> None:
    microsoft.connect(WORK, scope="openid User.Read")
    short = microsoft.exchange(microsoft.code(), scope="openid Mail.Send").json["scope"]
    assert short == "openid Mail.Send https://graph.microsoft.com/User.Read"
    url = microsoft.exchange(microsoft.code(), scope="openid https://graph.microsoft.com/Mail.Send").json[
        "scope"
    ]
    assert url == "openid https://graph.microsoft.com/Mail.Send https://graph.microsoft.com/User.Read"


def test_scopes_granted_earlier_come_along_at_work(microsoft: MicrosoftApp) -> None:
    microsoft.connect(WORK, scope="openid User.Read")
    tokens = microsoft.connect(WORK)
    assert "https://graph.microsoft.com/User.Read" in tokens["scope"].split()


def test_the_id_token_names_the_tenant_and_not_the_segment(microsoft: MicrosoftApp) -> None:
    account = microsoft.account(WORK)
    claims = verified(microsoft, microsoft.connect(WORK)["id_token"])
    assert claims["iss"] == f"{microsoft.box.base_url}/{account.tenant}/v2.0"
    assert (claims["tid"], claims["oid"], claims["ver"]) == (account.tenant, account.subject, "2.0")
    assert claims["sub"] != claims["oid"]
    assert (claims["email"], claims["preferred_username"]) == (WORK, WORK)
    assert claims["nonce"] == "nonce-1"


def test_the_key_of_personal_accounts_signs_for_their_tenant_alone(microsoft: MicrosoftApp) -> None:
    claims = verified(microsoft, microsoft.connect(PERSONAL)["id_token"])
    assert claims["tid"] == CONSUMERS_TENANT
    keys = call("GET", microsoft.box.environment["MICROSOFT_JWKS_URL"]).json["keys"]
    assert [key["issuer"] for key in keys] == [
        f"{microsoft.box.base_url}/{{tenantid}}/v2.0",
        f"{microsoft.box.base_url}/{CONSUMERS_TENANT}/v2.0",
    ]


def test_a_guest_has_no_email_claim(microsoft: MicrosoftApp) -> None:
    claims = verified(microsoft, microsoft.connect(GUEST)["id_token"])
    assert "email" not in claims
    assert claims["preferred_username"] == GUEST


def test_what_was_not_asked_for_is_not_answered(microsoft: MicrosoftApp) -> None:
    tokens = microsoft.connect(WORK, scope="openid Mail.Send")
    assert "refresh_token" not in tokens
    assert not {"oid", "name", "email", "preferred_username"} & unverified_claims(tokens["id_token"]).keys()
    assert "id_token" not in microsoft.connect(WORK, scope="Mail.Send offline_access")


def test_a_code_may_be_exchanged_for_fewer_scopes(microsoft: MicrosoftApp) -> None:
    answer = microsoft.exchange(microsoft.code(), scope="https://graph.microsoft.com/mail.send")
    assert answer.json.keys() == {"token_type", "scope", "expires_in", "ext_expires_in", "access_token"}
    assert answer.json["scope"] == "https://graph.microsoft.com/Mail.Send"
    refusal = microsoft.exchange(microsoft.code(), scope="Mail.Read")
    assert refused(refusal) == (400, "invalid_grant", 65001)


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"code": "nonsense"}, (400, "invalid_grant", 9002313)),
        ({"code": None}, (400, "invalid_request", 900144)),
        ({"redirect_uri": None}, (400, "invalid_request", 900144)),
        ({"redirect_uri": "http://localhost:8000/other"}, (400, "invalid_grant", 500112)),
        ({"code_verifier": "w" * 64}, (400, "invalid_grant", 501481)),
        ({"code_verifier": None}, (400, "invalid_grant", 501481)),
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": None}, (401, "invalid_client", 7000218)),
        ({"client_id": "nobody"}, (400, "unauthorized_client", 700016)),
        ({"client_id": None}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
        ({"grant_type": None}, (400, "invalid_request", 900144)),
        ({"scope": "Mail.Sned"}, (400, "invalid_scope", 70011)),
    ],
)
def test_a_wrong_exchange_is_refused_and_leaves_the_code_whole(
    microsoft: MicrosoftApp, changes: dict[str, str | None], refusal: tuple[int, str, int]
) -> None:
    code = microsoft.code()
    assert refused(microsoft.exchange_with({"code": code} | changes)) == refusal
    assert microsoft.exchange(code).status == 200


def test_a_code_works_once(microsoft: MicrosoftApp) -> None:
    code = microsoft.code()
    assert microsoft.exchange(code).status == 200
    assert refused(microsoft.exchange(code)) == (400, "invalid_grant", 54005)


def test_a_code_lives_ten_minutes(microsoft: MicrosoftApp) -> None:
    code = microsoft.code()
    microsoft.box.world.clock.advance(600)
    assert refused(microsoft.exchange(code)) == (400, "invalid_grant", 70008)


def test_a_code_belongs_to_the_segment_it_was_asked_from(microsoft: MicrosoftApp) -> None:
    code = microsoft.code(segment="organizations")
    assert refused(microsoft.exchange(code, segment="common")) == (400, "invalid_grant", 700005)
    assert microsoft.exchange(code, segment="organizations").status == 200


def test_a_code_belongs_to_its_client(microsoft: MicrosoftApp) -> None:
    other = Client(vendor=Vendor.MICROSOFT, client_id="other-app", secret="other-secret", project="other-app")
    microsoft.box.world.credentials.register(other)
    answer = microsoft.exchange(microsoft.code(), client_id="other-app", client_secret="other-secret")
    assert refused(answer) == (400, "invalid_grant", 70000)


def test_a_challenge_without_method_is_plain(microsoft: MicrosoftApp) -> None:
    code = microsoft.code_with({"code_challenge": "p" * 50, "code_challenge_method": None})
    assert microsoft.exchange(code, code_verifier="p" * 50).status == 200


def test_the_secret_may_come_by_basic_authentication(microsoft: MicrosoftApp) -> None:
    environment = microsoft.box.environment
    pair = f"{environment['MICROSOFT_CLIENT_ID']}:{environment['MICROSOFT_CLIENT_SECRET']}"
    tokens = microsoft.connect()
    answer = call(
        "POST",
        environment["MICROSOFT_TOKEN_URL"],
        form={"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
        headers={"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()},
    )
    assert answer.status == 200


def test_get_is_refused_in_words(microsoft: MicrosoftApp) -> None:
    answer = call("GET", microsoft.box.environment["MICROSOFT_TOKEN_URL"])
    assert refused(answer) == (400, "invalid_request", 900561)


def test_a_refresh_gives_a_new_token_and_the_old_one_keeps_working(microsoft: MicrosoftApp) -> None:
    first = microsoft.connect()["refresh_token"]
    second = microsoft.refresh(first).json["refresh_token"]
    assert second != first
    assert microsoft.refresh(first).status == microsoft.refresh(second).status == 200


def test_a_refresh_without_offline_access_gives_no_refresh_token(microsoft: MicrosoftApp) -> None:
    tokens = microsoft.connect()
    answer = microsoft.refresh(tokens["refresh_token"], scope="openid profile email Mail.Send")
    assert "refresh_token" not in answer.json
    assert "refresh_token" in microsoft.refresh(tokens["refresh_token"], scope=SCOPES).json


def test_a_refresh_cannot_widen_the_consent(microsoft: MicrosoftApp) -> None:
    work, personal = microsoft.connect(WORK), microsoft.connect(PERSONAL)
    wider = f"{SCOPES} User.Read"
    assert refused(microsoft.refresh(work["refresh_token"], scope=wider)) == (400, "invalid_grant", 65001)
    assert refused(microsoft.refresh(personal["refresh_token"], scope=wider)) == (400, "invalid_grant", 70000)


def test_a_refresh_token_dies_of_ninety_idle_days_and_lives_by_use(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["refresh_token"]
    for _ in range(2):
        microsoft.box.world.clock.advance(60 * 86_400)
        assert microsoft.refresh(token).status == 200
    microsoft.box.world.clock.advance(90 * 86_400)
    assert refused(microsoft.refresh(token)) == (400, "invalid_grant", 700082)


@pytest.mark.parametrize(
    ("switch", "refusal", "suberror"),
    [
        ("consent_withdrawn", (400, "invalid_grant", 65001), "consent_required"),
        ("bad_token", (400, "invalid_grant", 70000), "bad_token"),
        ("unused_90_days", (400, "invalid_grant", 700082), None),
        ("revoked", (400, "invalid_grant", 50173), "bad_token"),
        ("mfa", (400, "interaction_required", 50076), "basic_action"),
        ("secret_expired", (401, "invalid_client", 7000222), None),
        ("unavailable", (503, "temporarily_unavailable", 90033), None),
    ],
)
def test_a_switch_makes_a_refresh_fail_until_it_is_turned_back(
    microsoft: MicrosoftApp, switch: str, refusal: tuple[int, str, int], suberror: str | None
) -> None:
    token = microsoft.connect()["refresh_token"]
    microsoft.account(WORK).switches.at_token = switch
    answer = microsoft.refresh(token)
    assert refused(answer) == refusal
    assert answer.json.get("suberror") == suberror
    microsoft.account(WORK).switches.at_token = ""
    assert microsoft.refresh(token).status == 200


def test_a_personal_refresh_can_be_refused_at_common_and_accepted_at_consumers(
    microsoft: MicrosoftApp,
) -> None:
    token = microsoft.connect(PERSONAL)["refresh_token"]
    microsoft.account(PERSONAL).switches.at_token = "refused_at_common"
    assert refused(microsoft.refresh(token, segment="common")) == (400, "invalid_grant", 70000)
    assert microsoft.refresh(token, segment="consumers").status == 200
    assert microsoft.refresh(token, segment=CONSUMERS_TENANT).status == 200


def test_a_refresh_token_is_refused_where_its_account_does_not_belong(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect(WORK)["refresh_token"]
    assert refused(microsoft.refresh(token, segment="consumers")) == (400, "invalid_grant", 70000)
    assert microsoft.refresh(token, segment=microsoft.account(WORK).tenant).status == 200


def test_refresh_tokens_can_be_made_to_work_once(microsoft: MicrosoftApp) -> None:
    microsoft.account(WORK).switches.at_token = "one_time_refresh_tokens"
    first = microsoft.connect()["refresh_token"]
    second = microsoft.refresh(first).json["refresh_token"]
    assert refused(microsoft.refresh(first)) == (400, "invalid_grant", 70000)
    assert microsoft.refresh(second).status == 200


@pytest.mark.parametrize(("email", "number"), [(WORK, 65001), (PERSONAL, 70000)])
def test_who_removes_the_app_ends_its_refresh_tokens(
    microsoft: MicrosoftApp, email: str, number: int
) -> None:
    token = microsoft.connect(email)["refresh_token"]
    act(microsoft.box.world, microsoft.account(email), "remove_access")
    assert refused(microsoft.refresh(token)) == (400, "invalid_grant", number)
    assert microsoft.authorize().pick(email).text.count("Accept")


def test_there_is_no_revoke_route(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["refresh_token"]
    for path in ("/common/oauth2/v2.0/revoke", "/common/oauth2/v2.0/logout"):
        assert call("POST", microsoft.url(path), form={"token": token}).status == 404
    assert microsoft.refresh(token).status == 200


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ("invalid_grant", (400, "invalid_grant", 50173)),
        ("invalid_client", (401, "invalid_client", 7000215)),
        ("refused_429", (429, "temporarily_unavailable", 90055)),
        ("refused_500", (500, "server_error", 90012)),
        ("refused_503", (503, "temporarily_unavailable", 90033)),
    ],
)
def test_a_fault_at_the_token_endpoint_speaks_microsofts_language(
    microsoft: MicrosoftApp, kind: str, refusal: tuple[int, str, int]
) -> None:
    token = microsoft.connect()["refresh_token"]
    fault = Fault(kind=kind, vendor=Vendor.MICROSOFT, endpoint=Endpoint.TOKEN, account=WORK)
    microsoft.box.world.faults.arm(fault)
    assert refused(microsoft.refresh(token)) == refusal
    assert microsoft.refresh(token).status == 200


@pytest.mark.parametrize(("kind", "status"), [("html", 200), ("refused_502", 502)])
def test_a_gateway_answers_the_token_endpoint_with_a_web_page(
    microsoft: MicrosoftApp, kind: str, status: int
) -> None:
    microsoft.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.MICROSOFT, endpoint=Endpoint.TOKEN))
    answer = microsoft.refresh("whatever")
    assert answer.status == status
    with pytest.raises(json.JSONDecodeError):
        _ = answer.json


def test_a_connection_can_break_after_the_form_was_read(microsoft: MicrosoftApp) -> None:
    token = microsoft.connect()["refresh_token"]
    fault = Fault(
        kind="reset_before_acceptance", vendor=Vendor.MICROSOFT, endpoint=Endpoint.TOKEN, account=WORK
    )
    microsoft.box.world.faults.arm(fault)
    with pytest.raises(ConnectionResetError):
        microsoft.refresh(token)
    assert microsoft.refresh(token).status == 200


@pytest.mark.parametrize(
    ("segment", "tenant"),
    [("common", "{tenantid}"), ("organizations", "{tenantid}"), ("consumers", CONSUMERS_TENANT)],
)
def test_discovery_gives_a_template_where_many_tenants_share(
    microsoft: MicrosoftApp, segment: str, tenant: str
) -> None:
    base = microsoft.box.base_url
    document = call("GET", f"{base}/{segment}/v2.0/.well-known/openid-configuration").json
    assert document["issuer"] == f"{base}/{tenant}/v2.0"
    assert document["authorization_endpoint"] == f"{base}/{segment}/oauth2/v2.0/authorize"
    assert document["token_endpoint"] == f"{base}/{segment}/oauth2/v2.0/token"
    assert document["jwks_uri"] == f"{base}/{segment}/discovery/v2.0/keys"
    assert document["subject_types_supported"] == ["pairwise"]
    assert "revocation_endpoint" not in document


def test_discovery_of_a_tenant_names_it(microsoft: MicrosoftApp) -> None:
    tenant = microsoft.account(WORK).tenant
    for segment in (tenant, "contoso.example"):
        document = call("GET", microsoft.url(f"/{segment}/v2.0/.well-known/openid-configuration")).json
        assert document["issuer"] == microsoft.url(f"/{tenant}/v2.0")
    unknown = call("GET", microsoft.url("/nowhere.example/v2.0/.well-known/openid-configuration"))
    assert refused(unknown) == (400, "invalid_request", 90002)


def test_userinfo_says_what_the_scopes_allow(microsoft: MicrosoftApp) -> None:
    tokens = microsoft.connect(WORK)
    info = call("GET", microsoft.url("/oidc/userinfo"), headers=bearer(tokens["access_token"])).json
    assert info["sub"] == unverified_claims(tokens["id_token"])["sub"]
    assert (info["name"], info["given_name"], info["family_name"]) == ("Dana Reyes", "Dana", "Reyes")
    assert info["email"] == WORK
    bare = microsoft.connect(PERSONAL, scope="openid Mail.Send")["access_token"]
    assert call("GET", microsoft.url("/oidc/userinfo"), headers=bearer(bare)).json.keys() == {"sub"}
