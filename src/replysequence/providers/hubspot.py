"""HubSpot: sent messages as emails on contacts.

Sources, checked 2026-11-22: HubSpot's OpenAPI files of the version 2026-09 (OAuth, emails, contacts, associations,
owners), its guides "Emails", "Search the CRM", "Error handling" and "Usage guidelines"; association types from its own
client (hubspot-api-nodejs, AssociationTypes.ts). Nothing at HubSpot drops a second copy: what was written is looked for
on the contact itself, because the search index lags by up to half a minute.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import quote, urlencode, urlsplit

from replysequence.domain.address import Address
from replysequence.domain.errors import ConnectFailed, ReconnectNeeded, Rejected, TryLater
from replysequence.domain.report import Correction, LoggedEmail
from replysequence.domain.secret import Secret
from replysequence.providers.accounts import account_address, account_name
from replysequence.providers.answers import json_object, mapping, mappings, provider_id
from replysequence.providers.base import (
    Access,
    Category,
    Identity,
    OAuthSpec,
    Tokens,
    Variable,
    VariableKind,
)
from replysequence.providers.calling import DEADLINES, Caller
from replysequence.providers.crm import Crm, Entry, Person, first_and_last_name
from replysequence.providers.http import Answer, ExchangeFailed
from replysequence.providers.hubspot_email import READ, is_ours, is_same, properties_of
from replysequence.providers.hubspot_meanings import (
    NO_ID,
    OPTIONAL_SCOPES,
    REQUIRED_SCOPES,
    meaning_of,
    refused,
    turned_back,
)

VERSION = "2026-09"
"""HubSpot's dated version, supported for 18 months and more."""

_TO_CONTACT, _TO_COMPANY, _TO_DEAL = 198, 186, 210
_PRIMARY_COMPANY = 1
"""Association types: from an email to each, and from a contact to its primary company."""

MOST_LISTED, MOST_READ = 500, 100
"""What one page of associations and one batch hold."""
MOST_PAGES, MOST_LOOKED_AT = 20, 5
"""How far a look goes: pages of one contact's emails, and contacts of one message."""
_EXISTING_ID = re.compile(r"Existing ID:\s*(\d{1,20})")
_CONTACT = "email,firstname,lastname,hs_additional_emails"
_STATUS = {Correction.BOUNCED: "BOUNCED", Correction.NOT_SENT: "FAILED"}


class HubSpot(Crm):
    """A person's account at HubSpot."""

    name: ClassVar = "hubspot"
    title: ClassVar = "HubSpot"
    category: ClassVar = Category.CRM
    settling_seconds = 60.0  # what is listed on a contact is there at once; the margin is for slow requests
    variables: ClassVar = (
        Variable("HUBSPOT_CLIENT_ID", "The client id of your app at HubSpot.", needed=True),
        Variable("HUBSPOT_CLIENT_SECRET", "Its client secret.", kind=VariableKind.SECRET, needed=True),
        Variable(
            "HUBSPOT_AUTHORIZE_URL",
            "HubSpot's authorization endpoint. Links to records lead to the same host.",
            "https://app.hubspot.com/oauth/authorize",
            VariableKind.URL,
        ),
        Variable(
            "HUBSPOT_API_URL", "The HubSpot API, tokens too.", "https://api.hubapi.com", VariableKind.URL
        ),
    )

    @property
    def reachable_url(self) -> str:
        return self._values["HUBSPOT_API_URL"]

    @cached_property
    def oauth(self) -> OAuthSpec:
        self._require_configured()
        optional = MappingProxyType({"optional_scope": " ".join(OPTIONAL_SCOPES)})
        return OAuthSpec(
            client_id=self._values["HUBSPOT_CLIENT_ID"],
            client_secret=Secret(self._values["HUBSPOT_CLIENT_SECRET"]),
            authorize_url=self._values["HUBSPOT_AUTHORIZE_URL"],
            token_url=self._oauth_url("token"),
            revoke_url=self._oauth_url("token/revoke"),
            revoking_takes_proof=True,
            jwks_url="",
            issuer=self._values["HUBSPOT_API_URL"],
            scopes=("oauth", *REQUIRED_SCOPES),
            required_scopes=frozenset(REQUIRED_SCOPES),
            connect_parameters=optional,
            reconnect_parameters=optional,
            canonical_scopes=lambda text: frozenset(text.split()),
            refused=refused,
            turned_back=turned_back,
        )

    async def identify(self, tokens: Tokens) -> Identity:
        about = {**tokens.told, **await self._introspect(tokens.access_token)}
        hub_id, user_id = _number(about.get("hub_id")), _number(about.get("user_id"))
        if hub_id is None or user_id is None:
            raise ConnectFailed(
                "HubSpot did not say which account this is. Nothing was connected. Please try again.",
                code="identity_invalid",
            )
        email = account_address(about.get("user")) or await self._owner_address(tokens.access_token, user_id)
        if email is None:
            raise ConnectFailed(
                "HubSpot did not say which address this account has. Nothing was connected. Please try again.",
                code="identity_invalid",
            )
        issuer = self._values["HUBSPOT_API_URL"]
        return Identity(issuer, f"{hub_id}:{user_id}", email, account_name(about.get("hub_domain")))

    def scope_missing(self) -> str:
        return (
            "HubSpot did not get your permission to log messages. Connect again and allow ReplySequence to see and "
            "change contacts and to read emails."
        )

    def removal_url(self, issuer: str) -> str | None:  # noqa: ARG002
        return "https://knowledge.hubspot.com/integrations/manage-connected-apps"

    async def find_people(self, access: Access, *, emails: Sequence[str]) -> list[Person]:
        found = [await self._find_person(access, email) for email in emails]
        return [each for each in found if each is not None]

    async def create_person(self, access: Access, *, address: Address) -> Person:
        first, last = first_and_last_name(address.name)
        given = {"email": address.email, "firstname": first, "lastname": last}
        properties = {name: value for name, value in given.items() if value}
        answer = await self._api.write(
            "POST",
            self._objects_url("contacts"),
            {"properties": properties, "associations": []},
            access_token=access.access_token,
            expected=(409,),
        )
        record = json_object(answer)
        if answer.status == 409:
            return await self._existing(access, address.email, told=str(record.get("message")))
        person = self._person(access, address.email, record)
        if person is None:
            raise NO_ID.as_error(status=answer.status)
        return person

    async def find_entry(
        self, access: Access, *, email: LoggedEmail, people: Sequence[Person]
    ) -> Entry | None:
        for person in people[:MOST_LOOKED_AT]:
            ids = await self._newest_emails(access, person)
            for record in await self._batch(access, "emails", ids, properties=READ):
                properties, record_id = mapping(record.get("properties")), provider_id(record.get("id"))
                if record_id is not None and is_same(properties, email):
                    return Entry(record_id, person.url, is_ours=is_ours(properties, email))
        return None

    async def log(self, access: Access, *, email: LoggedEmail, people: Sequence[Person]) -> Entry:
        owner = await self._owner(access, email.sender.email)
        companies, deal = await self._companies(access, people), await self._open_deal(access, people)
        associations = [
            *(_associated(person.id, _TO_CONTACT) for person in people),
            *(_associated(company, _TO_COMPANY) for company in companies),
            *([_associated(deal, _TO_DEAL)] if deal else []),
        ]
        answer = await self._api.write(
            "POST",
            self._objects_url("emails"),
            {"properties": properties_of(email, owner=owner), "associations": associations},
            access_token=access.access_token,
        )
        entry_id = provider_id(json_object(answer).get("id"))
        if entry_id is None:
            raise NO_ID.as_error(status=answer.status)
        return Entry(entry_id, people[0].url)

    async def correct(
        self, access: Access, *, entry_id: str, email: LoggedEmail, correction: Correction
    ) -> None:
        del email
        url = f"{self._objects_url('emails')}/{quote(entry_id, safe='')}"
        changes = {"properties": {"hs_email_status": _STATUS[correction]}}
        # Who has deleted the entry need not be told any more about it.
        await self._api.write("PATCH", url, changes, access_token=access.access_token, expected=(404,))

    @cached_property
    def _api(self) -> Caller:
        return Caller(self._http, provider=self.title, refused=meaning_of)

    async def _find_person(self, access: Access, email: str) -> Person | None:
        """By its primary address, which sees what was written a moment ago; else by a further one, in the index."""
        url = (
            f"{self._objects_url('contacts')}/{quote(email, safe='')}?idProperty=email&properties={_CONTACT}"
        )
        answer = await self._api.read(url, access_token=access.access_token, expected=(404,))
        if answer.status != 404:
            return self._shown(access, email, answer)
        question = {
            "filterGroups": [
                {
                    "filters": [
                        {"propertyName": "hs_additional_emails", "operator": "CONTAINS_TOKEN", "value": email}
                    ]
                }
            ],
            "properties": _CONTACT.split(","),
            "sorts": [],
            "limit": 10,
        }
        answer = await self._api.search(
            f"{self._objects_url('contacts')}/search", question, access_token=access.access_token
        )
        records = self._api.listed(answer, "results")
        fitting = [each for each in records if email.casefold() in _addresses(each)]
        return self._person(access, email, fitting[0]) if len(fitting) == 1 else None

    async def _existing(self, access: Access, email: str, *, told: str) -> Person:
        """The contact that has this address already; HubSpot tells its id in a sentence only."""
        found = _EXISTING_ID.search(told[:1000])
        person = await self._find_person(access, email) if found is None else None
        if found is not None:
            url = f"{self._objects_url('contacts')}/{found[1]}?properties={_CONTACT}"
            person = self._shown(access, email, await self._api.read(url, access_token=access.access_token))
        if person is None:
            raise TryLater(
                "HubSpot has a contact with this address and does not show it yet. It is tried again by itself.",
                code="not_shown_yet",
                delay=30,
            )
        return person

    def _shown(self, access: Access, email: str, answer: Answer) -> Person:
        person = self._person(access, email, json_object(answer))
        if person is None:
            raise self._api.unclear(answer)
        return person

    def _person(self, access: Access, email: str, record: Mapping[str, object]) -> Person | None:
        contact_id, properties = provider_id(record.get("id")), mapping(record.get("properties"))
        if contact_id is None:
            return None
        names = (account_name(properties.get(each)) for each in ("firstname", "lastname"))
        hub_id = access.subject.partition(":")[0]
        app = urlsplit(self._values["HUBSPOT_AUTHORIZE_URL"])
        url = f"{app.scheme}://{app.netloc}/contacts/{quote(hub_id)}/record/0-1/{quote(contact_id)}"
        return Person("contact", contact_id, email, " ".join(filter(None, names)), url)

    async def _newest_emails(self, access: Access, person: Person) -> list[str]:
        """The ids of the newest emails on a contact. A higher id is newer."""
        found: list[str] = []
        after = ""
        for _ in range(MOST_PAGES):
            page = await self._associations(access, person, "emails", after=after)
            if page.status == 404:
                break  # the contact is gone, and what was on it with it
            found += _ids(self._api.listed(page, "results"))
            paging = mapping(json_object(page).get("paging"))
            after = str(mapping(paging.get("next")).get("after") or "")
            if not after:
                break
        return sorted(found, key=int, reverse=True)[:MOST_READ]

    async def _associations(self, access: Access, person: Person, kind: str, *, after: str = "") -> Answer:
        query = urlencode({"limit": MOST_LISTED} | ({"after": after} if after else {}))
        url = f"{self._objects_url('contacts')}/{quote(person.id, safe='')}/associations/{kind}?{query}"
        return await self._api.read(url, access_token=access.access_token, expected=(404,))

    async def _linked(self, access: Access, person: Person, kind: str) -> list[Mapping[str, object]]:
        """What a contact is associated with; nothing when it is gone, or we may not see it."""
        try:
            page = await self._associations(access, person, kind)
        except (Rejected, ReconnectNeeded):
            return []
        return [] if page.status == 404 else self._api.listed(page, "results")

    async def _batch(
        self, access: Access, kind: str, ids: Sequence[str], *, properties: Iterable[str]
    ) -> list[Mapping[str, object]]:
        if not ids:
            return []
        asked = {
            "inputs": [{"id": each} for each in ids],
            "properties": list(properties),
            "propertiesWithHistory": [],
        }
        url = f"{self._objects_url(kind)}/batch/read"
        answer = await self._api.search(url, asked, access_token=access.access_token)
        return self._api.listed(answer, "results")

    async def _owner(self, access: Access, email: str) -> str | None:
        """The owner id of whose mailbox it left from; not everybody is an owner, nor lets us see them."""
        url = f"{self._owners_url()}?{urlencode({'email': email})}"
        try:
            answer = await self._api.read(url, access_token=access.access_token)
        except (Rejected, ReconnectNeeded):
            return None
        owners = mappings(json_object(answer).get("results"))
        same = (each for each in owners if str(each.get("email")).casefold() == email.casefold())
        return next((provider_id(each.get("id")) for each in same), None)

    async def _companies(self, access: Access, people: Sequence[Person]) -> list[str]:
        """The primary company of each."""
        found: dict[str, None] = {}
        for person in people:
            found |= dict.fromkeys(_primary(await self._linked(access, person, "companies")))
        return list(found)

    async def _open_deal(self, access: Access, people: Sequence[Person]) -> str | None:
        """The deal that they are all about; none when there is none, or several."""
        found: dict[str, None] = {}
        for person in people:
            found |= dict.fromkeys(_ids(await self._linked(access, person, "deals")))
        try:
            deals = await self._batch(access, "deals", list(found)[:MOST_READ], properties=["hs_is_closed"])
        except (Rejected, ReconnectNeeded):
            return None
        still_open = [each for each in deals if mapping(each.get("properties")).get("hs_is_closed") != "true"]
        return provider_id(still_open[0].get("id")) if len(still_open) == 1 else None

    async def _introspect(self, token: Secret) -> Mapping[str, object]:
        """What HubSpot says of a token (RFC 7662)."""
        form = {
            "client_id": self._values["HUBSPOT_CLIENT_ID"],
            "client_secret": self._values["HUBSPOT_CLIENT_SECRET"],
            "token": token.reveal(),
            "token_type_hint": "access_token",
        }
        try:
            answer = await self._http.request(
                "POST",
                self._oauth_url("token/introspect"),
                headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
                body=urlencode(form).encode(),
                deadlines=DEADLINES,
            )
        except ExchangeFailed:
            return {}
        return json_object(answer) if answer.status == 200 else {}

    async def _owner_address(self, token: Secret, user_id: str) -> str | None:
        url = f"{self._owners_url()}/{user_id}?idProperty=userId"
        try:
            answer = await self._api.read(url, access_token=token)
        except (Rejected, ReconnectNeeded):
            return None
        return account_address(json_object(answer).get("email"))

    def _oauth_url(self, path: str) -> str:
        return f"{self._values['HUBSPOT_API_URL']}/oauth/{VERSION}/{path}"

    def _objects_url(self, kind: str) -> str:
        return f"{self._values['HUBSPOT_API_URL']}/crm/objects/{VERSION}/{kind}"

    def _owners_url(self) -> str:
        return f"{self._values['HUBSPOT_API_URL']}/crm/owners/{VERSION}"


def _associated(record_id: str, kind: int) -> dict[str, object]:
    types = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}]
    return {"to": {"id": record_id}, "types": types}


def _addresses(record: Mapping[str, object]) -> set[str]:
    properties = mapping(record.get("properties"))
    joined = f"{properties.get('email')};{properties.get('hs_additional_emails')}"
    return {each.strip().casefold() for each in joined.split(";")}


def _ids(associations: list[Mapping[str, object]]) -> list[str]:
    """The ids that associations lead to, as texts of digits, whichever way they are written."""
    ids = (_number(each.get("toObjectId")) for each in associations)
    return [each for each in ids if each is not None]


def _primary(companies: list[Mapping[str, object]]) -> list[str]:
    marked = [each for each in companies if _PRIMARY_COMPANY in _types(each)]
    return _ids(marked or (companies if len(companies) == 1 else []))


def _types(association: Mapping[str, object]) -> set[object]:
    types = mappings(association.get("associationTypes"))
    return {each.get("typeId") for each in types if each.get("category") == "HUBSPOT_DEFINED"}


def _number(value: object) -> str | None:
    """An id of digits, as a text."""
    text = str(value)
    return text if text.isascii() and text.isdigit() and len(text) <= 20 else None
