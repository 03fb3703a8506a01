"""simple-salesforce finds people and logs emails against the sandbox.

The library knows an instance by its host alone and calls it by https, so a transport of ours leads it to the path of
the sandbox that stands for that host.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceExpiredSession,
    SalesforceGeneralError,
    SalesforceMalformedRequest,
    SalesforceRefusedRequest,
    SalesforceResourceNotFound,
)
from simple_salesforce.format import format_soql

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox, sandbox
from support.salesforce_app import CONTOSO, DANA, LENA, MAYA, SalesforceApp

MARKER = "<first@brightwave.example>"
HOST = "https://brightwave.my.salesforce.com"


class ToTheSandbox(HTTPAdapter):
    """Sends what is meant for `HOST` to an instance of the sandbox."""

    def __init__(self, instance_url: str) -> None:
        super().__init__()
        self._instance_url = instance_url

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        assert request.url is not None
        request.url = request.url.replace(HOST, self._instance_url, 1)
        return super().send(request, *args, **options)


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    with sandbox() as running:
        running.world.register_app("http://localhost:8000")
        yield running


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        yield made


def connect(box: RunningSandbox, session: requests.Session, account: str = DANA) -> Any:
    """The library, with the tokens of a whole connect; it speaks the version that it speaks by itself."""
    tokens = SalesforceApp(box).connect(account)
    session.mount(HOST, ToTheSandbox(tokens["instance_url"]))
    return Salesforce(instance_url=HOST, session_id=tokens["access_token"], session=session)


@pytest.fixture
def client(box: RunningSandbox, session: requests.Session) -> Any:
    return connect(box, session)


def email(*people: str, **changes: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "Status": "3",
        "Subject": "Next steps",
        "TextBody": "As agreed.",
        "FromAddress": DANA,
        "MessageDate": "2026-11-22T12:00:00Z",
        "MessageIdentifier": MARKER,
        "ToIds": list(people),
    }
    return usual | changes


def contact(client: Any, address: str = MAYA) -> str:
    soql = format_soql("SELECT Id FROM Contact WHERE Email = {} LIMIT 2", address)
    return str(client.query(soql)["records"][0]["Id"])


def test_a_person_is_found_and_an_email_logged_once(box: RunningSandbox, client: Any) -> None:
    made = client.EmailMessage.create(email(contact(client)))

    found = client.query(
        format_soql("SELECT Id, ActivityId FROM EmailMessage WHERE MessageIdentifier = {}", MARKER)
    )
    [record] = found["records"]
    task = client.Task.get(record["ActivityId"])

    assert made == {"id": record["Id"], "success": True, "errors": []}
    assert (task["Subject"], task["WhoId"]) == ("Email: Next steps", contact(client))
    assert [each.record for each in box.world.ledger.logged("salesforce", MARKER)] == [made["id"]]
    assert client.api_usage["api-usage"].total == 100_000


def test_the_librarys_quoting_and_the_sandboxs_reading_agree(client: Any) -> None:
    for address in ("o'brien@x.example", 'qu"ote\\@x.example', "100%_sure@x.example"):
        soql = format_soql("SELECT Id FROM Contact WHERE Email = {}", address)
        assert client.query(soql)["totalSize"] == 0
    made = client.Contact.create({"LastName": "O'Brien", "Email": "o'brien@x.example"})["id"]
    assert contact(client, "o'brien@x.example") == made
    like = format_soql("SELECT Id FROM Contact WHERE Email LIKE '{:like}%'", "o'brien")
    assert client.query(like)["totalSize"] == 1

    with pytest.raises(SalesforceMalformedRequest, match="MALFORMED_QUERY"):
        client.query("SELECT Id FROM Contact WHERE Email = 'o'brien@x.example'")


def test_records_are_changed_read_and_deleted(client: Any) -> None:
    person = contact(client)

    assert client.Contact.update(person, {"Title": "Chief"}) == 204
    assert client.Contact.get(person)["Title"] == "Chief"
    assert client.Contact.delete(person) == 204
    with pytest.raises(SalesforceResourceNotFound, match="ENTITY_IS_DELETED"):
        client.Contact.get(person)


def test_the_org_describes_itself(client: Any) -> None:
    names = {each["name"] for each in client.describe()["sobjects"]}
    described = client.EmailMessage.describe()

    assert {"Contact", "Lead", "EmailMessage", "Task"} <= names
    assert next(each for each in described["fields"] if each["name"] == "Subject")["length"] == 3000
    assert client.limits()["DailyApiRequests"]["Max"] == 100_000


@pytest.mark.parametrize(
    ("changes", "error", "code"),
    [
        (
            {"ActivityId": "00TgL0000000001UAA"},
            SalesforceRefusedRequest,
            "INSUFFICIENT_ACCESS_OR_READONLY",
        ),
        ({"Subject": "x" * 3001}, SalesforceMalformedRequest, "STRING_TOO_LONG"),
        ({"ToIds": ["nobody"]}, SalesforceMalformedRequest, "MALFORMED_ID"),
    ],
)
def test_the_library_knows_the_errors_of_an_email(
    client: Any, changes: dict[str, object], error: type[Exception], code: str
) -> None:
    with pytest.raises(error, match=code):
        client.EmailMessage.create(email(contact(client), **changes))


def test_a_lead_in_an_org_without_enhanced_email_gets_a_task(
    box: RunningSandbox, session: requests.Session
) -> None:
    client = connect(box, session, CONTOSO)
    lead = client.Lead.create({"LastName": "Fischer", "Company": "Lichtung", "Email": LENA})["id"]

    with pytest.raises(SalesforceResourceNotFound, match="NOT_FOUND"):
        client.EmailMessage.create(email(lead))
    task = client.Task.create(
        {"Subject": "Email: Next steps", "Status": "Completed", "TaskSubtype": "Email", "WhoId": lead}
    )
    assert client.Task.get(task["id"])["WhoId"] == lead


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("refused_401", SalesforceExpiredSession),
        ("limit_exceeded", SalesforceRefusedRequest),
        ("locked", SalesforceMalformedRequest),
        ("error_503_after_acceptance", SalesforceGeneralError),
    ],
)
def test_the_library_knows_the_faults(
    box: RunningSandbox, client: Any, kind: str, error: type[Exception]
) -> None:
    box.world.faults.arm(Fault(kind=kind, vendor=Vendor.SALESFORCE, endpoint=Endpoint.LOG))

    with pytest.raises(error):
        client.EmailMessage.create(email())

    assert len(box.world.ledger.records) == ("after" in kind)


def test_an_expired_session_is_told_apart(box: RunningSandbox, client: Any) -> None:
    box.world.clock.advance(7201)

    with pytest.raises(SalesforceExpiredSession, match="INVALID_SESSION_ID"):
        client.query("SELECT Id FROM User")
