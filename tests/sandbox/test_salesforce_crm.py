import json
from typing import Any

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.salesforce_errors import WRITE_FAILURES, Failure
from support.google_app import bearer
from support.plain_http import Answer, call
from support.salesforce_app import CONTOSO, DANA, LENA, MAYA, SalesforceApp, SalesforceVisit

MARKER = "<first@brightwave.example>"


@pytest.fixture
def visit(salesforce: SalesforceApp) -> SalesforceVisit:
    """Dana's connection to Brightwave's org."""
    return salesforce.visit()


@pytest.fixture
def maya(visit: SalesforceVisit) -> str:
    """Maya's id."""
    return visit.id_of(MAYA)


def refused(answer: Answer) -> tuple[int, str]:
    """Status and code of the only error; that it comes in an array is checked on the way."""
    [error] = answer.json
    assert error["message"]
    return answer.status, error["errorCode"]


def opportunity(visit: SalesforceVisit, contact: str) -> str:
    [role] = visit.found(f"SELECT OpportunityId FROM OpportunityContactRole WHERE ContactId = '{contact}'")
    return str(role["OpportunityId"])


def test_a_logged_email_makes_its_task_and_its_relations(
    salesforce: SalesforceApp, visit: SalesforceVisit, maya: str
) -> None:
    deal = opportunity(visit, maya)
    made = visit.log(maya, RelatedToId=deal)

    [email] = visit.found(f"SELECT Id, ActivityId FROM EmailMessage WHERE MessageIdentifier = '{MARKER}'")
    [task] = visit.found(
        f"SELECT Subject, WhoId, WhatId, IsClosed, TaskSubtype FROM Task WHERE Id = '{email['ActivityId']}'"
    )
    [relation] = visit.found(
        "SELECT RelationType, RelationId, RelationAddress FROM EmailMessageRelation "
        f"WHERE EmailMessageId = '{email['Id']}'"
    )

    assert made.json == {"id": email["Id"], "success": True, "errors": []}
    assert made.status == 201
    assert (task["WhoId"], task["WhatId"], task["Subject"]) == (maya, deal, "Email: Next steps")
    assert (task["IsClosed"], task["TaskSubtype"]) == (True, "Email")
    assert (relation["RelationType"], relation["RelationId"]) == ("ToAddress", maya)
    assert relation["RelationAddress"] == MAYA
    [logged] = salesforce.box.world.ledger.logged("salesforce", MARKER)
    assert (logged.kind, logged.record, logged.account) == ("EmailMessage", email["Id"], DANA)
    assert len(salesforce.box.world.ledger) == 0


def test_a_draft_has_no_task_and_can_still_be_changed(visit: SalesforceVisit, maya: str) -> None:
    draft = visit.log(maya, Status="5").json["id"]

    changed = visit.call("PATCH", f"/sobjects/EmailMessage/{draft}", {"Subject": "Other"})
    [email] = visit.found(f"SELECT ActivityId, Subject FROM EmailMessage WHERE Id = '{draft}'")

    assert (changed.status, changed.body) == (204, b"")
    assert (email["ActivityId"], email["Subject"]) == (None, "Other")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"Subject": "Other"}, 400),
        ({"ToIds": []}, 400),
        ({"Status": "1"}, 400),
        ({"IsExternallyVisible": True}, 204),
    ],
)
def test_a_sent_email_cannot_be_changed(
    visit: SalesforceVisit, maya: str, changes: dict[str, object], status: int
) -> None:
    email = visit.log(maya).json["id"]

    answer = visit.call("PATCH", f"/sobjects/EmailMessage/{email}", changes)

    assert answer.status == status
    if status == 400:
        assert refused(answer) == (400, "INVALID_FIELD_FOR_INSERT_UPDATE")


def test_a_new_email_can_be_marked_as_read(visit: SalesforceVisit, maya: str) -> None:
    email = visit.log(maya, Status="0").json["id"]

    assert visit.call("PATCH", f"/sobjects/EmailMessage/{email}", {"Status": "1"}).status == 204
    assert visit.call("PATCH", f"/sobjects/EmailMessage/{email}", {"Status": "2"}).status == 400


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ActivityId": "00TgL0000000001UAA"}, (403, "INSUFFICIENT_ACCESS_OR_READONLY")),
        ({"Subject": "x" * 3001}, (400, "STRING_TOO_LONG")),
        ({"TextBody": "x" * 32_001}, (400, "STRING_TOO_LONG")),
        ({"FromAddress": "x" * 1001}, (400, "STRING_TOO_LONG")),
        ({"ToAddress": "x" * 4001}, (400, "STRING_TOO_LONG")),
        ({"MessageIdentifier": "x" * 256}, (400, "STRING_TOO_LONG")),
        ({"Status": "Sent"}, (400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST")),
        ({"MessageDate": "yesterday"}, (400, "JSON_PARSER_ERROR")),
        ({"MessageDate": "2026-11-22"}, (400, "JSON_PARSER_ERROR")),
        ({"Incoming": "false"}, (400, "JSON_PARSER_ERROR")),
        ({"Subject": 7}, (400, "JSON_PARSER_ERROR")),
        ({"ToIds": "003gL0000001006QAA"}, (400, "JSON_PARSER_ERROR")),
        ({"ToIds": ["maya@northwind.example"]}, (400, "MALFORMED_ID")),
        ({"ToIds": ["001gL0000001006QAA"]}, (400, "FIELD_INTEGRITY_EXCEPTION")),
        ({"ToIds": ["003gL0000009999AAA"]}, (400, "MALFORMED_ID")),
        ({"ToIds": ["003gL0000009999"]}, (400, "INVALID_CROSS_REFERENCE_KEY")),
        ({"Colour": "red"}, (400, "INVALID_FIELD")),
        ({"CreatedDate": "2026-11-22T12:00:00Z"}, (400, "INVALID_FIELD_FOR_INSERT_UPDATE")),
    ],
)
def test_an_email_that_is_not_as_it_must_be_is_refused(
    *,
    salesforce: SalesforceApp,
    visit: SalesforceVisit,
    maya: str,
    changes: dict[str, object],
    expected: tuple[int, str],
) -> None:
    assert refused(visit.log(maya, **changes)) == expected
    assert salesforce.box.world.ledger.records == ()


@pytest.mark.parametrize(
    "fields", [{"Subject": "x" * 3000}, {"HtmlBody": "x" * 32_000}, {"MessageIdentifier": "x" * 255}]
)
def test_what_just_fits_is_kept(visit: SalesforceVisit, maya: str, fields: dict[str, object]) -> None:
    assert visit.log(maya, **fields).status == 201


def test_an_email_about_a_deal_cannot_go_to_a_lead(visit: SalesforceVisit, maya: str) -> None:
    lead, deal = visit.id_of(LENA, "Lead"), opportunity(visit, maya)

    assert refused(visit.log(lead, RelatedToId=deal)) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert refused(visit.make("Task", WhoId=lead, WhatId=deal)) == (400, "FIELD_INTEGRITY_EXCEPTION")
    assert visit.log(lead).status == 201


def test_the_sender_is_related_afterwards(visit: SalesforceVisit, maya: str) -> None:
    [user] = visit.found(f"SELECT Id FROM User WHERE Email = '{DANA}' AND IsActive = true")
    email = visit.log(maya).json["id"]
    sender = {"EmailMessageId": email, "RelationType": "FromAddress", "RelationId": user["Id"]}

    assert visit.make("EmailMessageRelation", **sender, RelationAddress=DANA).status == 201
    assert refused(visit.make("EmailMessageRelation", **(sender | {"RelationType": "From"}))) == (
        *(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
    )
    assert refused(visit.make("EmailMessageRelation", RelationType="FromAddress")) == (
        *(400, "REQUIRED_FIELD_MISSING"),
    )


def test_an_org_without_enhanced_email_has_no_such_object(salesforce: SalesforceApp) -> None:
    visit = salesforce.visit(CONTOSO)
    lead = visit.make("Lead", LastName="Fischer", Company="Lichtung", Email=LENA).json["id"]

    assert refused(visit.log(lead)) == (404, "NOT_FOUND")
    assert refused(visit.query("SELECT Id FROM EmailMessage")) == (400, "INVALID_TYPE")
    named = {each["name"] for each in visit.call("GET", "/sobjects").json["sobjects"]}
    assert "EmailMessage" not in named
    assert "Task" in named
    task = visit.make(
        "Task",
        Subject="Email: Next steps",
        Status="Completed",
        TaskSubtype="Email",
        Priority="Normal",
        WhoId=lead,
        ActivityDate="2026-11-22",
        Description=f"As agreed. {MARKER}",
    )
    assert task.status == 201
    [logged] = salesforce.box.world.ledger.logged("salesforce", MARKER)
    assert (logged.kind, logged.record) == ("Task", task.json["id"])


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"Subject": "x" * 256}, "STRING_TOO_LONG"),
        ({"Description": "x" * 32_001}, "STRING_TOO_LONG"),
        ({"Status": "Done"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"TaskSubtype": "Mail"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"ActivityDate": "22.11.2026"}, "JSON_PARSER_ERROR"),
        ({"IsClosed": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ],
)
def test_a_task_that_is_not_as_it_must_be_is_refused(
    visit: SalesforceVisit, fields: dict[str, object], code: str
) -> None:
    assert refused(visit.make("Task", **fields)) == (400, code)


def test_the_kind_of_a_task_stays(visit: SalesforceVisit) -> None:
    path = f"/sobjects/Task/{visit.make('Task', TaskSubtype='Email').json['id']}"

    assert visit.call("PATCH", path, {"Status": "Completed"}).status == 204
    assert refused(visit.call("PATCH", path, {"TaskSubtype": "Call"}))[1] == "INVALID_FIELD_FOR_INSERT_UPDATE"


def test_a_status_that_closes_a_task_is_told_by_the_org(visit: SalesforceVisit) -> None:
    found = visit.found("SELECT MasterLabel FROM TaskStatus WHERE IsClosed = true")

    assert [each["MasterLabel"] for each in found] == ["Completed"]


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [
        ("Contact", {"Email": "ann@northwind.example"}, "REQUIRED_FIELD_MISSING"),
        ("Lead", {"LastName": "Ann"}, "REQUIRED_FIELD_MISSING"),
        ("Contact", {"LastName": "Ann", "Email": "nonsense"}, "INVALID_EMAIL_ADDRESS"),
        ("Contact", {"LastName": "Ann", "Name": "Ann"}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
    ],
)
def test_a_person_that_is_not_as_it_must_be_is_refused(
    visit: SalesforceVisit, kind: str, fields: dict[str, object], code: str
) -> None:
    assert refused(visit.make(kind, **fields)) == (400, code)


def test_several_people_may_share_an_address_unless_a_rule_keeps_them_out(
    salesforce: SalesforceApp, visit: SalesforceVisit
) -> None:
    assert visit.make("Contact", LastName="Twin", Email=MAYA.upper()).status == 201
    assert len(visit.found(f"SELECT Id FROM Contact WHERE Email = '{MAYA}'")) == 2

    salesforce.org.change({"blocks_duplicates": True})

    assert refused(visit.make("Contact", LastName="Triplet", Email=MAYA)) == (400, "DUPLICATES_DETECTED")


def test_a_record_is_read_changed_and_deleted(visit: SalesforceVisit, maya: str) -> None:
    path = f"/sobjects/Contact/{maya}"

    assert visit.call("GET", path).json["Name"] == "Maya Lindqvist"
    assert visit.call("PATCH", path, {"Title": "Chief"}).status == 204
    short = visit.call("GET", f"/sobjects/contact/{maya[:15]}?fields=Title,Id").json
    assert (short["Title"], short["Id"], "Name" in short) == ("Chief", maya, False)
    assert refused(visit.call("GET", f"{path}?fields=Colour")) == (400, "INVALID_FIELD")
    assert visit.call("DELETE", path).status == 204
    assert refused(visit.call("GET", path)) == (404, "ENTITY_IS_DELETED")
    assert visit.found(f"SELECT Id FROM Contact WHERE Id = '{maya}'") == []


@pytest.mark.parametrize("path", ["/sobjects/Contact/nonsense", "/sobjects/Cat/003gL0000001006QAA"])
def test_what_is_not_there_is_not_found(visit: SalesforceVisit, path: str) -> None:
    assert refused(visit.call("GET", path)) == (404, "NOT_FOUND")


def test_what_an_app_may_not_make_is_refused(visit: SalesforceVisit) -> None:
    assert refused(visit.make("User", Email=MAYA)) == (403, "INSUFFICIENT_ACCESS")


@pytest.mark.parametrize("body", ["not json", []])
def test_a_body_that_is_none_is_refused(visit: SalesforceVisit, body: object) -> None:
    assert refused(visit.call("POST", "/sobjects/Task", body)) == (400, "JSON_PARSER_ERROR")


def test_an_object_describes_itself(visit: SalesforceVisit) -> None:
    told = visit.call("GET", "/sobjects/EmailMessage/describe").json
    fields = {each["name"]: each for each in told["fields"]}

    assert (fields["Subject"]["length"], fields["CreatedDate"]["createable"]) == (3000, False)
    assert [each["value"] for each in fields["Status"]["picklistValues"]] == list("012345")


def test_versions_are_told_without_a_token_and_an_unknown_one_is_not_there(visit: SalesforceVisit) -> None:
    versions = call("GET", f"{visit.instance_url}/services/data").json

    assert versions[-1] == {"label": "Winter '27", "url": "/services/data/v68.0", "version": "68.0"}
    unknown = call("GET", f"{visit.instance_url}/services/data/v99.0/limits", headers=bearer(visit.token))
    assert refused(unknown) == (404, "NOT_FOUND")


def test_a_day_has_so_many_calls(salesforce: SalesforceApp, visit: SalesforceVisit) -> None:
    salesforce.org.change({"daily_requests": 2})

    first = visit.call("GET", "/limits")
    visit.call("GET", "/limits")
    over = visit.log()

    assert first.json == {"DailyApiRequests": {"Max": 2, "Remaining": 1}}
    assert first.headers["Sforce-Limit-Info"] == "api-usage=1/2"
    assert refused(over) == (403, "REQUEST_LIMIT_EXCEEDED")
    salesforce.box.world.clock.advance(86_400)
    assert salesforce.visit().call("GET", "/limits").status == 200


@pytest.mark.parametrize("token", ["", "made-up"])
def test_without_a_session_nothing_is_told(visit: SalesforceVisit, token: str) -> None:
    answer = SalesforceVisit(visit.instance_url, token).query("SELECT Id FROM User")

    assert refused(answer) == (401, "INVALID_SESSION_ID")


@pytest.mark.parametrize(("name", "failure"), WRITE_FAILURES.items())
def test_a_person_whose_writes_fail_can_still_read(
    salesforce: SalesforceApp, visit: SalesforceVisit, name: str, failure: Failure
) -> None:
    salesforce.box.world.accounts.at(Vendor.SALESFORCE, DANA).switches.at_send = name

    assert refused(visit.log()) == (failure.status, failure.code)
    assert salesforce.box.world.ledger.records == ()
    assert visit.id_of(MAYA)


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("refused_401", 401, "INVALID_SESSION_ID"),
        ("refused_429", 429, "TOO_MANY_REQUESTS"),
        ("refused_500", 500, "UNKNOWN_EXCEPTION"),
        ("refused_502", 502, "<html>"),
        ("refused_503", 503, "SERVER_UNAVAILABLE"),
        ("missing_scope", 403, "INSUFFICIENT_ACCESS"),
        ("locked", 400, "UNABLE_TO_LOCK_ROW"),
        ("migrating", 503, "MAINTENANCE"),
        ("limit_exceeded", 403, "REQUEST_LIMIT_EXCEEDED"),
    ],
)
def test_a_fault_before_logging_writes_nothing(
    *, salesforce: SalesforceApp, visit: SalesforceVisit, kind: str, status: int, says: str
) -> None:
    salesforce.box.world.faults.arm(
        Fault(kind=kind, vendor=Vendor.SALESFORCE, endpoint=Endpoint.LOG, account=DANA)
    )

    answer = visit.log()

    assert (answer.status, says in answer.text) == (status, True)
    assert salesforce.box.world.ledger.records == ()
    assert visit.log().status == 201


@pytest.mark.parametrize("kind", ["reset_after_acceptance", "error_503_after_acceptance"])
def test_a_fault_after_logging_leaves_one_email_that_can_be_found(
    salesforce: SalesforceApp, visit: SalesforceVisit, maya: str, kind: str
) -> None:
    salesforce.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.SALESFORCE, endpoint=Endpoint.LOG))

    if kind.startswith("reset"):
        with pytest.raises(ConnectionResetError):
            visit.log(maya)
    else:
        assert visit.log(maya).status == 503

    [logged] = salesforce.box.world.ledger.logged("salesforce", MARKER)
    [found] = visit.found(f"SELECT Id FROM EmailMessage WHERE MessageIdentifier = '{MARKER}'")
    assert found["Id"] == logged.record


@pytest.mark.parametrize(
    ("kind", "endpoint", "status"),
    [
        ("invalid_grant", Endpoint.TOKEN, 400),
        ("invalid_client", Endpoint.TOKEN, 400),
        ("refused_503", Endpoint.TOKEN, 503),
        ("html", Endpoint.TOKEN, 200),
    ],
)
def test_the_token_endpoint_can_fail(
    salesforce: SalesforceApp, kind: str, endpoint: Endpoint, status: int
) -> None:
    refresh_token: Any = salesforce.connect()["refresh_token"]
    salesforce.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.SALESFORCE, endpoint=endpoint))

    assert salesforce.refresh(refresh_token).status == status
    assert salesforce.refresh(refresh_token).status == 200


def test_a_switch_that_an_org_does_not_have_cannot_be_set(salesforce: SalesforceApp) -> None:
    for changes in ({"colour": "red"}, {"enhanced_email": "no"}):
        with pytest.raises(ValueError, match=r"."):
            salesforce.org.change(json.loads(json.dumps(changes)))


def test_writing_takes_the_time_that_is_set(salesforce: SalesforceApp, visit: SalesforceVisit) -> None:
    salesforce.box.world.settings[Vendor.SALESFORCE].send_latency_seconds = 0.01

    assert visit.log().status == 201
