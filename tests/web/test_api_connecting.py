"""From our link through the provider's pages and back, and everything that can go wrong on the way."""

from urllib.parse import parse_qs, urlsplit

import pytest

from replysequence.web import words
from replysequence.web.notices import Notice
from support.answers import error_of, made
from support.consent import approve, cancel
from support.plain_http import Answer
from support.webapp import RunningApp, Visitor

WORK, PRIVATE, MICROSOFT = (
    "dana.reyes@brightwave.example",
    "dana.reyes@gmail.example",
    "dana.reyes@contoso.example",
)


def accounts(who: Visitor) -> dict[str, dict[str, object]]:
    """Address → connected account, as the API tells."""
    categories = made(who("GET", "/api/integrations"), status=200)["categories"]
    return {
        each["email"]: each for one in categories for card in one["providers"] for each in card["connections"]
    }


def told(web: RunningApp, answer: Answer) -> Notice:
    assert (answer.status, answer.headers["Location"]) == (303, "/settings/integrations")
    notice = web.notice_of(answer)
    assert notice is not None
    return notice


def test_categories_come_in_order_also_those_without_a_provider(alice: Visitor) -> None:
    categories = made(alice("GET", "/api/integrations"), status=200)["categories"]
    assert [each["category"] for each in categories] == ["meetings", "calendar", "email", "crm"]


def test_accounts_connect_and_exactly_one_is_the_default(web: RunningApp) -> None:
    grace = web.browser("Grace")
    for provider, account in (("gmail", WORK), ("gmail", PRIVATE), ("outlook", MICROSOFT)):
        assert told(web, web.connect(grace, provider, account)).tone == "good"
    found = accounts(grace)
    assert set(found) == {WORK, PRIVATE, MICROSOFT}
    assert [email for email, each in found.items() if each["is_default"]] == [WORK]
    body = {"connection_id": found[MICROSOFT]["id"]}
    made(grace("POST", "/api/integrations/email/default", json_body=body), status=200)
    assert [email for email, each in accounts(grace).items() if each["is_default"]] == [MICROSOFT]


def test_a_box_left_unticked_connects_nothing_and_the_page_says_which(web: RunningApp) -> None:
    heidi = web.browser("Heidi")
    notice = told(web, web.connect(heidi, "gmail", WORK, untick=("gmail.send",)))
    assert (notice.tone, notice.code) == ("bad", "scope_missing")
    assert accounts(heidi) == {}


def test_cancelling_connects_nothing(web: RunningApp) -> None:
    heidi = web.browser("Heidi")
    callback = cancel(web.consent_page(heidi, "gmail"), account=WORK)
    assert told(web, web.come_back(heidi, callback)).code == "access_denied"
    assert accounts(heidi) == {}


def test_an_answer_that_is_played_twice_counts_once(web: RunningApp) -> None:
    ivan = web.browser("Ivan")
    callback = approve(web.consent_page(ivan, "gmail"), account=WORK)
    assert told(web, web.come_back(ivan, callback)).tone == "good"
    assert told(web, web.come_back(ivan, callback)).code == "state_unknown"
    assert len(accounts(ivan)) == 1


def test_a_consent_that_began_in_another_browser_connects_nothing_anywhere(web: RunningApp) -> None:
    mallory, victim = web.browser("Mallory"), web.browser("Victor")
    callback = approve(web.consent_page(mallory, "gmail"), account=WORK)
    assert told(web, web.come_back(victim, callback)).code == "other_browser"
    assert (accounts(mallory), accounts(victim)) == ({}, {})


def test_the_same_person_in_a_second_browser_is_another_browser(web: RunningApp) -> None:
    callback = approve(web.consent_page(web.browser("Judy"), "gmail"), account=WORK)
    assert told(web, web.come_back(web.new_browser("Judy"), callback)).code == "other_browser"


def test_a_consent_that_comes_back_to_nobody_ends_on_a_page_that_explains(
    web: RunningApp, anonymous: Visitor
) -> None:
    callback = approve(web.consent_page(web.browser("Judy"), "gmail"), account=WORK)
    answer = web.come_back(anonymous, callback)
    assert (answer.status, answer.headers["Location"]) == (303, "/not-connected")
    assert "Nothing was connected" in anonymous("GET", "/not-connected").text
    assert accounts(web.browser("Judy")) == {}


def test_the_callbacks_answer_shows_neither_code_nor_state(web: RunningApp) -> None:
    kim = web.browser("Kim")
    callback = approve(web.consent_page(kim, "gmail"), account=WORK)
    secrets = parse_qs(urlsplit(callback).query)
    answer = web.come_back(kim, callback)
    for name in ("code", "state"):
        assert secrets[name][0] not in str(answer.headers) + answer.text
    page = kim("GET", "/settings/integrations", headers={"Cookie": f"session={kim.cookie}"})
    assert secrets["code"][0] not in page.text


@pytest.mark.parametrize(
    "query",
    ["", "code=x", "state=x", "code=x&state=y", "code=x&code=y&state=z", "state=a&state=b&code=c", "error=x",
     "error=access_denied&state=x", "code=%00&state=%00", "code=%ff&state=%ff", "code[]=x&state[]=y",
     "a=" + "b" * 9_000],
)  # fmt: skip
def test_no_query_whatever_breaks_the_callback_or_connects_anything(web: RunningApp, query: str) -> None:
    leo = web.browser("Leo")
    answer = leo("GET", f"/api/auth/gmail/callback?{query}", site="cross-site")
    assert told(web, answer).tone == "bad"
    assert accounts(leo) == {}


def test_a_look_ahead_by_head_uses_nothing_up(web: RunningApp) -> None:
    nina = web.browser("Nina")
    callback = urlsplit(approve(web.consent_page(nina, "gmail"), account=WORK))
    assert nina("HEAD", f"{callback.path}?{callback.query}").status == 405
    assert told(web, web.come_back(nina, callback.geturl())).tone == "good"


def test_a_page_elsewhere_cannot_start_connecting(web: RunningApp) -> None:
    olga = web.browser("Olga")
    for site in ("cross-site", "same-site"):
        answer = olga("GET", "/api/auth/gmail", site=site)
        assert (answer.status, answer.headers["Location"]) == (303, "/settings/integrations")


def test_a_program_cannot_connect_an_account(web: RunningApp) -> None:
    answer = web.program("Alice")("GET", "/api/auth/gmail")
    assert (answer.status, error_of(answer)["code"]) == (403, "browser_needed")


def test_the_redirect_uri_never_follows_what_a_request_claims_about_itself(web: RunningApp) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
    answer = web.browser("Olga")("GET", "/api/auth/gmail", headers=headers)
    redirect_uri = parse_qs(urlsplit(answer.headers["Location"]).query)["redirect_uri"]
    assert redirect_uri == [f"{web.base_url}/api/auth/gmail/callback"]


def test_choosing_another_account_on_reconnect_is_said_with_both_addresses(web: RunningApp) -> None:
    pat = web.browser("Pat")
    web.connect(pat, "gmail", WORK)
    wanted = web.connection_id(pat, WORK)
    page = web.consent_page(pat, "gmail", connection_id=wanted).replace("login_hint=", "ignored=")
    notice = told(web, web.come_back(pat, approve(page, account=PRIVATE)))
    assert (notice.code, notice.details["expected"], notice.details["actual"]) == (
        "other_account",
        WORK,
        PRIVATE,
    )


def test_disconnecting_takes_one_account_or_all_of_a_provider(web: RunningApp) -> None:
    quinn = web.browser("Quinn")
    first, second = web.new_google_account(), web.new_google_account()
    for account in (first, second):
        web.connect(quinn, "gmail", account)
    web.connect(quinn, "outlook", MICROSOFT)
    path = "/api/integrations/gmail/disconnect"
    one = made(quinn("POST", path, json_body={"connection_id": accounts(quinn)[first]["id"]}), status=200)
    assert [each["email"] for each in one["disconnected"]] == [first]
    assert set(accounts(quinn)) == {second, MICROSOFT}
    assert len([each for each in accounts(quinn).values() if each["is_default"]]) == 1
    rest = made(quinn("POST", path), status=200)
    assert [(each["email"], each["revoked"]) for each in rest["disconnected"]] == [(second, True)]
    last = made(quinn("POST", "/api/integrations/outlook/disconnect"), status=200)["disconnected"][0]
    assert last["revoked"] is False
    assert last["removal_url"].startswith("https://")
    assert accounts(quinn) == {}


def test_every_way_to_fail_that_a_person_can_meet_has_words(web: RunningApp) -> None:
    codes = {
        "scope_missing",
        "admin_consent",
        "access_denied",
        "other_browser",
        "state_unknown",
        "no_refresh_token",
    }
    codes |= {"wrong_issuer", "identity_invalid", "exchange_failed", "provider_error", "other_account"}
    assert codes <= set(words.FAILURES)
