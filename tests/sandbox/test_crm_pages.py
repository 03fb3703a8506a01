from urllib.parse import urlsplit

import pytest

from support.hubspot_app import HubSpotApp
from support.plain_http import Answer, call
from support.salesforce_app import CONTOSO, LENA, MAYA, SalesforceApp

PORTAL = "/crm/hubspot/24681357"
ORG = "/crm/salesforce/00DgL0000000001UAA"


def get(app: HubSpotApp | SalesforceApp, path: str) -> Answer:
    return call("GET", app.box.base_url + path)


@pytest.fixture
def logged(hubspot: HubSpotApp) -> str:
    """The path of the page of the contact that an email was logged on, at HubSpot."""
    visit = hubspot.visit()
    maya = visit.contact()
    visit.log(maya, hs_email_subject="Crème <script>alert(1)</script>", hubspot_owner_id="71230001")
    return f"/contacts/24681357/record/0-1/{maya}"


def test_the_front_page_leads_to_every_portal_and_org(hubspot: HubSpotApp) -> None:
    front = get(hubspot, "/").text

    for path in (PORTAL, ORG, "/crm/hubspot/13572468", "/crm/salesforce/00DgL0000000002UAA"):
        assert f'href="{path}"' in front
        assert get(hubspot, path).status == 200
    assert "Brightwave" in get(hubspot, "/crm").text


def test_a_portal_says_who_logged_what_on_whom(hubspot: HubSpotApp, logged: str) -> None:
    page = get(hubspot, PORTAL).text

    assert "Crème &lt;script&gt;" in page
    assert "<script" not in page
    assert "by dana.reyes@brightwave.example" in page
    assert "22 Nov 2026 12:00 UTC" in page
    assert f'href="{logged}">Maya Lindqvist</a>' in page
    assert "&lt;first@brightwave.example&gt;" in page
    assert "As agreed." in page


def test_the_page_of_a_contact_has_its_emails_its_company_and_its_deal(
    hubspot: HubSpotApp, logged: str
) -> None:
    page = get(hubspot, logged).text

    assert "Crème &lt;script&gt;" in page
    assert "Northwind: pilot in Malmö" in page
    assert "/record/0-2/" in page
    assert "Owner</dt><dd>Dana Reyes" in page


def test_an_email_has_a_page_too_and_shows_on_the_deal_that_it_is_put_on(hubspot: HubSpotApp) -> None:
    visit = hubspot.visit()
    [deal] = visit.call("GET", f"/crm/v4/objects/contacts/{visit.contact()}/associations/deals").json[
        "results"
    ]
    email = visit.log(hs_email_text=None, hs_email_html="<p>From <b>HTML</b></p>").json["id"]
    visit.call("PUT", f"/crm/v4/objects/emails/{email}/associations/default/deals/{deal['toObjectId']}")

    assert "From HTML" in get(hubspot, f"/contacts/24681357/record/0-49/{email}").text
    assert "Next steps" in get(hubspot, f"/contacts/24681357/record/0-3/{deal['toObjectId']}").text


def test_a_new_contact_is_on_the_timeline(hubspot: HubSpotApp, salesforce: SalesforceApp) -> None:
    body = {"properties": {"email": "ann@x.example"}}
    made = hubspot.visit().call("POST", "/crm/v3/objects/contacts", body).json["id"]
    person = salesforce.visit().make("Contact", LastName="Nguyen").json["id"]

    assert "Contact created" in get(hubspot, PORTAL).text
    assert "ann@x.example" in get(hubspot, f"/contacts/24681357/record/0-1/{made}").text
    assert "Contact created" in get(salesforce, ORG).text
    assert "Nguyen" in get(salesforce, f"/salesforce/brightwave/lightning/r/Contact/{person}/view").text


def test_an_org_shows_an_email_once_on_everything_that_it_lies_on(salesforce: SalesforceApp) -> None:
    visit = salesforce.visit()
    maya = visit.id_of(MAYA)
    [role] = visit.found(f"SELECT OpportunityId FROM OpportunityContactRole WHERE ContactId = '{maya}'")
    email = visit.log(maya, RelatedToId=role["OpportunityId"]).json["id"]
    pages = [
        f"{visit.instance_url}/lightning/r/{kind}/{record}/view"
        for kind, record in (
            *(("Contact", maya), ("Opportunity", role["OpportunityId"])),
            ("EmailMessage", email),
        )
    ]

    for url in pages:
        page = call("GET", url).text
        assert page.count("<h3>Next steps</h3>") == 1, url
        assert "by dana.reyes@brightwave.example" in page
    timeline = get(salesforce, ORG).text
    assert timeline.count("<h3>") == 1
    assert urlsplit(pages[0]).path in timeline
    assert "Northwind: pilot in Malmö" in call("GET", pages[0]).text


def test_a_task_that_the_app_made_is_on_the_timeline(salesforce: SalesforceApp) -> None:
    visit = salesforce.visit(CONTOSO)
    lead = visit.make("Lead", LastName="Fischer", Company="Lichtung", Email=LENA).json["id"]
    visit.make("Task", Subject="Email: Next steps", WhoId=lead, Description="As agreed.", Status="Completed")

    page = call("GET", f"{visit.instance_url}/lightning/r/Lead/{lead[:15]}/view").text

    assert "Email: Next steps" in page
    assert "As agreed." in page


@pytest.mark.parametrize(
    "path",
    [
        "/crm/hubspot/1",
        "/crm/salesforce/1",
        "/contacts/24681357/record/0-1/1",
        "/contacts/24681357/record/0-9/1",
        "/contacts/1/record/0-1/1",
        "/salesforce/brightwave/lightning/r/Contact/003gL0000009999AAA/view",
        "/salesforce/nowhere/lightning/r/Contact/003gL0000001006QAA/view",
    ],
)
def test_what_is_not_there_is_not_found(hubspot: HubSpotApp, path: str) -> None:
    assert get(hubspot, path).status == 404


def test_search_is_let_lag_on_the_page_of_faults(hubspot: HubSpotApp) -> None:
    offered = get(hubspot, "/faults").text
    assert "Search finds a new record" in offered
    assert "HubSpot accepts the record, then the connection breaks" in offered
    assert "Salesforce says that today&#39;s calls are used up" in offered

    form = {"vendor": "hubspot", "seconds": "60"}
    assert call("POST", f"{hubspot.box.base_url}/faults/lag", form=form).status == 302
    assert hubspot.box.world.hubspot.search_lag_seconds == 60
    for wrong in ({"vendor": "salesforce", "seconds": "3"}, {"vendor": "hubspot", "seconds": "601"}):
        assert call("POST", f"{hubspot.box.base_url}/faults/lag", form=wrong).status == 400


def control(app: HubSpotApp, method: str, path: str, body: object = None) -> Answer:
    return call(method, f"{app.box.base_url}/_sandbox{path}", json_body=body)


def test_what_was_written_can_be_read_by_its_marker(hubspot: HubSpotApp, salesforce: SalesforceApp) -> None:
    hubspot.visit().log()
    visit = salesforce.visit()
    visit.log(visit.id_of(MAYA))

    everything = control(hubspot, "GET", "/records").json
    [mine] = control(hubspot, "GET", "/records?vendor=hubspot&marker=first@brightwave.example").json

    assert [each["vendor"] for each in everything] == ["hubspot", "salesforce"]
    assert mine["fields"]["hs_email_subject"] == "Next steps"
    assert control(hubspot, "GET", "/records?marker=other@brightwave.example").json == []
    assert control(hubspot, "GET", "/ledger").json == []


def test_switches_can_be_set_from_outside(hubspot: HubSpotApp) -> None:
    changed = control(hubspot, "POST", "/hubspot", {"search_lag_seconds": 5, "oauth_v1_answers": 410})
    org = "/salesforce/00DgL0000000001UAA"
    rotating = control(hubspot, "POST", org, {"rotates_refresh_tokens": True})

    assert (changed.json["search_lag_seconds"], changed.json["oauth_v1_answers"]) == (5, 410)
    assert control(hubspot, "GET", "/hubspot").json["portals"][0] == {
        "hub_id": "24681357",
        "name": "Brightwave",
    }
    assert rotating.json["rotates_refresh_tokens"]
    assert control(hubspot, "GET", org).json == rotating.json
    assert len(control(hubspot, "GET", "/salesforce").json["orgs"]) == 2


def test_a_colleague_can_be_added_to_a_portal_and_to_an_org(
    hubspot: HubSpotApp, salesforce: SalesforceApp
) -> None:
    sal = {"email": "sal@brightwave.example", "name": "Sal Eller"}
    user = {**sal, "vendor": "hubspot", "subject": "5550404", "tenant": "24681357"}
    other = {**sal, "vendor": "salesforce", "subject": "005gL0000000404QAA", "tenant": "00DgL0000000001UAA"}

    assert [control(hubspot, "POST", "/accounts", each).status for each in (user, other)] == [201, 201]
    assert hubspot.visit(sal["email"]).contact()
    assert salesforce.visit(sal["email"]).id_of(MAYA)
    for wrong in (user | {"tenant": "Brightwave"}, user | {"subject": ""}, other | {"tenant": ""}):
        assert control(hubspot, "POST", "/accounts", wrong).status == 400


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/hubspot", {"colour": "red"}, 422),
        ("/hubspot", {"oauth_v1_answers": 500}, 422),
        ("/hubspot", [], 422),
        ("/salesforce/00DgL0000000001UAA", {"enhanced_email": "no"}, 422),
        ("/salesforce/nowhere", {}, 404),
    ],
)
def test_a_wrong_order_is_refused_with_words(
    hubspot: HubSpotApp, path: str, body: object, status: int
) -> None:
    answer = control(hubspot, "POST", path, body)

    assert answer.status == status
    assert answer.json["error"]["message"]
