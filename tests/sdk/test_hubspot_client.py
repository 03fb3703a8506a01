"""HubSpot's own Python library connects, finds, logs and associates against the sandbox: at v3, v4 and OAuth v1."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import hubspot
import pytest
from hubspot.crm.contacts import ApiException as ContactsError
from hubspot.crm.contacts import PublicObjectSearchRequest, SimplePublicObjectInputForCreate
from hubspot.crm.objects.emails import ApiException as EmailsError
from hubspot.crm.objects.emails import (
    AssociationSpec,
    PublicAssociationsForObject,
    PublicObjectId,
    SimplePublicObjectInput,
)
from hubspot.crm.objects.emails import SimplePublicObjectInputForCreate as EmailInput
from hubspot.discovery.discovery_base import DiscoveryBase
from hubspot.oauth import ApiException as OAuthError
from hubspot.utils.oauth import get_auth_url

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.faults import Endpoint, Fault
from replysequence.sandbox.running import RunningSandbox, sandbox
from support.consent import approve
from support.google_app import callback_parameters
from support.hubspot_app import CALLBACK, DANA, MAYA, SCOPES, email

MARKER = "<first@brightwave.example>"
CONTACT_OF_EMAIL = AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=198)


@pytest.fixture
def box() -> Iterator[RunningSandbox]:
    with sandbox() as running:
        running.world.hubspot_client.redirect_uris.add(CALLBACK)
        yield running


@pytest.fixture
def library(box: RunningSandbox) -> Iterator[Any]:
    """The library's client, pointed at the sandbox; its connections are closed in the end."""
    made: list[Any] = []

    def factory(package: Any, name: str, config: dict[str, Any]) -> Any:
        made.append(DiscoveryBase._default_api_factory(package, name, config))
        return made[-1]

    yield hubspot.Client.create(host=box.environment["HUBSPOT_API_URL"], api_factory=factory)
    for api in made:
        api.api_client.rest_client.pool_manager.clear()
        api.api_client.close()


def credentials(box: RunningSandbox) -> dict[str, str]:
    return {
        "client_id": box.environment["HUBSPOT_CLIENT_ID"],
        "client_secret": box.environment["HUBSPOT_CLIENT_SECRET"],
    }


@pytest.fixture
def tokens(box: RunningSandbox, library: Any) -> Any:
    """The tokens of a whole connect, consent included. The library knows the address of the consent page by heart."""
    real = get_auth_url(
        client_id=box.environment["HUBSPOT_CLIENT_ID"],
        redirect_uri=CALLBACK,
        scope=tuple(SCOPES.split()),
        state="state-1",
    )
    assert urlsplit(real).path == urlsplit(box.environment["HUBSPOT_AUTHORIZE_URL"]).path
    url = approve(f"{box.environment['HUBSPOT_AUTHORIZE_URL']}?{urlsplit(real).query}", account=DANA)
    return library.oauth.tokens_api.create(
        grant_type="authorization_code",
        redirect_uri=CALLBACK,
        code=callback_parameters(url)["code"],
        **credentials(box),
    )


@pytest.fixture
def client(library: Any, tokens: Any) -> Any:
    library.access_token = tokens.access_token
    return library


def log(client: Any, *contacts: str, **properties: object) -> Any:
    links = [
        PublicAssociationsForObject(to=PublicObjectId(id=each), types=[CONTACT_OF_EMAIL]) for each in contacts
    ]
    given = EmailInput(properties=email(**properties), associations=links)
    return client.crm.objects.emails.basic_api.create(simple_public_object_input_for_create=given)


def contact(client: Any, address: str = MAYA) -> Any:
    return client.crm.contacts.basic_api.get_by_id(address, id_property="email", properties=["firstname"])


def test_tokens_are_described_and_refreshed(box: RunningSandbox, library: Any, tokens: Any) -> None:
    assert (tokens.token_type, tokens.expires_in) == ("bearer", 1800)
    about = library.oauth.access_tokens_api.get(tokens.access_token)
    assert (about.hub_id, about.user, about.hub_domain) == (24681357, DANA, "brightwave.example")

    fresh = library.oauth.tokens_api.create(
        grant_type="refresh_token", refresh_token=tokens.refresh_token, **credentials(box)
    )
    assert fresh.access_token != tokens.access_token
    assert library.oauth.refresh_tokens_api.get(tokens.refresh_token).token == tokens.refresh_token


def test_a_forgotten_refresh_token_is_refused(box: RunningSandbox, library: Any, tokens: Any) -> None:
    library.oauth.refresh_tokens_api.archive(tokens.refresh_token)

    with pytest.raises(OAuthError) as refused:
        library.oauth.tokens_api.create(
            grant_type="refresh_token", refresh_token=tokens.refresh_token, **credentials(box)
        )
    assert refused.value.status == 400
    assert json.loads(refused.value.body)["status"] == "BAD_REFRESH_TOKEN"


def test_oauth_v1_is_gone_one_day(box: RunningSandbox, library: Any, tokens: Any) -> None:
    box.world.hubspot.change({"oauth_v1_answers": 410})

    with pytest.raises(OAuthError) as gone:
        library.oauth.access_tokens_api.get(tokens.access_token)
    assert gone.value.status == 410


def test_an_email_is_logged_on_the_contact_with_the_address(box: RunningSandbox, client: Any) -> None:
    maya = contact(client)
    made = log(client, maya.id)

    read = client.crm.objects.emails.basic_api.get_by_id(
        made.id, properties=["hs_email_subject", "hs_email_from_email"], associations=["contacts"]
    )
    assert maya.properties["firstname"] == "Maya"
    assert read.properties["hs_email_subject"] == "Next steps"
    assert read.properties["hs_email_from_email"] == DANA
    assert [each.id for each in read.associations["contacts"].results] == [maya.id]
    assert [each.record for each in box.world.ledger.logged("hubspot", MARKER)] == [made.id]


def test_an_email_is_changed_and_archived(client: Any) -> None:
    emails, made = client.crm.objects.emails.basic_api, log(client)

    changed = emails.update(
        made.id,
        simple_public_object_input=SimplePublicObjectInput(properties={"hs_email_status": "BOUNCED"}),
    )
    emails.archive(made.id)

    assert changed.properties["hs_email_status"] == "BOUNCED"
    with pytest.raises(EmailsError) as gone:
        emails.get_by_id(made.id)
    assert gone.value.status == 404


def test_associations_are_made_and_listed(client: Any) -> None:
    maya, made = contact(client), log(client)
    associations = client.crm.associations.v4.basic_api

    put = associations.create_default("emails", made.id, "contacts", maya.id)
    emails = associations.get_page("contacts", maya.id, "emails").results
    [company] = associations.get_page("contacts", maya.id, "companies").results
    [deal] = associations.get_page("contacts", maya.id, "deals").results

    assert put.results[0].association_spec.association_type_id == 198
    assert [each.to_object_id for each in emails] == [made.id]
    assert [each.type_id for each in company.association_types] == [1, 279]
    assert client.crm.companies.basic_api.get_by_id(company.to_object_id).properties["name"] == "Northwind"
    assert client.crm.deals.basic_api.get_by_id(deal.to_object_id).properties["dealname"]
    associations.archive("emails", made.id, "contacts", maya.id)
    assert associations.get_page("contacts", maya.id, "emails").results == []


def test_search_lags_behind_and_the_conflict_names_the_contact(box: RunningSandbox, client: Any) -> None:
    box.world.hubspot.change({"search_lag_seconds": 20})
    contacts = client.crm.contacts.basic_api
    new = SimplePublicObjectInputForCreate(properties={"email": "ann@x.example"}, associations=[])
    made = contacts.create(simple_public_object_input_for_create=new)
    one = {"propertyName": "email", "operator": "EQ", "value": "ann@x.example"}
    wanted = PublicObjectSearchRequest(filter_groups=[{"filters": [one]}], properties=["email"], limit=2)
    search = client.crm.contacts.search_api.do_search

    assert search(public_object_search_request=wanted).total == 0
    with pytest.raises(ContactsError) as taken:
        contacts.create(simple_public_object_input_for_create=new)
    assert taken.value.status == 409
    assert json.loads(taken.value.body)["message"].endswith(f"Existing ID: {made.id}")
    box.world.clock.advance(21)
    assert [each.id for each in search(public_object_search_request=wanted).results] == [made.id]


def test_an_owner_is_found_by_address(client: Any) -> None:
    [owner] = client.crm.owners.owners_api.get_page(email=DANA).results

    assert (owner.id, owner.user_id) == ("71230001", 5550101)


@pytest.mark.parametrize(
    ("kind", "status", "says"),
    [
        ("missing_scope", 403, "MISSING_SCOPES"),
        ("locked", 423, "locked"),
        ("migrating", 477, "migrated"),
        ("refused_429", 429, "TEN_SECONDLY_ROLLING"),
        ("error_503_after_acceptance", 503, "Unavailable"),
    ],
)
def test_the_library_hands_the_errors_on(
    box: RunningSandbox, client: Any, kind: str, status: int, says: str
) -> None:
    box.world.faults.arm(Fault(kind=kind, vendor=Vendor.HUBSPOT, endpoint=Endpoint.LOG))

    with pytest.raises(EmailsError) as refused:
        log(client)

    assert refused.value.status == status
    assert says in str(refused.value.body)
    assert len(box.world.ledger.records) == ("after" in kind)


def test_wrong_headers_are_refused_by_name(client: Any) -> None:
    with pytest.raises(EmailsError) as refused:
        log(client, hs_email_headers="not json")

    [error] = json.loads(refused.value.body)["errors"]
    assert (refused.value.status, error["code"]) == (400, "INVALID_JSON")
