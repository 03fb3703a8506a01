"""Salesforce: what is written there, how it is found again, what its answers mean, and whom its tokens never reach."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

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
from replysequence.providers.base import Access, CallbackRefusal, TokenRefusal, Tokens
from replysequence.providers.crm import Entry, Person
from replysequence.providers.http import HttpClient
from replysequence.providers.salesforce import Salesforce
from replysequence.providers.salesforce_host import instance_of
from replysequence.providers.soql import Value, quoted, select
from support.answering import Answering, Asked, Says
from support.crm_messages import BOB, CHARLIE, LOGGED, SEND_ID, a_logged_email

CLIENT = {"SALESFORCE_CLIENT_ID": "our-id", "SALESFORCE_CLIENT_SECRET": "canary-secret"}
TOKEN = Secret("canary-token")
ALICES_ID = "005000000000001AAA"
DATA = "/services/data/v66.0"
MAIL_ID, TASK_ID = "02s000000000001AAA", "00T000000000001AAA"
NO_OBJECT = Says(
    400, [{"errorCode": "INVALID_TYPE", "message": "sObject type 'EmailMessage' is not supported."}]
)
NOT_FOUND = Says(404, [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}])


class Org:
    """A Salesforce org. `answers` are the records to a query, by the object that it asks for."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {}
        self.instead: dict[str, Says] = {}
        """By a part of the request: what is answered whatever was asked."""

    def __call__(self, asked: Asked) -> Says:
        assert asked.headers["authorization"] == "Bearer canary-token"
        call = f"{asked.method} {unquote(asked.target)}"
        for part, says in self.instead.items():
            if part in call:
                return says
        if asked.method == "GET":
            kind = re.search(r" FROM (\w+)", soql_of(asked))
            assert kind
            return Says(200, {"done": True, "records": self.records.get(kind[1], [])})
        if asked.method != "POST":
            return Says(204)
        ids = {"EmailMessage": MAIL_ID, "Task": TASK_ID, "Contact": "003000000000009AAA"}
        return Says(201, {"id": ids[asked.target.rpartition("/")[2]], "success": True, "errors": []})


def soql_of(asked: Asked) -> str:
    (query,) = parse_qs(urlsplit(asked.target).query)["q"]
    return query


class Stage:
    def __init__(self, salesforce: Salesforce, server: Answering, org: Org) -> None:
        self.salesforce, self.server, self.org = salesforce, server, org
        self.access = Access(TOKEN, server.url, f"00D000000000001AAA:{ALICES_ID}")
        self.bob = self.person("Contact", "003000000000001AAA", BOB)
        self.lead = self.person("Lead", "00Q000000000001AAA", CHARLIE)

    def person(self, kind: str, record_id: str, address: Address) -> Person:
        return Person(kind, record_id, address.email, address.name, self.url(kind, record_id))

    def url(self, kind: str, record_id: str) -> str:
        return f"{self.server.url}/lightning/r/{kind}/{record_id}/view"

    def queries(self) -> list[str]:
        return [soql_of(each) for each in self.server.asked if each.method == "GET"]

    def written(self) -> list[tuple[str, str, Any]]:
        return [
            (each.method, each.target.removeprefix(f"{DATA}/sobjects/"), each.json if each.body else None)
            for each in self.server.asked
            if each.method != "GET"
        ]

    async def log(self, *people: Person, **changes: Any) -> Entry:
        return await self.salesforce.log(
            self.access, email=a_logged_email(**changes), people=people or (self.bob,)
        )


@asynccontextmanager
async def a_stage() -> AsyncIterator[Stage]:
    org, http = Org(), HttpClient()
    async with Answering(org) as server:
        try:
            yield Stage(Salesforce(CLIENT | {"SALESFORCE_LOGIN_URL": server.url}, http), server, org)
        finally:
            await http.close()
        assert all("canary" not in each.target for each in server.asked)


def contact(
    record_id: str, email: str = "bob@customer.example", *, owner: str = "005other"
) -> dict[str, Any]:
    return {"Id": record_id, "Name": "Bob Brown", "Email": email, "OwnerId": owner}


async def test_a_contact_comes_before_a_lead_and_addresses_have_no_case() -> None:
    async with a_stage() as stage:
        stage.org.records["Contact"] = [contact("003A", "Bob@Customer.example")]
        stage.org.records["Lead"] = [contact("00QA")]
        found = await stage.salesforce.find_people(stage.access, emails=["bob@customer.example"])

        assert found == [
            Person("Contact", "003A", "bob@customer.example", "Bob Brown", stage.url("Contact", "003A"))
        ]
        assert stage.queries() == [
            "SELECT Id, Name, Email, OwnerId FROM Contact WHERE Email = 'bob@customer.example' LIMIT 20"
        ]


async def test_a_lead_that_is_still_one_is_found() -> None:
    async with a_stage() as stage:
        stage.org.records["Lead"] = [contact("00QA")]
        (found,) = await stage.salesforce.find_people(stage.access, emails=["bob@customer.example"])

        assert (found.kind, found.id) == ("Lead", "00QA")
        assert stage.queries()[1].endswith(
            "WHERE Email = 'bob@customer.example' AND IsConverted = false LIMIT 20"
        )


async def test_of_several_with_one_address_the_users_own_is_meant_and_else_none() -> None:
    async with a_stage() as stage:
        stage.org.records["Lead"] = [contact("00QA")]
        stage.org.records["Contact"] = [contact("003A"), contact("003B", owner=ALICES_ID)]
        (found,) = await stage.salesforce.find_people(stage.access, emails=["bob@customer.example"])
        assert found.id == "003B"

        for owner in (ALICES_ID, "005other"):
            stage.org.records["Contact"] = [contact("003A", owner=owner), contact("003B", owner=owner)]
            assert await stage.salesforce.find_people(stage.access, emails=["bob@customer.example"]) == []


@pytest.mark.parametrize(
    "value",
    [
        "o'brien@x.example",
        "\\' OR Name != '",
        'a"b\\',
        "line\nfeed\rreturn\ttab\bbell\fform",
        "Zoë 東京 😀",
        "%_",
        "",
    ],
)
def test_a_value_stays_a_value_in_a_query(*, value: str) -> None:
    written = quoted(value)

    assert re.fullmatch(r"'(?:[^'\\\n\r\t\b\f]|\\[\\'\"nrtbf])*'", written)
    meant = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
    assert re.sub(r"\\(.)", lambda found: meant.get(found[1], found[1]), written[1:-1]) == value


def test_a_query_says_what_was_asked_for() -> None:
    where: dict[str, Value] = {"WhoId": ["a", "b'"], "IsClosed": True}

    assert select("Task", ["Id", "Subject"], where, limit=7, newest_first=True) == (
        r"SELECT Id, Subject FROM Task WHERE WhoId IN ('a', 'b\'') AND IsClosed = true "
        "ORDER BY CreatedDate DESC LIMIT 7"
    )


async def test_a_query_arrives_as_it_was_written() -> None:
    async with a_stage() as stage:
        await stage.salesforce.find_people(stage.access, emails=["o'brien+tag&x=1#%41@x.example"])

        assert stage.queries()[0] == (
            r"SELECT Id, Name, Email, OwnerId FROM Contact WHERE Email = 'o\'brien+tag&x=1#%41@x.example' LIMIT 20"
        )


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        (BOB, {"FirstName": "Bob Q.", "LastName": "Brown", "Email": "bob@customer.example"}),
        (Address("Bob", "bob@x.example"), {"LastName": "Bob", "Email": "bob@x.example"}),
        (CHARLIE, {"LastName": "charlie", "Email": "charlie@stranger.example"}),
    ],
)
async def test_a_contact_is_made_with_what_is_known(*, address: Address, fields: dict[str, str]) -> None:
    async with a_stage() as stage:
        made = await stage.salesforce.create_person(stage.access, address=address)

        assert stage.written() == [("POST", "Contact", fields)]
        assert (made.kind, made.id, made.email) == ("Contact", "003000000000009AAA", address.email)


async def test_nobody_is_made_a_second_time_nor_where_several_are_there() -> None:
    async with a_stage() as stage:
        stage.org.records["Lead"] = [contact("00QA")]
        there = await stage.salesforce.create_person(stage.access, address=BOB)
        assert (there.kind, there.id) == ("Lead", "00QA")

        stage.org.records["Contact"] = [contact("003A"), contact("003B")]
        with pytest.raises(Rejected) as caught:
            await stage.salesforce.create_person(stage.access, address=BOB)
        assert caught.value.code == "ambiguous"
        assert stage.written() == []


async def test_a_duplicate_rule_leads_to_who_has_this_very_address_or_to_nobody() -> None:
    async with a_stage() as stage:
        stage.org.instead["POST"] = Says(400, [{"errorCode": "DUPLICATES_DETECTED", "message": "canary"}])
        with pytest.raises(Rejected) as caught:
            await stage.salesforce.create_person(stage.access, address=BOB)
        assert caught.value.code == "duplicate"


async def test_whom_somebody_else_adds_at_the_same_moment_is_taken() -> None:
    async with a_stage() as stage:

        def answer(asked: Asked) -> Says:
            if asked.method == "POST":
                stage.org.records["Contact"] = [contact("003A")]
                return Says(
                    400, [{"errorCode": "DUPLICATES_DETECTED", "message": "Use one of these records?"}]
                )
            return stage.org(asked)

        stage.server.answer = answer
        assert (await stage.salesforce.create_person(stage.access, address=BOB)).id == "003A"


async def test_a_message_is_written_once_with_records_by_id_and_strangers_by_address() -> None:
    async with a_stage() as stage:
        stage.org.records["Contact"] = [{"AccountId": "001A"}, {"AccountId": None}]
        stage.org.records["Opportunity"] = [{"Id": "006A"}]
        entry = await stage.log(
            to=(BOB, CHARLIE), cc=(Address("", "dora@x.example"), Address("", "eve@x.example"))
        )

        assert entry == Entry(MAIL_ID, stage.url("EmailMessage", MAIL_ID))
        assert stage.written() == [
            (
                "POST",
                "EmailMessage",
                {
                    "Status": "3",
                    "Incoming": False,
                    "MessageDate": "2026-11-22T09:30:00Z",
                    "Subject": "Our meeting",
                    "HtmlBody": "<p>Hello Bob</p>",
                    "TextBody": "Hello Bob",
                    "FromAddress": "alice@acme.example",
                    "FromName": "Alice Archer",
                    "ToIds": ["003000000000001AAA"],
                    "ToAddress": "charlie@stranger.example",
                    "CcAddress": "dora@x.example; eve@x.example",
                    "MessageIdentifier": f"<{LOGGED.message_id}>",
                    "Headers": f"Message-ID: <{LOGGED.message_id}>\nX-ReplySequence-Send-Id: {SEND_ID}",
                    "RelatedToId": "006A",
                },
            )
        ]


async def test_with_a_lead_or_without_a_clear_opportunity_nothing_is_related() -> None:
    for people, opportunities in [("lead", 1), ("both", 1), ("bob", 2), ("bob", 0)]:
        async with a_stage() as stage:
            stage.org.records["Contact"] = [{"AccountId": "001A"}]
            stage.org.records["Opportunity"] = [{"Id": f"006{each}"} for each in range(opportunities)]
            who = {"lead": [stage.lead], "both": [stage.bob, stage.lead], "bob": [stage.bob]}[people]
            await stage.log(*who, to=(BOB, CHARLIE))

            ((_, _, fields),) = stage.written()
            assert "RelatedToId" not in fields


async def test_what_is_too_long_is_cut_where_it_does_no_harm() -> None:
    async with a_stage() as stage:
        many = tuple(Address("", f"somebody-number-{each}@customer.example") for each in range(300))
        await stage.log(subject="s" * 5000, html="<p>x</p>" * 10_000, text="t" * 40_000, bcc=many)

        ((_, _, fields),) = stage.written()
        assert len(fields["Subject"]) == 3000
        assert "HtmlBody" not in fields
        assert len(fields["TextBody"]) == 32_000
        assert len(fields["BccAddress"]) <= 4000
        assert fields["BccAddress"].endswith("@customer.example")


@pytest.mark.parametrize(
    "refusal",
    [NOT_FOUND, NO_OBJECT, Says(403, [{"errorCode": "INSUFFICIENT_ACCESS_OR_READONLY", "message": "no"}])],
)
async def test_an_org_without_email_messages_gets_a_task_instead(*, refusal: Says) -> None:
    async with a_stage() as stage:
        stage.org.instead[f"POST {DATA}/sobjects/EmailMessage"] = refusal
        stage.org.records["TaskStatus"] = [{"ApiName": "Erledigt"}]
        entry = await stage.log(text=None)

        assert entry == Entry(TASK_ID, stage.url("Task", TASK_ID))
        _, (method, kind, fields) = stage.written()
        assert (method, kind) == ("POST", "Task")
        assert fields == {
            "Status": "Erledigt",
            "Priority": "Normal",
            "TaskSubtype": "Email",
            "Subject": "Email: Our meeting",
            "WhoId": "003000000000001AAA",
            "ActivityDate": "2026-11-22",
            "Description": "From: Alice Archer <alice@acme.example>\nTo: bob@customer.example\n"
            f"X-ReplySequence-Send-Id: {SEND_ID}\n\nHello Bob",
        }


async def test_a_refusal_that_says_something_else_makes_no_task() -> None:
    async with a_stage() as stage:
        stage.org.instead["POST"] = Says(
            400, [{"errorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION", "message": "canary"}]
        )
        with pytest.raises(Rejected) as caught:
            await stage.log()
        assert caught.value.code == "invalid_entry"
        assert len(stage.written()) == 1


async def test_what_was_logged_is_found_by_its_message_id_and_ours_comes_first() -> None:
    async with a_stage() as stage:
        await stage.log()
        ((_, _, fields),) = stage.written()
        theirs = {"Id": "02s000000000002AAA", "Headers": "Message-ID: <x>"}
        stage.org.records["EmailMessage"] = [theirs, {"Id": MAIL_ID, "Headers": fields["Headers"]}]
        found = await stage.salesforce.find_entry(stage.access, email=LOGGED, people=[stage.bob])
        assert found == Entry(MAIL_ID, stage.url("EmailMessage", MAIL_ID))
        assert f"MessageIdentifier IN ('<{LOGGED.message_id}>', '{LOGGED.message_id}')" in stage.queries()[-1]

        stage.org.records["EmailMessage"] = [theirs]
        found = await stage.salesforce.find_entry(stage.access, email=LOGGED, people=[stage.bob])
        assert found is not None
        assert (found.id, found.is_ours) == ("02s000000000002AAA", False)


async def test_a_task_that_was_logged_is_found_by_its_mark_also_where_there_are_no_email_messages() -> None:
    async with a_stage() as stage:
        stage.org.instead["EmailMessage"] = NO_OBJECT
        await stage.log()
        _, (_, _, fields) = stage.written()
        other = {"Id": "00T2", "Description": fields["Description"].replace(SEND_ID, "another")}
        stage.org.records["Task"] = [other, {"Id": TASK_ID, "Description": fields["Description"]}]
        found = await stage.salesforce.find_entry(stage.access, email=LOGGED, people=[stage.bob])
        assert found == Entry(TASK_ID, stage.url("Task", TASK_ID))

        stage.org.records["Task"] = [other]
        assert await stage.salesforce.find_entry(stage.access, email=LOGGED, people=[stage.bob]) is None


@pytest.mark.parametrize("says", [Says(200, b"<html>"), Says(200, {"done": True}), NOT_FOUND, Says(404, b"")])
async def test_a_look_that_tells_nothing_is_not_called_empty(*, says: Says) -> None:
    async with a_stage() as stage:
        stage.org.instead["EmailMessage"] = says
        with pytest.raises(TryLater if says.status == 200 or not says.body else Rejected):
            await stage.salesforce.find_entry(stage.access, email=LOGGED, people=[stage.bob])


async def test_of_what_bounced_the_task_beside_it_is_renamed() -> None:
    async with a_stage() as stage:
        stage.org.records["EmailMessage"] = [{"Id": MAIL_ID, "ActivityId": TASK_ID}]
        for entry_id in (MAIL_ID, TASK_ID):
            await stage.salesforce.correct(
                stage.access, entry_id=entry_id, email=LOGGED, correction=Correction.BOUNCED
            )
        assert stage.written() == [("PATCH", f"Task/{TASK_ID}", {"Subject": "Bounced: Our meeting"})] * 2


async def test_what_was_not_sent_is_taken_away_with_its_task_and_a_task_alone_is_renamed() -> None:
    async with a_stage() as stage:
        stage.org.records["EmailMessage"] = [{"Id": MAIL_ID, "ActivityId": TASK_ID}]
        for entry_id in (MAIL_ID, TASK_ID):
            await stage.salesforce.correct(
                stage.access, entry_id=entry_id, email=LOGGED, correction=Correction.NOT_SENT
            )
        assert stage.written() == [
            ("DELETE", f"Task/{TASK_ID}", None),
            ("DELETE", f"EmailMessage/{MAIL_ID}", None),
            ("PATCH", f"Task/{TASK_ID}", {"Subject": "Not sent: Our meeting"}),
        ]


async def test_a_correction_of_what_is_gone_is_done_and_one_that_cannot_be_told_says_so() -> None:
    async with a_stage() as stage:
        for correction in Correction:
            await stage.salesforce.correct(
                stage.access, entry_id=MAIL_ID, email=LOGGED, correction=correction
            )
        assert stage.written() == []

        stage.org.records["EmailMessage"] = [{"Id": MAIL_ID, "ActivityId": None}]
        with pytest.raises(Rejected) as caught:
            await stage.salesforce.correct(
                stage.access, entry_id=MAIL_ID, email=LOGGED, correction=Correction.BOUNCED
            )
        assert caught.value.code == "nothing_to_change"

        deleted = Says(404, [{"errorCode": "ENTITY_IS_DELETED", "message": "entity is deleted"}])
        stage.org.instead = {"PATCH": deleted, "DELETE": deleted}
        for entry_id in (TASK_ID, MAIL_ID):
            await stage.salesforce.correct(
                stage.access, entry_id=entry_id, email=LOGGED, correction=Correction.NOT_SENT
            )


def refusing(status: int, code: str) -> Says:
    return Says(status, [{"errorCode": code, "message": "canary-words", "fields": []}])


MEANINGS = [
    (refusing(401, "INVALID_SESSION_ID"), AccessTokenRejected, "access_token_rejected", None),
    (Says(401, b""), AccessTokenRejected, "access_token_rejected", None),
    (refusing(403, "REQUEST_LIMIT_EXCEEDED"), TryLater, "daily_limit", 3600),
    (refusing(403, "STORAGE_LIMIT_EXCEEDED"), TryLater, "storage_full", 3600),
    (refusing(400, "UNABLE_TO_LOCK_ROW"), TryLater, "busy", 10),
    (refusing(429, "TOO_MANY_REQUESTS"), TryLater, "rate_limited", 10),
    (refusing(400, "REQUIRED_FIELD_MISSING"), Rejected, "invalid_entry", None),
    (refusing(400, "INVALID_CROSS_REFERENCE_KEY"), Rejected, "record_gone", None),
    (refusing(403, "API_DISABLED_FOR_ORG"), Rejected, "api_disabled", None),
    (refusing(403, "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"), Rejected, "forbidden", None),
    (refusing(400, "SOMETHING_NEW"), Rejected, "refused", None),
    (Says(400, {"error": "an object", "error_description": "canary"}), Rejected, "refused", None),
    (Says(403, b"<html>"), TryLater, "refused_on_the_way", 10),
    (refusing(500, "UNKNOWN_EXCEPTION"), OutcomeUnknown, "unclear_answer", None),
    (refusing(503, "SERVER_UNAVAILABLE"), OutcomeUnknown, "unclear_answer", None),
    (Says(201, b"<html>"), OutcomeUnknown, "no_id", None),
]


@pytest.mark.parametrize(("says", "kind", "code", "delay"), MEANINGS)
async def test_every_answer_to_a_log_has_a_meaning(
    *, says: Says, kind: type[ProviderError], code: str, delay: float | None
) -> None:
    async with a_stage() as stage:
        stage.org.instead["POST"] = says
        with pytest.raises(kind) as caught:
            await stage.log()

        assert type(caught.value) is kind
        assert caught.value.code == code
        assert "canary" not in f"{caught.value.message} {caught.value.details}"
        if isinstance(caught.value, TryLater):
            assert caught.value.delay == delay


HOSTILE = [
    "https://evil.com",
    "https://salesforce.com.evil.com",
    "https://evilsalesforce.com",
    "https://salesforce.com",
    "https://acme.my.salesforce.com@evil.com",
    "https://evil.com/acme.my.salesforce.com",
    "https://evil.com\\.salesforce.com",
    "https://evil.com#.salesforce.com",
    "https://evil.com?.salesforce.com",
    "https://user@acme.my.salesforce.com",
    "https://user:pass@acme.my.salesforce.com",
    "https://acme.my.salesforce.com:8443",
    "https://acme.my.salesforce.com:443",
    "http://acme.my.salesforce.com",
    "https://acme.my.salesforce.com/services",
    "https://acme.my.salesforce.com\n",
    "https://acme.my.salesforce.com\x00.evil.com",
    "https://аcme.my.salesforce.com",
    "https://acme.my.salesforce.com.",
    "https://.salesforce.com",
    "//acme.my.salesforce.com",
    "ftp://acme.my.salesforce.com",
    "https://127.0.0.1",
    "https://[::1]",
    "http://169.254.169.254",
    "http://localhost:1",
    "",
    None,
]
THEIRS = [
    "https://acme.my.salesforce.com",
    "https://ACME.my.salesforce.com/",
    "https://acme--uat.sandbox.my.salesforce.com",
    "https://na139.salesforce.com",
    "https://acme.lightning.force.com",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_an_address_that_is_not_salesforces_is_refused(*, url: str | None) -> None:
    for login_url in ("https://login.salesforce.com", "https://login.evil.com"):
        with pytest.raises(Misconfigured) as caught:
            instance_of(url, login_url=login_url)
        assert caught.value.code == "foreign_host"


@pytest.mark.parametrize("url", THEIRS)
def test_an_address_of_salesforces_is_taken(*, url: str) -> None:
    assert instance_of(url, login_url="https://login.salesforce.com") == url.rstrip("/")


def test_this_machine_is_taken_only_while_people_sign_in_there() -> None:
    here = "http://127.0.0.1:8025/salesforce/org-1"

    assert instance_of(here, login_url="http://localhost:8025") == here
    for foreign in (
        "http://evil.com:8025",
        "http://127.0.0.1.evil.com",
        "http://a@127.0.0.1/",
        "http://[::1",
    ):
        with pytest.raises(Misconfigured):
            instance_of(foreign, login_url="http://localhost:8025")


async def test_no_token_goes_to_a_foreign_host_whatever_is_called() -> None:
    """The foreign host is one that would take the call: another name for this machine than the address allows."""
    http = HttpClient()
    async with Answering(lambda _: Says(200, {"records": []})) as server:
        salesforce = Salesforce(CLIENT | {"SALESFORCE_LOGIN_URL": "https://login.salesforce.com"}, http)
        access = Access(TOKEN, server.url, "o:u")
        bob = Person("Contact", "003", "bob@customer.example", "Bob", "")
        calls = [
            lambda: salesforce.find_people(access, emails=["bob@customer.example"]),
            lambda: salesforce.create_person(access, address=BOB),
            lambda: salesforce.find_entry(access, email=LOGGED, people=[bob]),
            lambda: salesforce.log(access, email=LOGGED, people=[bob]),
            lambda: salesforce.correct(access, entry_id=MAIL_ID, email=LOGGED, correction=Correction.BOUNCED),
            lambda: salesforce.correct(
                access, entry_id=TASK_ID, email=LOGGED, correction=Correction.NOT_SENT
            ),
            lambda: salesforce.identify(replace(tokens(), api_url=server.url)),
        ]
        for call in calls:
            with pytest.raises(Misconfigured) as caught:
                await call()  # type: ignore[no-untyped-call]
            assert caught.value.code == "foreign_host"
        assert server.asked == []
        await http.close()


ABOUT = {
    "sub": "https://login.salesforce.com/id/00D1/0051",
    "organization_id": "00D000000000001AAA",
    "user_id": ALICES_ID,
    "email": "alice@acme.example",
    "preferred_username": "alice@acme.example.prod",
    "name": "Alice Archer",
}


def tokens(**changes: Any) -> Tokens:
    plain = Tokens(
        TOKEN, 600, None, None, frozenset(), {"sub": ABOUT["sub"]}, api_url="https://acme.my.salesforce.com"
    )
    return replace(plain, **changes)


async def identify(about: Says, given: Tokens) -> Any:
    http = HttpClient()
    async with Answering(lambda _: about) as server:
        try:
            salesforce = Salesforce(CLIENT | {"SALESFORCE_LOGIN_URL": server.url}, http)
            return await salesforce.identify(given)
        finally:
            assert [each.target for each in server.asked] == ["/services/oauth2/userinfo"]
            await http.close()


@pytest.mark.parametrize("claims", [{"sub": ABOUT["sub"]}, None])
async def test_an_account_is_told_by_userinfo(*, claims: dict[str, str] | None) -> None:
    identity = await identify(Says(200, ABOUT), tokens(claims=claims))

    assert identity.subject == f"00D000000000001AAA:{ALICES_ID}"
    assert (identity.email, identity.display_name) == ("alice@acme.example", "Alice Archer")


@pytest.mark.parametrize(
    "change",
    [{"sub": "https://login.salesforce.com/id/00D1/another"}, {"user_id": None}, {"organization_id": "<b>"}],
)
async def test_an_account_that_is_not_clearly_somebodys_is_not_connected(*, change: dict[str, Any]) -> None:
    with pytest.raises(ConnectFailed) as caught:
        await identify(Says(200, ABOUT | change), tokens())
    assert caught.value.code == "identity_invalid"


def test_everything_is_derived_from_where_people_sign_in() -> None:
    spec = Salesforce(CLIENT, HttpClient()).oauth

    assert spec.authorize_url == "https://login.salesforce.com/services/oauth2/authorize"
    assert spec.token_url == "https://login.salesforce.com/services/oauth2/token"
    assert spec.jwks_url == "https://login.salesforce.com/id/keys"
    assert spec.scopes == ("openid", "api", "refresh_token")
    assert spec.lifetime < 15 * 60
    assert spec.canonical_scopes("api offline_access") == {"api", "refresh_token"}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("invalid_grant", ReconnectNeeded),
        ("inactive_user", ReconnectNeeded),
        ("inactive_org", ReconnectNeeded),
        ("invalid_client", Misconfigured),
        ("invalid_client_id", Misconfigured),
        ("redirect_uri_mismatch", Misconfigured),
        ("something_new", Misconfigured),
    ],
)
def test_a_refusal_of_the_token_endpoint_blames_the_right_one(
    *, error: str, kind: type[ProviderError]
) -> None:
    meaning = Salesforce(CLIENT, HttpClient()).oauth.refused(TokenRefusal(400, error, "canary", {}))

    assert type(meaning) is kind
    assert "canary" not in meaning.message


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("access_denied", "access_denied"),
        ("OAUTH_APPROVAL_ERROR_GENERIC", "admin_consent"),
        ("OAUTH_APP_BLOCKED", "admin_consent"),
        ("invalid_scope", "provider_error"),
        ("", "provider_error"),
    ],
)
def test_a_consent_that_did_not_come_about_says_who_can_help(*, error: str, code: str) -> None:
    problem = Salesforce(CLIENT, HttpClient()).oauth.turned_back(CallbackRefusal(error, "canary", {}))

    assert problem.code == code
    assert "canary" not in problem.message
