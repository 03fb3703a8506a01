"""HubSpot: what is written there, how it is found again, and what its answers mean."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from replysequence.domain.address import Address
from replysequence.domain.errors import (
    AccessTokenRejected,
    ConnectFailed,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.domain.report import Correction
from replysequence.domain.secret import Secret
from replysequence.providers import oauth
from replysequence.providers.base import Access, CallbackRefusal, TokenRefusal, Tokens
from replysequence.providers.crm import Entry, Person
from replysequence.providers.http import HttpClient
from replysequence.providers.hubspot import HubSpot
from support.answering import Answering, Asked, Says
from support.crm_messages import BOB, CHARLIE, LOGGED, SEND_ID, a_logged_email

CLIENT = {"HUBSPOT_CLIENT_ID": "our-id", "HUBSPOT_CLIENT_SECRET": "canary-secret"}
TOKEN = Secret("canary-token")
ACCESS = Access(TOKEN, subject="24681357:5550101")
BOBS_URL = "https://app.hubspot.com/contacts/24681357/record/0-1/101"
CONTACT_BOB = {
    "id": "101",
    "properties": {"email": "bob@customer.example", "firstname": "Bob", "lastname": "Brown"},
}
PERSON_BOB = Person("contact", "101", "bob@customer.example", "Bob Brown", BOBS_URL)
NOT_THERE = Says(404, {"status": "error", "category": "OBJECT_NOT_FOUND"})
DATED = "/crm/objects/2026-09"


class Portal:
    """A HubSpot account with a contact or two. It keeps the emails that are logged, and gives them back."""

    def __init__(self) -> None:
        self.contacts: list[dict[str, Any]] = [CONTACT_BOB]
        self.companies: list[dict[str, Any]] = []
        self.deals: dict[str, str | None] = {}
        self.owners: list[dict[str, Any]] = []
        self.emails: dict[str, dict[str, Any]] = {}
        self.instead: dict[str, Says] = {}
        """By a part of the target: what is answered whatever was asked."""

    def __call__(self, asked: Asked) -> Says:
        assert asked.headers["authorization"] == "Bearer canary-token"
        call = f"{asked.method} {asked.target}"
        for part, says in self.instead.items():
            if part in call:
                return says
        for pattern, answer in _ROUTES:
            found = re.fullmatch(pattern, f"{asked.method} {urlsplit(asked.target).path}")
            if found:
                query = dict(parse_qsl(urlsplit(asked.target).query))
                return answer(self, asked, [unquote(each) for each in found.groups()], query)
        raise AssertionError(f"{call} is nothing that HubSpot has")

    def of_owners(self, *_: Any) -> Says:
        return Says(200, {"results": self.owners})

    def of_a_contact(self, _: Asked, given: list[str], query: dict[str, str]) -> Says:
        return self._contact("email" if query.get("idProperty") == "email" else "id", given[0])

    def of_a_search(self, *_: Any) -> Says:
        return Says(200, {"total": len(self.contacts), "results": self.contacts})

    def of_a_new_contact(self, asked: Asked, *_: Any) -> Says:
        return Says(201, {"id": "202", "properties": asked.json["properties"]})

    def of_associations(self, _: Asked, given: list[str], query: dict[str, str]) -> Says:
        kinds = {"companies": self.companies, "deals": [{"toObjectId": int(each)} for each in self.deals]}
        return (
            self._emails_of_a_contact(query)
            if given[0] == "emails"
            else Says(200, {"results": kinds[given[0]]})
        )

    def of_a_batch(self, asked: Asked, given: list[str], _: Any) -> Says:
        deals = {each: {"hs_is_closed": closed} for each, closed in self.deals.items()}
        records = deals if given[0] == "deals" else self.emails
        ids = [each["id"] for each in asked.json["inputs"]]
        return Says(200, {"results": [{"id": each, "properties": records[each]} for each in ids]})

    def of_a_new_email(self, asked: Asked, *_: Any) -> Says:
        self.emails["9001"] = _derived(asked.json["properties"])
        return Says(201, {"id": "9001", "properties": asked.json["properties"]})

    def of_a_change(self, asked: Asked, given: list[str], _: Any) -> Says:
        self.emails[given[0]] |= asked.json["properties"]
        return Says(200, {"id": given[0]})

    def _contact(self, by: str, value: str) -> Says:
        for each in self.contacts:
            if (each["id"] if by == "id" else each["properties"]["email"]).casefold() == value.casefold():
                return Says(200, each)
        return NOT_THERE

    def _emails_of_a_contact(self, query: dict[str, str]) -> Says:
        """One a page."""
        ids = sorted(self.emails)
        at = int(query.get("after", "0"))
        more = {"paging": {"next": {"after": str(at + 1)}}} if at + 1 < len(ids) else {}
        return Says(200, {"results": [{"toObjectId": int(each)} for each in ids[at : at + 1]], **more})


_ROUTES = (
    ("GET /crm/owners/2026-09", Portal.of_owners),
    (rf"POST {DATED}/contacts/search", Portal.of_a_search),
    (rf"GET {DATED}/contacts/([^/]+)", Portal.of_a_contact),
    (rf"POST {DATED}/contacts", Portal.of_a_new_contact),
    (rf"GET {DATED}/contacts/101/associations/(\w+)", Portal.of_associations),
    (rf"POST {DATED}/(deals|emails)/batch/read", Portal.of_a_batch),
    (rf"POST {DATED}/emails", Portal.of_a_new_email),
    (rf"PATCH {DATED}/emails/(\d+)", Portal.of_a_change),
)


def _derived(properties: dict[str, Any]) -> dict[str, Any]:
    """As HubSpot gives it back: the time in ISO, the recipients worked out."""
    moment = datetime.fromtimestamp(int(properties["hs_timestamp"]) / 1000, UTC)
    recipients = json.loads(properties["hs_email_headers"])["to"]
    return {
        **properties,
        "hs_timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "hs_email_to_email": ";".join(each["email"] for each in recipients),
    }


class Stage:
    def __init__(self, hubspot: HubSpot, server: Answering, portal: Portal) -> None:
        self.hubspot, self.server, self.portal = hubspot, server, portal

    def asked(self, start: str) -> list[Asked]:
        return [each for each in self.server.asked if f"{each.method} {each.target}".startswith(start)]

    async def log(self, **changes: Any) -> tuple[Entry, dict[str, Any]]:
        """Log a message on Bob; the entry, and what went to HubSpot."""
        entry = await self.hubspot.log(ACCESS, email=a_logged_email(**changes), people=[PERSON_BOB])
        return entry, self.asked(f"POST {DATED}/emails")[-1].json


@asynccontextmanager
async def a_stage() -> AsyncIterator[Stage]:
    portal, http = Portal(), HttpClient()
    async with Answering(portal) as server:
        try:
            yield Stage(HubSpot(CLIENT | {"HUBSPOT_API_URL": server.url}, http), server, portal)
        finally:
            await http.close()
        assert all("canary" not in each.target for each in server.asked)


async def test_people_are_found_by_their_primary_address_at_once() -> None:
    async with a_stage() as stage:
        found = await stage.hubspot.find_people(
            ACCESS, emails=["Bob@Customer.example", "o'brien+x@x.example"]
        )

        assert found == [Person("contact", "101", "Bob@Customer.example", "Bob Brown", BOBS_URL)]
        first, second = (urlsplit(each.target) for each in (stage.server.asked[0], stage.server.asked[1]))
        assert unquote(first.path) == f"{DATED}/contacts/Bob@Customer.example"
        assert dict(parse_qsl(first.query))["idProperty"] == "email"
        assert second.path.endswith("/o'brien%2Bx@x.example")


async def test_a_further_address_is_found_by_search_and_only_the_very_same_one() -> None:
    async with a_stage() as stage:
        stage.portal.contacts = [
            {
                "id": "1",
                "properties": {"email": "other@x.example", "hs_additional_emails": "not-bob@x.example"},
            },
            {
                "id": "2",
                "properties": {"email": "b@x.example", "hs_additional_emails": "a@x.example;Bob@X.example"},
            },
        ]
        (found,) = await stage.hubspot.find_people(ACCESS, emails=["bob@x.example"])
        assert found.id == "2"

        stage.portal.contacts.append(
            {"id": "3", "properties": {"email": "c@x.example", "hs_additional_emails": "bob@x.example"}}
        )
        assert await stage.hubspot.find_people(ACCESS, emails=["bob@x.example"]) == []


async def test_an_answer_without_a_contact_is_not_taken_for_nobody() -> None:
    for part, says in [
        ("idProperty", Says(200, {"properties": {}})),
        ("idProperty", Says(200, b"<html>")),
        ("idProperty", Says(404, b"<html>not found")),
        ("search", Says(200, {"total": 0})),
    ]:
        async with a_stage() as stage:
            stage.portal.contacts = []
            stage.portal.instead[part] = says
            with pytest.raises(TryLater):
                await stage.hubspot.find_people(ACCESS, emails=["bob@customer.example"])


async def test_a_contact_is_made_with_what_is_known() -> None:
    async with a_stage() as stage:
        made = await stage.hubspot.create_person(
            ACCESS, address=Address("Bob Q. Brown", "bob@customer.example")
        )
        await stage.hubspot.create_person(ACCESS, address=CHARLIE)

        assert (made.id, made.email, made.name) == ("202", "bob@customer.example", "Bob Q. Brown")
        first, second = stage.asked(f"POST {DATED}/contacts")
        assert first.json == {
            "properties": {"email": "bob@customer.example", "firstname": "Bob Q.", "lastname": "Brown"},
            "associations": [],
        }
        assert second.json["properties"] == {"email": "charlie@stranger.example"}


@pytest.mark.parametrize(
    "message", ["Contact already exists. Existing ID: 101", "Contact already exists.", None]
)
async def test_a_contact_that_turns_out_to_be_there_is_taken(*, message: str | None) -> None:
    async with a_stage() as stage:
        conflict = Says(409, {"message": message, "category": "CONFLICT"})
        stage.portal.instead[f"POST {DATED}/contacts"] = conflict
        assert await stage.hubspot.create_person(ACCESS, address=BOB) == PERSON_BOB


async def test_a_message_is_written_as_hubspot_wants_it() -> None:
    async with a_stage() as stage:
        stage.portal.owners = [
            {"id": "70", "email": "somebody@acme.example"},
            {"id": "71", "email": "Alice@acme.example"},
        ]
        stage.portal.companies = [
            {"toObjectId": 300, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 279}]},
            {"toObjectId": 301, "associationTypes": [{"category": "HUBSPOT_DEFINED", "typeId": 1}]},
        ]
        stage.portal.deals = {"400": "true", "401": "false"}
        entry, sent = await stage.log(cc=(CHARLIE,))

        assert entry == Entry("9001", BOBS_URL)
        headers = json.loads(sent["properties"].pop("hs_email_headers"))
        assert headers == {
            "from": {"email": "alice@acme.example", "firstName": "Alice", "lastName": "Archer"},
            "to": [{"email": "bob@customer.example", "firstName": "Bob Q.", "lastName": "Brown"}],
            "cc": [{"email": "charlie@stranger.example", "firstName": "", "lastName": ""}],
            "message_id": f"<{LOGGED.message_id}>",
            "replysequence_send_id": SEND_ID,
        }
        assert sent["properties"] == {
            "hs_timestamp": "1795339800123",
            "hs_email_direction": "EMAIL",
            "hs_email_status": "SENT",
            "hs_email_subject": "Our meeting",
            "hs_email_html": "<p>Hello Bob</p>",
            "hs_email_text": "Hello Bob",
            "hubspot_owner_id": "71",
        }
        assert [
            (each["to"]["id"], each["types"][0]["associationTypeId"]) for each in sent["associations"]
        ] == [("101", 198), ("301", 186), ("401", 210)]
        query = dict(parse_qsl(urlsplit(stage.asked("GET /crm/owners")[0].target).query))
        assert query == {"email": "alice@acme.example"}


async def test_what_its_owner_keeps_back_is_not_written() -> None:
    async with a_stage() as stage:
        _, sent = await stage.log(html=None, text=None)

        assert not {"hs_email_html", "hs_email_text"} & sent["properties"].keys()
        assert all(isinstance(value, str) for value in sent["properties"].values())


async def test_an_html_that_is_too_long_goes_as_its_text() -> None:
    async with a_stage() as stage:
        _, sent = await stage.log(html=f"<p>Hello</p><p>{'x' * 70_000}</p>", text=None)

        assert "hs_email_html" not in sent["properties"]
        assert sent["properties"]["hs_email_text"].startswith("Hello\n")
        assert len(sent["properties"]["hs_email_text"]) == 65_536


@pytest.mark.parametrize("deals", [{}, {"400": "false", "401": "false"}, {"400": "true"}])
async def test_a_deal_that_is_not_clearly_meant_is_left_out(*, deals: dict[str, str | None]) -> None:
    async with a_stage() as stage:
        stage.portal.deals = deals
        stage.portal.companies = [{"toObjectId": 300}, {"toObjectId": 301}]
        _, sent = await stage.log()

        assert [each["to"]["id"] for each in sent["associations"]] == ["101"]


async def test_who_may_not_see_owners_companies_and_deals_logs_without_them() -> None:
    missing = Says(
        403,
        {
            "category": "MISSING_SCOPES",
            "errors": [{"context": {"requiredGranularScopes": ["crm.objects.owners.read"]}}],
        },
    )
    async with a_stage() as stage:
        stage.portal.instead = dict.fromkeys(["/crm/owners", "companies", "deals"], missing)
        entry, sent = await stage.log()

        assert entry.id == "9001"
        assert "hubspot_owner_id" not in sent["properties"]


async def test_what_was_logged_is_found_again_among_others_and_is_ours() -> None:
    async with a_stage() as stage:
        await stage.log()
        stage.portal.emails |= {
            str(9100 + each): {"hs_email_subject": "Other", "hs_timestamp": "2026-11-22T09:30:00Z"}
            for each in range(3)
        }
        found = await stage.hubspot.find_entry(ACCESS, email=LOGGED, people=[PERSON_BOB])

        assert found == Entry("9001", BOBS_URL)
        assert stage.asked(f"POST {DATED}/emails/batch/read")[0].json["inputs"][0] == {"id": "9102"}
        assert not stage.asked(f"POST {DATED}/emails/search")


async def test_hubspots_own_copy_is_known_and_is_not_ours() -> None:
    theirs = {
        "hs_timestamp": "2026-11-22T09:30:40Z",
        "hs_email_direction": "EMAIL",
        "hs_email_subject": "Our meeting",
        "hs_email_to_email": "BOB@customer.example",
        "hs_email_headers": "not JSON",
    }
    by_id = {"hs_timestamp": "2026-11-22T09:31:40Z", "hs_email_message_id": f"<{LOGGED.message_id}>"}
    for properties in (theirs, by_id):
        async with a_stage() as stage:
            stage.portal.emails["77"] = properties
            found = await stage.hubspot.find_entry(ACCESS, email=LOGGED, people=[PERSON_BOB])
            assert found == Entry("77", BOBS_URL, is_ours=False)


@pytest.mark.parametrize(
    "change",
    [
        {"hs_timestamp": "2026-11-22T09:31:01Z"},
        {"hs_timestamp": "soon"},
        {"hs_email_direction": "INCOMING_EMAIL"},
        {"hs_email_subject": "Re: Our meeting"},
        {"hs_email_to_email": "bob@customer.example;charlie@stranger.example"},
        {"hs_email_headers": json.dumps({"replysequence_send_id": "another-send"})},
    ],
)
async def test_another_message_is_not_taken_for_this_one(*, change: dict[str, str]) -> None:
    async with a_stage() as stage:
        stage.portal.emails["77"] = {
            "hs_timestamp": "2026-11-22T09:30:00Z",
            "hs_email_direction": "EMAIL",
            "hs_email_subject": "Our meeting",
            "hs_email_to_email": "bob@customer.example",
        } | change
        assert await stage.hubspot.find_entry(ACCESS, email=LOGGED, people=[PERSON_BOB]) is None


async def test_an_entry_that_lost_our_mark_is_known_by_its_millisecond() -> None:
    async with a_stage() as stage:
        await stage.log()
        stage.portal.emails["9001"]["hs_email_headers"] = None
        found = await stage.hubspot.find_entry(ACCESS, email=LOGGED, people=[PERSON_BOB])

        assert found == Entry("9001", BOBS_URL)


@pytest.mark.parametrize("says", [Says(200, b"<html>"), Says(200, {}), Says(200, {"results": None})])
async def test_a_look_that_tells_nothing_is_not_called_empty(*, says: Says) -> None:
    for part in ("associations/emails", "emails/batch/read"):
        async with a_stage() as stage:
            await stage.log()
            stage.portal.instead[part] = says
            with pytest.raises(TryLater):
                await stage.hubspot.find_entry(ACCESS, email=LOGGED, people=[PERSON_BOB])


@pytest.mark.parametrize(
    ("correction", "status"), [(Correction.BOUNCED, "BOUNCED"), (Correction.NOT_SENT, "FAILED")]
)
async def test_what_became_known_is_told_and_telling_it_again_changes_nothing(
    *, correction: Correction, status: str
) -> None:
    async with a_stage() as stage:
        entry, _ = await stage.log()
        for _ in range(2):
            await stage.hubspot.correct(ACCESS, entry_id=entry.id, email=LOGGED, correction=correction)
        assert stage.portal.emails["9001"]["hs_email_status"] == status

        stage.portal.instead["PATCH"] = NOT_THERE
        await stage.hubspot.correct(ACCESS, entry_id=entry.id, email=LOGGED, correction=correction)


MEANINGS = [
    (Says(401, {"category": "EXPIRED_AUTHENTICATION"}), AccessTokenRejected, "access_token_rejected", None),
    (Says(429, {"policyName": "TEN_SECONDLY_ROLLING"}), TryLater, "rate_limited", 10),
    (Says(429, {"policyName": "SECONDLY"}), TryLater, "rate_limited", 1),
    (Says(429, {"policyName": "DAILY"}), TryLater, "rate_limited", 3600),
    (Says(429, b""), TryLater, "rate_limited", 10),
    (Says(423, {"message": "locked"}), TryLater, "busy", 2),
    (Says(477, {}, {"Retry-After": "86400"}), TryLater, "migrating", 3600),
    (Says(477, {}), TryLater, "migrating", 3600),
    (Says(400, {"category": "VALIDATION_ERROR"}), Rejected, "invalid_entry", None),
    (Says(403, {"category": "FORBIDDEN"}), Rejected, "forbidden", None),
    (Says(403, b"<html>"), TryLater, "refused_on_the_way", 10),
    (Says(404, {"category": "OBJECT_NOT_FOUND"}), Rejected, "record_gone", None),
    (Says(413, b""), Rejected, "too_large", None),
    (Says(500, {"message": "internal error"}), OutcomeUnknown, "unclear_answer", None),
    (Says(502, b"<html>"), OutcomeUnknown, "unclear_answer", None),
    (Says(524, b""), OutcomeUnknown, "unclear_answer", None),
    (Says(408, b""), OutcomeUnknown, "unclear_answer", None),
    (Says(201, b"<html>"), OutcomeUnknown, "no_id", None),
]


@pytest.mark.parametrize(("says", "kind", "code", "delay"), MEANINGS)
async def test_every_answer_to_a_log_has_a_meaning(
    *, says: Says, kind: type[ProviderError], code: str, delay: float | None
) -> None:
    async with a_stage() as stage:
        stage.portal.instead[f"POST {DATED}/emails"] = says
        with pytest.raises(kind) as caught:
            await stage.log()

        assert type(caught.value) is kind
        assert caught.value.code == code
        assert caught.value.status == says.status
        if isinstance(caught.value, TryLater):
            assert caught.value.delay == delay


@pytest.mark.parametrize(
    ("body", "kind", "named"),
    [
        (
            {"errors": [{"context": {"requiredGranularScopes": ["sales-email-read", "x.sensitive"]}}]},
            ReconnectNeeded,
            "sales-email-read",
        ),
        (
            {"context": {"missingScopes": ["crm.objects.contacts.write"]}},
            ReconnectNeeded,
            "crm.objects.contacts.write",
        ),
        (
            {"errors": [{"context": {"requiredGranularScopes": ["crm.objects.emails.read"]}}]},
            Rejected,
            "crm.objects.emails.read",
        ),
        ({"errors": [{"context": {"requiredGranularScopes": "x"}}]}, Rejected, "does not say"),
        ({"errors": [{"context": {"requiredGranularScopes": ["<b>canary</b>"]}}]}, Rejected, "does not say"),
        ({}, Rejected, "does not say"),
    ],
)
async def test_a_missing_scope_is_named_and_sent_to_who_can_mend_it(
    *, body: dict[str, Any], kind: type[ProviderError], named: str
) -> None:
    async with a_stage() as stage:
        stage.portal.instead[f"POST {DATED}/emails"] = Says(403, {"category": "MISSING_SCOPES", **body})
        with pytest.raises(kind) as caught:
            await stage.log()

        assert (type(caught.value), caught.value.code) == (kind, "scope_missing")
        assert named in caught.value.message
        assert "canary" not in caught.value.message


TOLD = {"hub_id": 24681357, "user_id": 5550101}


def tokens(**told: object) -> Tokens:
    return Tokens(TOKEN, 1800, None, None, frozenset(), None, told=told)


@pytest.mark.parametrize(
    ("introspected", "owner", "told"),
    [
        (
            Says(200, {"active": True, **TOLD, "user": "alice@acme.example", "hub_domain": "acme.example"}),
            NOT_THERE,
            {},
        ),
        (Says(200, {"active": True}), Says(200, {"email": "alice@acme.example"}), TOLD),
        (Says(503, b""), Says(200, {"email": "alice@acme.example"}), TOLD),
    ],
    ids=["introspection", "owner", "owner without introspection"],
)
async def test_an_account_is_told_from_its_token(
    *, introspected: Says, owner: Says, told: dict[str, int]
) -> None:
    http = HttpClient()
    async with Answering(lambda asked: introspected if "introspect" in asked.target else owner) as server:
        hubspot = HubSpot(CLIENT | {"HUBSPOT_API_URL": server.url}, http)
        identity = await hubspot.identify(tokens(**told))
        await http.close()

    assert (identity.issuer, identity.subject) == (server.url, "24681357:5550101")
    assert identity.email == "alice@acme.example"
    assert server.asked[0].target == "/oauth/2026-09/token/introspect"
    assert server.asked[0].form == {
        "client_id": "our-id",
        "client_secret": "canary-secret",
        "token": "canary-token",
        "token_type_hint": "access_token",
    }
    assert "canary" not in "".join(each.target for each in server.asked)


@pytest.mark.parametrize("about", [{}, {"hub_id": "x", "user_id": 1}, {**TOLD, "user": "nobody"}])
async def test_an_account_that_is_not_clearly_somebodys_is_not_connected(*, about: dict[str, Any]) -> None:
    http = HttpClient()
    async with Answering(
        lambda asked: Says(200, about) if "introspect" in asked.target else NOT_THERE
    ) as server:
        with pytest.raises(ConnectFailed) as caught:
            await HubSpot(CLIENT | {"HUBSPOT_API_URL": server.url}, http).identify(tokens())
        await http.close()
    assert caught.value.code == "identity_invalid"


def test_what_is_needed_is_asked_for_and_the_rest_is_optional() -> None:
    hubspot = HubSpot(CLIENT, HttpClient())
    url = oauth.authorization_url(
        hubspot.oauth, redirect_uri="https://a.example/x", state="s", nonce="n", challenge="c"
    )
    asked = dict(parse_qsl(urlsplit(url).query))

    assert url.startswith("https://app.hubspot.com/oauth/authorize?")
    assert asked["scope"] == "oauth crm.objects.contacts.read crm.objects.contacts.write sales-email-read"
    assert (
        asked["optional_scope"] == "crm.objects.owners.read crm.objects.companies.read crm.objects.deals.read"
    )
    assert hubspot.oauth.token_url == "https://api.hubapi.com/oauth/2026-09/token"
    assert "/v1/" not in f"{hubspot.oauth.token_url}{hubspot.oauth.revoke_url}"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("invalid_grant", ReconnectNeeded),
        ("invalid_client", Misconfigured),
        ("invalid_request", Misconfigured),
    ],
)
def test_a_refusal_of_the_token_endpoint_blames_the_right_one(
    *, error: str, kind: type[ProviderError]
) -> None:
    meaning = HubSpot(CLIENT, HttpClient()).oauth.refused(TokenRefusal(400, error, "canary", {}))

    assert type(meaning) is kind
    assert "canary" not in meaning.message


async def test_a_grant_is_revoked_with_our_proof() -> None:
    http = HttpClient()
    async with Answering(lambda _: Says(204)) as server:
        hubspot = HubSpot(CLIENT | {"HUBSPOT_API_URL": server.url}, http)
        assert await oauth.revoke(hubspot.oauth, http, token=Secret("canary-refresh"))
        await http.close()

    assert server.asked[0].target == "/oauth/2026-09/token/revoke"
    assert server.asked[0].form == {
        "token": "canary-refresh",
        "client_id": "our-id",
        "client_secret": "canary-secret",
    }


def test_a_declined_consent_says_what_to_do() -> None:
    turned_back = HubSpot(CLIENT, HttpClient()).oauth.turned_back

    assert turned_back(CallbackRefusal("access_denied", "", {})).code == "access_denied"
    assert turned_back(CallbackRefusal("", "", {})).code == "provider_error"


async def test_a_busy_morning_does_not_hide_what_was_logged() -> None:
    """More emails than are read: the newest are."""
    async with a_stage() as stage:
        await stage.log()
        stage.portal.emails = {str(each): {} for each in range(1, 12)} | stage.portal.emails
        found = await stage.hubspot.find_entry(ACCESS, email=LOGGED, people=[PERSON_BOB])
        assert found is not None
        read = stage.asked(f"POST {DATED}/emails/batch/read")[0].json["inputs"]
        assert [each["id"] for each in read[:2]] == ["9001", "11"]


async def test_a_contact_that_is_gone_holds_nothing() -> None:
    async with a_stage() as stage:
        stage.portal.instead["associations"] = NOT_THERE
        assert await stage.hubspot.find_entry(ACCESS, email=LOGGED, people=[PERSON_BOB]) is None
