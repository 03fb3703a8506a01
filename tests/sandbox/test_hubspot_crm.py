import json
from typing import Any
from urllib.parse import quote

import pytest

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.hubspot_errors import WRITE_FAILURES
from support.hubspot_app import DANA, DATED, MAYA, SCOPES, HubSpotApp, HubSpotVisit, email
from support.plain_http import Answer

MARKER = "<first@brightwave.example>"
EVERY_ROOT = ["/crm/objects/2025-09", "/crm/objects/2026-03", DATED, "/crm/v3/objects"]


@pytest.fixture
def visit(hubspot: HubSpotApp) -> HubSpotVisit:
    """Dana's connection to Brightwave's portal, with every scope that logging takes."""
    return hubspot.visit()


def refused(answer: Answer) -> tuple[int, str]:
    """Status and category; what every error has is checked on the way."""
    body = answer.json
    assert body["status"] == "error"
    assert body["message"]
    assert body["correlationId"]
    return answer.status, body.get("category", "")


def property_error(answer: Answer) -> tuple[int, str, str]:
    [error] = answer.json["errors"]
    assert refused(answer) == (400, "VALIDATION_ERROR")
    return answer.status, error["code"], error["context"]["propertyName"][0]


def search(visit: HubSpotVisit, kind: str, *filters: tuple[str, str, str], **more: object) -> Answer:
    listed = [
        {"propertyName": name, "operator": operator, "value": value} for name, operator, value in filters
    ]
    body = {"filterGroups": [{"filters": listed}] if listed else [], **more}
    return visit.call("POST", f"{DATED}/{kind}/search", body)


@pytest.mark.parametrize("root", EVERY_ROOT)
def test_an_email_is_logged_on_a_contact_at_every_version(visit: HubSpotVisit, root: str) -> None:
    body = {"properties": email(), "associations": []}
    made = visit.call("POST", f"{root}/emails", body)
    read = visit.call("GET", f"{root}/emails/{made.json['id']}?properties=hs_email_subject,hs_email_to_email")

    assert made.status == 201
    assert made.json.keys() == {"id", "properties", "createdAt", "updatedAt", "archived"}
    assert made.json["properties"]["hs_timestamp"] == "2026-11-22T12:00:00.000Z"
    assert read.json["properties"]["hs_email_subject"] == "Next steps"
    assert read.json["properties"]["hs_email_to_email"] == MAYA
    assert "hs_email_text" not in read.json["properties"]


def test_the_ledger_has_a_logged_email_under_its_marker(hubspot: HubSpotApp, visit: HubSpotVisit) -> None:
    made = visit.log(visit.contact()).json
    visit.log(hs_email_headers=None, hs_email_text=f"As agreed. {MARKER}")
    visit.log(hs_email_headers=None)

    first, second = hubspot.box.world.ledger.logged("hubspot", MARKER)

    assert (first.kind, first.record, first.account, first.tenant) == (
        *("emails", made["id"], DANA),
        "24681357",
    )
    assert (first.n, second.n) == (1, 2)
    assert hubspot.box.world.ledger.logged("salesforce", MARKER) == []
    assert len(hubspot.box.world.ledger) == 0


def test_milliseconds_are_a_timestamp_too(visit: HubSpotVisit) -> None:
    made = visit.log(hs_timestamp=1795348800000).json

    assert made["properties"]["hs_timestamp"] == "2026-11-22T12:00:00.000Z"


@pytest.mark.parametrize(
    ("changes", "code", "name"),
    [
        ({"hs_email_direction": "OUTBOUND"}, "INVALID_OPTION", "hs_email_direction"),
        ({"hs_email_status": "DELIVERED"}, "INVALID_OPTION", "hs_email_status"),
        ({"hs_timestamp": "yesterday"}, "INVALID_DATE", "hs_timestamp"),
        ({"hs_timestamp": "2026-11-22T12:00:00"}, "INVALID_DATE", "hs_timestamp"),
        ({"hs_email_headers": "{'from': 1}"}, "INVALID_JSON", "hs_email_headers"),
        ({"hs_email_headers": "[]"}, "INVALID_JSON", "hs_email_headers"),
        ({"hs_email_headers": '{"to": {"email": "a@b.example"}}'}, "INVALID_JSON", "hs_email_headers"),
        ({"hubspot_owner_id": "5550101"}, "INVALID_OWNER_ID", "hubspot_owner_id"),
        ({"hs_email_colour": "red"}, "PROPERTY_DOESNT_EXIST", "hs_email_colour"),
    ],
)
def test_a_property_that_is_not_valid_is_named(
    visit: HubSpotVisit, changes: dict[str, object], code: str, name: str
) -> None:
    assert property_error(visit.log(**changes)) == (400, code, name)


def test_headers_must_be_json_in_a_string_and_not_an_object(visit: HubSpotVisit) -> None:
    answer = visit.log(hs_email_headers={"from": {"email": DANA}})

    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert "hs_email_headers" in answer.json["message"]


def test_an_email_without_a_time_is_refused(visit: HubSpotVisit) -> None:
    answer = visit.log(hs_timestamp=None)

    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json["errors"][0]["context"]["properties"] == ["hs_timestamp"]


def test_sender_and_recipients_come_from_the_headers_and_writing_them_does_nothing(
    visit: HubSpotVisit,
) -> None:
    headers = {"from": {"email": DANA}, "to": [{"email": MAYA}, {"email": "bob@northwind.example"}]}
    made = visit.log(hs_email_headers=json.dumps(headers), hs_email_from_email="evil@x.example").json

    assert made["properties"]["hs_email_from_email"] == DANA
    assert made["properties"]["hs_email_to_email"] == f"{MAYA};bob@northwind.example"


@pytest.mark.parametrize(
    ("link", "sub_category"),
    [
        ((197, "contact"), "INVALID_ASSOCIATION_TYPE"),
        ((279, "contact"), "INVALID_ASSOCIATION_TYPE"),
        ((198, "1"), "INVALID_OBJECT_ID"),
    ],
)
def test_an_association_of_the_wrong_direction_or_to_nothing_is_refused(
    visit: HubSpotVisit, link: tuple[int, str], sub_category: str
) -> None:
    number, target = link
    spec = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": number}
    other = visit.contact() if target == "contact" else target
    body = {"properties": email(), "associations": [{"to": {"id": other}, "types": [spec]}]}

    answer = visit.call("POST", f"{DATED}/emails", body)

    assert refused(answer) == (400, "VALIDATION_ERROR")
    assert answer.json["subCategory"].endswith(sub_category)


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"properties": []}'])
def test_a_body_that_is_none_is_refused(hubspot: HubSpotApp, visit: HubSpotVisit, body: bytes) -> None:
    given = json.loads(body) if body.startswith(b"{") else body.decode()

    assert refused(visit.call("POST", f"{DATED}/emails", given)) == (400, "VALIDATION_ERROR")
    assert hubspot.box.world.ledger.records == ()


def test_an_email_is_changed_and_archived(visit: HubSpotVisit) -> None:
    path = f"{DATED}/emails/{visit.log().json['id']}"

    changed = visit.call("PATCH", path, {"properties": {"hs_email_subject": "Other"}})
    gone = visit.call("DELETE", path)

    assert changed.json["properties"]["hs_email_subject"] == "Other"
    assert gone.status == 204
    assert refused(visit.call("GET", path)) == (404, "OBJECT_NOT_FOUND")
    assert refused(visit.call("PATCH", path, {"properties": {}})) == (404, "OBJECT_NOT_FOUND")
    assert visit.call("DELETE", path).status == 204


def test_a_contact_is_found_by_its_primary_address_whatever_the_case(visit: HubSpotVisit) -> None:
    path = f"{DATED}/contacts/{quote(MAYA.upper())}?idProperty=email&properties=firstname"

    assert visit.call("GET", path).json["properties"]["firstname"] == "Maya"


@pytest.mark.parametrize("address", ["maya@northwind.example", "nobody@northwind.example"])
def test_a_further_address_finds_nobody(visit: HubSpotVisit, address: str) -> None:
    by_id = visit.call("GET", f"{DATED}/contacts/{address}?idProperty=email")

    assert refused(by_id) == (404, "OBJECT_NOT_FOUND")
    assert search(visit, "contacts", ("email", "EQ", address)).json["total"] == 0


def test_a_further_address_is_found_where_it_stands(visit: HubSpotVisit) -> None:
    found = search(visit, "contacts", ("hs_additional_emails", "CONTAINS_TOKEN", "maya@northwind.example"))

    assert [each["id"] for each in found.json["results"]] == [visit.contact()]


@pytest.mark.parametrize("address", [MAYA, MAYA.upper(), "maya@northwind.example"])
def test_an_address_that_is_taken_is_a_conflict_that_names_the_other(
    visit: HubSpotVisit, address: str
) -> None:
    answer = visit.call("POST", f"{DATED}/contacts", {"properties": {"email": address}})

    assert refused(answer) == (409, "CONFLICT")
    assert answer.json["message"] == f"Contact already exists. Existing ID: {visit.contact()}"


def test_a_contact_is_made_once_and_is_in_the_ledger(hubspot: HubSpotApp, visit: HubSpotVisit) -> None:
    body = {"properties": {"email": "o'brien@northwind.example", "lastname": "O'Brien"}}
    made = visit.call("POST", f"{DATED}/contacts", body)

    assert made.status == 201
    assert visit.call("POST", f"{DATED}/contacts", body).status == 409
    assert visit.contact("o'brien@northwind.example") == made.json["id"]
    [logged] = hubspot.box.world.ledger.logged("hubspot", "o'brien@northwind.example")
    assert (logged.kind, logged.record) == ("contacts", made.json["id"])


def test_a_contact_with_a_broken_address_is_refused(visit: HubSpotVisit) -> None:
    answer = visit.call("POST", f"{DATED}/contacts", {"properties": {"email": "not an address"}})

    assert property_error(answer) == (400, "INVALID_EMAIL", "email")


def test_a_contact_cannot_take_the_address_of_another(visit: HubSpotVisit) -> None:
    other = visit.contact("priya.raman@heliotrope.example")

    answer = visit.call("PATCH", f"{DATED}/contacts/{other}", {"properties": {"email": MAYA}})

    assert refused(answer) == (409, "CONFLICT")


def test_search_finds_what_is_new_only_after_a_while(hubspot: HubSpotApp, visit: HubSpotVisit) -> None:
    hubspot.box.world.hubspot.change({"search_lag_seconds": 30.0})
    address = "new@northwind.example"
    made = visit.call("POST", f"{DATED}/contacts", {"properties": {"email": address}}).json["id"]

    assert visit.contact(address) == made
    assert search(visit, "contacts", ("email", "EQ", address)).json["total"] == 0
    assert search(visit, "contacts", ("email", "EQ", MAYA)).json["total"] == 1
    hubspot.box.world.clock.advance(31)
    assert search(visit, "contacts", ("email", "EQ", address)).json["results"][0]["id"] == made


def test_emails_are_searched_by_contact_and_time_in_order(visit: HubSpotVisit) -> None:
    maya = visit.contact()
    for hour in ("09", "12", "15"):
        visit.log(maya, hs_timestamp=f"2026-11-22T{hour}:00:00Z", hs_email_subject=hour)
    visit.log()

    found = search(
        visit,
        "emails",
        ("associations.contact", "EQ", maya),
        ("hs_timestamp", "GTE", "1795345200000"),
        properties=["hs_email_subject"],
        sorts=["-hs_timestamp"],
    ).json

    assert [each["properties"]["hs_email_subject"] for each in found["results"]] == ["15", "12"]


def test_a_search_comes_in_pages(visit: HubSpotVisit) -> None:
    first = search(visit, "contacts", limit=2).json
    second = search(visit, "contacts", limit=2, after=first["paging"]["next"]["after"]).json

    assert (first["total"], len(first["results"]), len(second["results"])) == (3, 2, 1)
    assert "paging" not in second


@pytest.mark.parametrize(
    "body",
    [
        {"filterGroups": [{"filters": []}] * 6},
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "HAS_PROPERTY"}] * 7}]},
        {"filterGroups": [{"filters": [{"propertyName": "email"}]}]},
        {"filterGroups": [{"filters": [{"propertyName": "email", "operator": "IS"}]}]},
        {"filterGroups": ["email"]},
        {"limit": 201},
        {"after": "soon"},
        {"query": "x" * 3001},
    ],
)
def test_a_search_that_makes_no_sense_is_refused(visit: HubSpotVisit, body: dict[str, Any]) -> None:
    assert refused(visit.call("POST", f"{DATED}/contacts/search", body)) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    ("operator", "more", "total"),
    [
        ("NEQ", {"value": "Maya"}, 2),
        ("IN", {"values": ["Maya", "Priya"]}, 2),
        ("NOT_IN", {"values": ["Maya", "Priya"]}, 1),
        ("HAS_PROPERTY", {}, 3),
        ("NOT_HAS_PROPERTY", {}, 0),
        ("BETWEEN", {"value": "N", "highValue": "Q"}, 1),
        ("GT", {"value": "Maya"}, 2),
        ("LT", {"value": "Maya"}, 0),
        ("LTE", {"value": "Maya"}, 1),
    ],
)
def test_every_operator_compares(
    visit: HubSpotVisit, operator: str, more: dict[str, object], total: int
) -> None:
    one = {"propertyName": "firstname", "operator": operator, **more}

    answer = visit.call("POST", f"{DATED}/contacts/search", {"filterGroups": [{"filters": [one]}]})

    assert answer.json["total"] == total


def test_a_person_has_a_company_and_an_open_deal(visit: HubSpotVisit) -> None:
    maya = visit.contact()
    [company] = visit.call("GET", f"{DATED}/contacts/{maya}/associations/companies").json["results"]
    [deal] = visit.call("GET", f"{DATED}/contacts/{maya}/associations/deals").json["results"]
    read = visit.call(
        "GET", f"{DATED}/deals/{deal['toObjectId']}?properties=dealname,hs_is_closed&associations=contacts"
    ).json

    assert [each["typeId"] for each in company["associationTypes"]] == [1, 279]
    assert read["properties"]["dealname"] == "Northwind: pilot in Malmö"
    assert read["properties"]["hs_is_closed"] == "false"
    assert read["associations"]["contacts"]["results"] == [{"id": maya, "type": "deals_to_contacts"}]


@pytest.mark.parametrize("root", [*EVERY_ROOT[:3], "/crm/v4/objects"])
def test_an_email_is_associated_afterwards_without_knowing_ids_of_types(
    visit: HubSpotVisit, root: str
) -> None:
    maya, logged = visit.contact(), visit.log().json["id"]
    path = f"{root}/emails/{logged}/associations/default/contacts/{maya}"

    put = visit.call("PUT", path)
    again = visit.call("PUT", path)
    listed = visit.call("GET", f"{root}/contacts/{maya}/associations/emails").json["results"]

    assert (put.status, again.status) == (200, 200)
    assert [each["associationSpec"]["associationTypeId"] for each in put.json["results"]] == [198, 197]
    assert [each["toObjectId"] for each in listed] == [logged]
    assert visit.call("DELETE", path.replace("/default", "")).status == 204
    assert visit.call("GET", f"{root}/contacts/{maya}/associations/emails").json["results"] == []


def test_types_may_be_written_by_number(visit: HubSpotVisit) -> None:
    assert visit.call("GET", f"{DATED}/0-1/{visit.contact()}").status == 200
    assert refused(visit.call("GET", f"{DATED}/0-99/1")) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "path",
    [
        "emails/1/associations/default/contacts/1",
        "contacts/1/associations/default/contacts/1",
        "emails/1/associations/default/cats/1",
    ],
)
def test_what_cannot_be_associated_is_refused(visit: HubSpotVisit, path: str) -> None:
    assert refused(visit.call("PUT", f"{DATED}/{path}"))[0] in (400, 404)


def test_an_owner_is_found_by_address_and_is_not_a_user(visit: HubSpotVisit) -> None:
    [owner] = visit.call("GET", f"/crm/owners/2026-09?email={quote(DANA)}").json["results"]

    assert (owner["id"], owner["userId"]) == ("71230001", 5550101)
    assert visit.call("GET", f"/crm/owners/2026-09/{owner['id']}").json == owner
    assert visit.call("GET", "/crm/v3/owners/?email=nobody@x.example").json["results"] == []
    assert visit.call("GET", "/crm/owners/2026-09/5550101").status == 404
    assert visit.log(hubspot_owner_id=owner["id"]).status == 201


@pytest.mark.parametrize(
    ("without", "call", "named"),
    [
        ("crm.objects.contacts.write", ("POST", f"{DATED}/contacts"), "crm.objects.contacts.write"),
        ("sales-email-read", ("POST", f"{DATED}/emails"), "sales-email-read"),
        ("crm.objects.contacts.read", ("GET", f"{DATED}/contacts"), "crm.objects.contacts.read"),
        ("crm.objects.deals.read", ("GET", f"{DATED}/deals"), "crm.objects.deals.read"),
        ("crm.objects.owners.read", ("GET", "/crm/owners/2026-09"), "crm.objects.owners.read"),
    ],
)
def test_a_scope_that_was_not_granted_is_named(
    hubspot: HubSpotApp, without: str, call: tuple[str, str], named: str
) -> None:
    visit = hubspot.visit(scope=SCOPES.replace(without, "oauth"))

    answer = visit.call(*call, {"properties": {}} if call[0] == "POST" else None)

    assert refused(answer) == (403, "MISSING_SCOPES")
    assert answer.json["errors"][0]["context"]["requiredGranularScopes"] == [named]


def test_without_leave_to_read_emails_their_contents_do_not_come(
    hubspot: HubSpotApp, visit: HubSpotVisit
) -> None:
    logged = visit.log().json["id"]
    blind = hubspot.visit(scope=SCOPES.replace("sales-email-read", "oauth"))

    read = blind.call("GET", f"{DATED}/emails/{logged}?properties=hs_email_text,hs_email_status").json

    assert read["properties"]["hs_email_text"] is None
    assert read["properties"]["hs_email_status"] == "SENT"


def test_another_portal_knows_nothing_of_this_one(hubspot: HubSpotApp, visit: HubSpotVisit) -> None:
    other = hubspot.visit("dana.reyes@contoso.example")

    assert other.call("GET", f"{DATED}/contacts").json["results"] == []
    assert other.call("GET", f"{DATED}/contacts/{visit.contact()}").status == 404


def test_calls_are_limited_in_ten_seconds_and_search_has_a_limit_of_its_own(
    hubspot: HubSpotApp, visit: HubSpotVisit
) -> None:
    hubspot.box.world.hubspot.change({"calls_per_10_seconds": 2, "searches_per_second": 1})
    path = f"{DATED}/contacts"

    fine, last, limited = (visit.call("GET", path) for _ in range(3))
    searched, too_fast = (search(visit, "contacts") for _ in range(2))

    assert [each.headers["X-HubSpot-RateLimit-Remaining"] for each in (fine, last)] == ["1", "0"]
    assert (limited.status, limited.json["errorType"], limited.json["policyName"]) == (
        *(429, "RATE_LIMIT"),
        "TEN_SECONDLY_ROLLING",
    )
    assert "Retry-After" not in limited.headers
    assert (searched.status, "X-HubSpot-RateLimit-Max" in searched.headers) == (200, False)
    assert (too_fast.status, too_fast.json["policyName"]) == (429, "SECONDLY")
    hubspot.box.world.clock.advance(11)
    assert visit.call("GET", path).status == 200


def test_a_batch_of_contacts_may_succeed_in_part(hubspot: HubSpotApp, visit: HubSpotVisit) -> None:
    good, bad = {"email": "a@northwind.example"}, {"email": "nonsense"}
    whole = visit.call("POST", f"{DATED}/contacts/batch/create", {"inputs": [{"properties": good}]})
    part = visit.call(
        "POST",
        f"{DATED}/contacts/batch/upsert",
        {
            "inputs": [
                {"id": good["email"], "idProperty": "email", "properties": {"firstname": "Ann"}},
                {"id": "b@northwind.example", "idProperty": "email", "properties": {}},
                {"id": "nonsense", "idProperty": "email", "properties": bad},
                {"id": "1", "idProperty": "hs_object_id", "properties": {}},
            ]
        },
    )
    read = visit.call(
        "POST",
        f"{DATED}/contacts/batch/read",
        {"inputs": [{"id": MAYA}, {"id": "nobody@x.example"}], "idProperty": "email", "properties": []},
    )

    assert (whole.status, part.status, read.status) == (201, 207, 207)
    assert [each["new"] for each in part.json["results"]] == [False, True]
    assert (part.json["numErrors"], len(part.json["errors"])) == (2, 2)
    assert [each["properties"]["email"] for each in read.json["results"]] == [MAYA]
    assert len(hubspot.box.world.ledger.records) == 2
    assert visit.call("POST", f"{DATED}/contacts/batch/create", {"inputs": []}).status == 400


@pytest.mark.parametrize("token", ["", "made-up"])
def test_without_a_token_nothing_is_told(hubspot: HubSpotApp, token: str) -> None:
    answer = HubSpotVisit(hubspot.box, token).call("GET", f"{DATED}/contacts")

    assert refused(answer) == (401, "INVALID_AUTHENTICATION")


@pytest.mark.parametrize(("name", "failure"), WRITE_FAILURES.items())
def test_a_person_whose_writes_fail_can_still_read(
    hubspot: HubSpotApp, visit: HubSpotVisit, name: str, failure: Any
) -> None:
    hubspot.box.world.accounts.at(Vendor.HUBSPOT, DANA).switches.at_send = name

    assert visit.log().status == failure.status
    assert hubspot.box.world.ledger.records == ()
    assert visit.contact()


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("refused_401", 401, "EXPIRED_AUTHENTICATION"),
        ("refused_429", 429, "TEN_SECONDLY_ROLLING"),
        ("refused_500", 500, "internal"),
        ("refused_502", 502, "<html>"),
        ("missing_scope", 403, "MISSING_SCOPES"),
        ("locked", 423, "locked"),
        ("migrating", 477, "migrated"),
        ("limit_exceeded", 429, "DAILY"),
        ("html", 200, "<html>"),
    ],
)
def test_a_fault_before_logging_writes_nothing(
    hubspot: HubSpotApp, visit: HubSpotVisit, kind: str, status: int, says: str
) -> None:
    hubspot.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.HUBSPOT, endpoint=Endpoint.LOG, account=DANA))

    answer = visit.log()

    assert answer.status == status
    assert says in answer.text
    assert ("Retry-After" in answer.headers) == (kind == "migrating")
    assert hubspot.box.world.ledger.records == ()
    assert visit.log().status == 201


@pytest.mark.parametrize("kind", ["reset_after_acceptance", "error_503_after_acceptance"])
def test_a_fault_after_logging_leaves_one_email_in_the_ledger(
    hubspot: HubSpotApp, visit: HubSpotVisit, kind: str
) -> None:
    hubspot.box.world.faults.arm(Fault(kind=kind, vendor=Vendor.HUBSPOT, endpoint=Endpoint.LOG))
    maya = visit.contact()

    if kind.startswith("reset"):
        with pytest.raises(ConnectionResetError):
            visit.log(maya)
    else:
        assert visit.log(maya).status == 503

    [logged] = hubspot.box.world.ledger.logged("hubspot", MARKER)
    listed = visit.call("GET", f"{DATED}/contacts/{maya}/associations/emails").json["results"]
    assert [each["toObjectId"] for each in listed] == [logged.record]


def test_a_fault_in_looking_up_spares_logging(hubspot: HubSpotApp, visit: HubSpotVisit) -> None:
    hubspot.box.world.faults.arm(Fault(kind="refused_503", vendor=Vendor.HUBSPOT, endpoint=Endpoint.FIND))

    assert visit.log().status == 201
    assert visit.call("GET", f"{DATED}/contacts").status == 503


def test_everything_takes_the_time_that_is_set(hubspot: HubSpotApp, visit: HubSpotVisit) -> None:
    hubspot.box.world.faults.arm(
        Fault(kind="slow", vendor=Vendor.HUBSPOT, endpoint=Endpoint.LOG, delay_seconds=0.01)
    )
    hubspot.box.world.settings[Vendor.HUBSPOT].send_latency_seconds = 0.01

    assert visit.log().status == 201
    assert [strike.kind for strike in hubspot.box.world.faults.strikes] == ["slow"]
