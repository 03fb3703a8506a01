from urllib.parse import parse_qs, urlsplit

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.actions import act
from replysequence.sandbox.faults import Endpoint, Fault
from support.consent import NoRedirectError, approve, cancel
from support.google_app import bearer
from support.hubspot_app import CALLBACK, DANA, SCOPES, HubSpotApp, HubSpotVisit
from support.plain_http import Answer, call

CONTOSO = "dana.reyes@contoso.example"
WRITE_DEALS = "crm.objects.deals.write"


def refused(answer: Answer) -> tuple[int, str, str]:
    """Status, RFC 6749's name and HubSpot's own; both ways of saying it in words are checked on the way."""
    body = answer.json
    assert body["message"] == body["error_description"]
    return answer.status, body["error"], body["status"]


def reads_contacts(hubspot: HubSpotApp, token: str) -> int:
    return HubSpotVisit(hubspot.box, token).call("GET", "/crm/v3/objects/contacts").status


def test_a_whole_connect_tells_whose_account_it_is(hubspot: HubSpotApp) -> None:
    tokens = hubspot.connect()

    assert (tokens["hub_id"], tokens["user_id"], tokens["token_type"]) == (24681357, 5550101, "bearer")
    assert tokens["expires_in"] == 1800
    assert tokens["scopes"] == ["oauth", *SCOPES.split()]
    assert len(tokens["access_token"]) > 255
    assert reads_contacts(hubspot, tokens["access_token"]) == 200


def test_a_person_with_two_accounts_chooses_one(hubspot: HubSpotApp) -> None:
    assert hubspot.connect(CONTOSO)["hub_id"] == 13572468


def test_the_state_comes_back_with_the_code(hubspot: HubSpotApp) -> None:
    url = approve(hubspot.authorize_url(), account=DANA)

    assert url.startswith(f"{CALLBACK}?code=")
    assert parse_qs(urlsplit(url).query)["state"] == ["state-1"]


def test_cancel_says_so(hubspot: HubSpotApp) -> None:
    told = parse_qs(urlsplit(cancel(hubspot.authorize_url(), account=DANA)).query)

    assert (told["error"], told["state"]) == (["access_denied"], ["state-1"])


def test_an_optional_scope_can_be_left_out_and_a_required_one_cannot(hubspot: HubSpotApp) -> None:
    kept = hubspot.connect(optional_scope=WRITE_DEALS)
    left = hubspot.connect(optional_scope=WRITE_DEALS, untick=(WRITE_DEALS, "sales-email-read"))

    assert WRITE_DEALS in kept["scopes"]
    assert left["scopes"] == ["oauth", *SCOPES.split()]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_id": "nobody"}, "invalid app client ID"),
        ({"redirect_uri": "https://elsewhere.example/"}, "doesn't match"),
        ({"scope": None}, "no scopes"),
        ({"scope": "crm.objects.cats.read"}, "crm.objects.cats.read"),
        ({"optional_scope": "crm.objects.cats.read"}, "crm.objects.cats.read"),
        ({"code_challenge_method": "plain"}, "not S256"),
        ({"code_challenge": "short"}, "code_challenge"),
    ],
)
def test_a_wrong_request_never_returns_to_the_app(
    hubspot: HubSpotApp, changes: dict[str, str | None], words: str
) -> None:
    with pytest.raises(NoRedirectError, match=words):
        approve(hubspot.authorize_url(**changes), account=DANA)


def test_who_may_not_install_apps_is_told_on_hubspots_page(hubspot: HubSpotApp) -> None:
    hubspot.box.world.accounts.at(Vendor.HUBSPOT, DANA).switches.at_consent = "no_permission"

    with pytest.raises(NoRedirectError, match="Super Admin"):
        approve(hubspot.authorize_url(), account=DANA)


@pytest.mark.parametrize("version", ["2026-03", "2026-09", "v3"])
def test_every_version_of_the_token_endpoint_exchanges_and_refreshes(
    hubspot: HubSpotApp, version: str
) -> None:
    tokens = hubspot.exchange(hubspot.code(), f"{version}/token").json
    fresh = hubspot.refresh(tokens["refresh_token"], f"{version}/token").json

    assert fresh["refresh_token"] == tokens["refresh_token"]
    assert fresh["access_token"] != tokens["access_token"]


def test_an_access_token_lives_for_half_an_hour(hubspot: HubSpotApp) -> None:
    tokens = hubspot.connect()

    hubspot.box.world.clock.advance(1801)

    answer = HubSpotVisit(hubspot.box, tokens["access_token"]).call("GET", "/crm/v3/objects/contacts")
    assert (answer.status, answer.json["category"]) == (401, "EXPIRED_AUTHENTICATION")
    assert reads_contacts(hubspot, hubspot.refresh(tokens["refresh_token"]).json["access_token"]) == 200


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_id": "nobody"}, (400, "invalid_client", "BAD_CLIENT_ID")),
        ({"client_secret": "wrong"}, (400, "invalid_client", "BAD_CLIENT_SECRET")),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", "BAD_GRANT_TYPE")),
        ({"code": "made-up"}, (400, "invalid_grant", "BAD_AUTH_CODE")),
        ({"redirect_uri": "https://elsewhere.example/"}, (400, "invalid_grant", "BAD_REDIRECT_URI")),
        ({"code_verifier": "w" * 43}, (400, "invalid_grant", "BAD_CODE_VERIFIER")),
        ({"code_verifier": None}, (400, "invalid_grant", "BAD_CODE_VERIFIER")),
    ],
)
def test_a_wrong_exchange_is_refused_in_both_vocabularies(
    hubspot: HubSpotApp, changes: dict[str, str | None], expected: tuple[int, str, str]
) -> None:
    assert refused(hubspot.exchange(hubspot.code(), **changes)) == expected


def test_a_code_is_good_once_and_for_a_while(hubspot: HubSpotApp) -> None:
    code, late = hubspot.code(), hubspot.code()
    hubspot.exchange(code)

    assert refused(hubspot.exchange(code))[2] == "BAD_AUTH_CODE"
    hubspot.box.world.clock.advance(601)
    assert refused(hubspot.exchange(late))[2] == "EXPIRED_AUTH_CODE"


def test_a_secret_in_the_query_is_refused(hubspot: HubSpotApp) -> None:
    token = hubspot.connect()["refresh_token"]

    assert refused(hubspot.refresh(token, f"2026-09/token?refresh_token={token}"))[1] == "invalid_request"


@pytest.mark.parametrize(
    ("switch", "status"),
    [
        ("revoked", "BAD_REFRESH_TOKEN"),
        ("not_installed", "BAD_REFRESH_TOKEN"),
        ("account_deactivated", "BAD_HUB"),
    ],
)
def test_a_refresh_token_can_be_dead_in_several_ways(hubspot: HubSpotApp, switch: str, status: str) -> None:
    token = hubspot.connect()["refresh_token"]
    hubspot.box.world.accounts.at(Vendor.HUBSPOT, DANA).switches.at_token = switch

    assert refused(hubspot.refresh(token)) == (400, "invalid_grant", status)


def test_removing_the_app_in_hubspot_ends_everything(hubspot: HubSpotApp) -> None:
    tokens = hubspot.connect()

    act(hubspot.box.world, hubspot.box.world.accounts.at(Vendor.HUBSPOT, DANA), "remove_access")

    assert refused(hubspot.refresh(tokens["refresh_token"]))[2] == "BAD_REFRESH_TOKEN"
    assert reads_contacts(hubspot, tokens["access_token"]) == 401


def test_both_kinds_of_token_can_be_introspected(hubspot: HubSpotApp) -> None:
    tokens = hubspot.connect()

    access = hubspot.oauth("2026-09/token/introspect", token=tokens["access_token"]).json
    refresh = hubspot.oauth("2026-09/token/introspect", token=tokens["refresh_token"]).json
    unknown = hubspot.oauth("2026-09/token/introspect", token="made-up").json

    assert (access["active"], access["token_use"], access["user"]) == (True, "access_token", DANA)
    assert (access["hub_domain"], access["expires_in"]) == ("brightwave.example", pytest.approx(1799, abs=1))
    assert (refresh["token_use"], refresh["hub_id"]) == ("refresh_token", 24681357)
    assert unknown == {"active": False}


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        (Endpoint.TOKEN, "2026-09/token"),
        (Endpoint.USERINFO, "2026-09/token/introspect"),
        (Endpoint.REVOKE, "2026-09/token/revoke"),
    ],
)
def test_every_endpoint_can_fail_and_says_so_in_both_vocabularies(
    hubspot: HubSpotApp, endpoint: Endpoint, path: str
) -> None:
    token = hubspot.connect()["refresh_token"]
    hubspot.box.world.faults.arm(
        Fault(kind="refused_503", vendor=Vendor.HUBSPOT, endpoint=endpoint, account=DANA)
    )
    fields = {"token": token, "refresh_token": token, "grant_type": "refresh_token"}

    assert refused(hubspot.oauth(path, **fields)) == (503, "temporarily_unavailable", "UNAVAILABLE")
    assert hubspot.refresh(token).status == 200


@pytest.mark.parametrize(("cascades", "status"), [(False, 200), (True, 401)])
def test_revoking_a_refresh_token_may_or_may_not_end_the_access_token(
    hubspot: HubSpotApp, *, cascades: bool, status: int
) -> None:
    hubspot.box.world.hubspot.change({"revoking_ends_access": cascades})
    tokens = hubspot.connect()

    answer = hubspot.oauth("2026-09/token/revoke", token=tokens["refresh_token"])

    assert (answer.status, answer.body) == (204, b"")
    assert hubspot.refresh(tokens["refresh_token"]).status == 400
    assert reads_contacts(hubspot, tokens["access_token"]) == status
    assert hubspot.oauth("2026-09/token/revoke", token=tokens["refresh_token"]).status == 204


def test_revoking_takes_the_clients_secret_and_a_token(hubspot: HubSpotApp) -> None:
    wrong = hubspot.oauth("2026-09/token/revoke", client_secret="wrong", token="made-up")

    assert refused(wrong)[2] == "BAD_CLIENT_SECRET"
    assert refused(hubspot.oauth("2026-09/token/revoke"))[1] == "invalid_request"


def test_uninstalling_ends_everything(hubspot: HubSpotApp) -> None:
    tokens = hubspot.connect()
    url = f"{hubspot.box.base_url}/appinstalls/2026-09/external-install"

    assert call("DELETE", url, headers=bearer(tokens["access_token"])).status == 204
    assert call("DELETE", url, headers=bearer(tokens["access_token"])).status == 401
    assert hubspot.refresh(tokens["refresh_token"]).status == 400


def test_oauth_v1_works_until_it_is_gone(hubspot: HubSpotApp) -> None:
    tokens = hubspot.exchange(hubspot.code(), "v1/token").json
    base = f"{hubspot.box.base_url}/oauth/v1"

    access = call("GET", f"{base}/access-tokens/{tokens['access_token']}").json
    refresh = call("GET", f"{base}/refresh-tokens/{tokens['refresh_token']}").json
    assert (access["user"], access["app_id"]) == (DANA, 2718281)
    assert refresh["token"] == tokens["refresh_token"]
    assert hubspot.oauth("v1/token", client_secret="wrong").json.keys() == {
        *("status", "message", "correlationId")
    }
    assert call("DELETE", f"{base}/refresh-tokens/{tokens['refresh_token']}").status == 204
    assert call("DELETE", f"{base}/refresh-tokens/{tokens['refresh_token']}").status == 404
    assert reads_contacts(hubspot, tokens["access_token"]) == 200

    for gone in (404, 410):
        hubspot.box.world.hubspot.change({"oauth_v1_answers": gone})
        assert hubspot.exchange(hubspot.code(), "v1/token").status == gone
        assert call("GET", f"{base}/access-tokens/{tokens['access_token']}").status == gone
    assert hubspot.exchange(hubspot.code()).status == 200


@pytest.mark.parametrize(
    "changes", [{"colour": "red"}, {"calls_per_10_seconds": "many"}, {"oauth_v1_answers": 500}]
)
def test_a_switch_that_hubspot_does_not_have_cannot_be_set(
    hubspot: HubSpotApp, changes: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match=r"."):
        hubspot.box.world.hubspot.change(changes)
