"""Salesforce: sent messages as emails on contacts and leads.

Sources, checked 2026-11-22: Salesforce's help on the OAuth web server flow, refresh tokens, revocation and the UserInfo
endpoint; the REST API guide; the object reference of EmailMessage, Task, Contact and Lead. An EmailMessage cannot be
changed once it is there, and Salesforce makes the Task beside it: never a Task as well.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import quote

from replysequence.domain.address import Address
from replysequence.domain.errors import ConnectFailed, Rejected
from replysequence.domain.report import Correction, LoggedEmail
from replysequence.domain.secret import Secret
from replysequence.providers.accounts import account_address, account_name
from replysequence.providers.answers import json_object, provider_id
from replysequence.providers.base import (
    Access,
    Category,
    Identity,
    OAuthSpec,
    Tokens,
    Variable,
    VariableKind,
)
from replysequence.providers.calling import Caller
from replysequence.providers.crm import Crm, Entry, Person, first_and_last_name
from replysequence.providers.http import Answer
from replysequence.providers.meanings import Meaning
from replysequence.providers.salesforce_email import (
    CONTACT,
    EMAIL,
    LEAD,
    TASK,
    email_message,
    identifiers,
    is_marked,
    task,
    task_subject,
)
from replysequence.providers.salesforce_host import instance_of
from replysequence.providers.salesforce_meanings import (
    AMBIGUOUS,
    DUPLICATE,
    NO_EMAIL_MESSAGE,
    NO_ID,
    NOTHING_TO_CHANGE,
    codes_of,
    meaning_of,
    refused,
    turned_back,
)
from replysequence.providers.soql import Value, select

VERSION = "v66.0"
LIFETIME = 600
"""Seconds that an access token is trusted: Salesforce names none, and the shortest session that an administrator can
choose is 15 minutes.
"""
MOST_ALIKE = 20
"""Records with one address that are looked at."""
MOST_TASKS = 100
"""Tasks of one message's people that are looked at."""

_PEOPLE: Mapping[str, Mapping[str, Value]] = {CONTACT: {}, LEAD: {"IsConverted": False}}
"""Where people are looked for, in this order, and which of them. A converted lead lives on as a contact."""
_TASK_ID = "00T"
"""How the id of every Task begins."""
_CORRECTED = {Correction.BOUNCED: "Bounced", Correction.NOT_SENT: "Not sent"}


class Salesforce(Crm):
    """A person's user at Salesforce."""

    name: ClassVar = "salesforce"
    title: ClassVar = "Salesforce"
    category: ClassVar = Category.CRM
    settling_seconds = 60.0  # queries see what was written at once; the margin is for slow requests
    variables: ClassVar = (
        Variable("SALESFORCE_CLIENT_ID", "The consumer key of your External Client App.", needed=True),
        Variable("SALESFORCE_CLIENT_SECRET", "Its consumer secret.", kind=VariableKind.SECRET, needed=True),
        Variable(
            "SALESFORCE_LOGIN_URL",
            "Where people sign in: https://test.salesforce.com for sandboxes, or your My Domain.",
            "https://login.salesforce.com",
            VariableKind.URL,
        ),
    )

    @property
    def reachable_url(self) -> str:
        return self._login_url

    @cached_property
    def oauth(self) -> OAuthSpec:
        self._require_configured()
        return OAuthSpec(
            client_id=self._values["SALESFORCE_CLIENT_ID"],
            client_secret=Secret(self._values["SALESFORCE_CLIENT_SECRET"]),
            authorize_url=f"{self._login_url}/services/oauth2/authorize",
            token_url=f"{self._login_url}/services/oauth2/token",
            revoke_url=f"{self._login_url}/services/oauth2/revoke",
            jwks_url=f"{self._login_url}/id/keys",
            issuer=self._login_url,
            scopes=("openid", "api", "refresh_token"),
            required_scopes=frozenset({"api"}),
            connect_parameters=MappingProxyType({}),
            reconnect_parameters=MappingProxyType({}),
            canonical_scopes=_canonical,
            refused=refused,
            turned_back=turned_back,
            api_url_field="instance_url",
            lifetime=LIFETIME,
        )

    async def identify(self, tokens: Tokens) -> Identity:
        """By UserInfo, because an id_token has no address. Both must tell of the same user (OpenID Connect Core
        §5.3.2).
        """
        instance_of(tokens.api_url, login_url=self._login_url)
        url = f"{self._login_url}/services/oauth2/userinfo"
        about = json_object(await self._api.read(url, access_token=tokens.access_token))
        org, user = provider_id(about.get("organization_id")), provider_id(about.get("user_id"))
        email = account_address(about.get("email")) or account_address(about.get("preferred_username"))
        same = tokens.claims is None or tokens.claims.get("sub") == about.get("sub")
        if org is None or user is None or email is None or not same:
            raise ConnectFailed(
                "Salesforce did not say clearly whose account this is. Nothing was connected. Please try again.",
                code="identity_invalid",
            )
        return Identity(self._login_url, f"{org}:{user}", email, account_name(about.get("name")))

    def scope_missing(self) -> str:
        return (
            "Salesforce did not get your permission to use its API for you. Connect again and choose “Allow”. If it "
            "stays so, the app at Salesforce lacks the scope “api”: tell who runs this server."
        )

    def removal_url(self, issuer: str) -> str | None:  # noqa: ARG002
        return None

    async def find_people(self, access: Access, *, emails: Sequence[str]) -> list[Person]:
        found = [await self._alike(access, email) for email in emails]
        return [alike[0] for alike in found if len(alike) == 1]

    async def create_person(self, access: Access, *, address: Address) -> Person:
        there = await self._alike(access, address.email)
        if there:
            return _only(there, otherwise=AMBIGUOUS)
        first, last = first_and_last_name(address.name)
        first, last = (first, last) if last else ("", first or address.email.partition("@")[0])
        fields = {"LastName": last[:80], "Email": address.email} | (
            {"FirstName": first[:40]} if first else {}
        )
        answer = await self._create(access, CONTACT, fields, expected=(400,))
        if "DUPLICATES_DETECTED" in codes_of(answer):
            # The rule may go by a name alone: only who has this very address is meant.
            return _only(await self._alike(access, address.email), otherwise=DUPLICATE)
        if answer.status == 400:
            raise self._api.refusal(answer)
        name = " ".join(filter(None, (first, last)))
        return self._person(access, CONTACT, _made(answer), address.email, name)

    async def find_entry(
        self, access: Access, *, email: LoggedEmail, people: Sequence[Person]
    ) -> Entry | None:
        messages = await self._messages(access, email)
        if messages:
            first = min(messages, key=lambda each: not is_marked(each.get("Headers"), email))
            return self._entry(access, EMAIL, first, is_ours=is_marked(first.get("Headers"), email))
        if not people:
            return None
        where: dict[str, Value] = {"WhoId": [person.id for person in people], "TaskSubtype": "Email"}
        tasks = await self._query(
            access, select(TASK, ["Id", "Description"], where, limit=MOST_TASKS, newest_first=True)
        )
        marked = (each for each in tasks if is_marked(each.get("Description"), email))
        return next((self._entry(access, TASK, each) for each in marked), None)

    async def log(self, access: Access, *, email: LoggedEmail, people: Sequence[Person]) -> Entry:
        opportunity = await self._open_opportunity(access, people)
        fields = email_message(email, people, related_to=opportunity)
        answer = await self._create(access, EMAIL, fields, expected=(400, 403, 404))
        if answer.status < 300:
            return self._entry(access, EMAIL, {"Id": _made(answer)})
        if not NO_EMAIL_MESSAGE.intersection(codes_of(answer)):
            raise self._api.refusal(answer)
        status = await self._completed(access)
        answer = await self._create(
            access, TASK, task(email, people[0], related_to=opportunity, status=status)
        )
        return self._entry(access, TASK, {"Id": _made(answer)})

    async def correct(
        self, access: Access, *, entry_id: str, email: LoggedEmail, correction: Correction
    ) -> None:
        """A Task is renamed. An EmailMessage cannot be changed: what was not sent after all is deleted with the Task
        beside it, and of what bounced that Task is renamed.
        """
        if entry_id.startswith(_TASK_ID):
            await self._rename(access, entry_id, email, correction)
            return
        messages = await self._query(access, select(EMAIL, ["Id", "ActivityId"], {"Id": entry_id}, limit=1))
        if not messages:
            return  # who has deleted it need not be told any more about it
        beside = provider_id(messages[0].get("ActivityId"))
        if correction is Correction.NOT_SENT:
            if beside is not None:
                await self._delete(access, TASK, beside)
            await self._delete(access, EMAIL, entry_id)
        elif beside is not None:
            await self._rename(access, beside, email, correction)
        else:
            raise NOTHING_TO_CHANGE.as_error(status=200)

    @property
    def _login_url(self) -> str:
        return self._values["SALESFORCE_LOGIN_URL"]

    @cached_property
    def _api(self) -> Caller:
        return Caller(self._http, provider=self.title, refused=meaning_of)

    def _instance(self, access: Access) -> str:
        return instance_of(access.api_url, login_url=self._login_url)

    async def _alike(self, access: Access, email: str) -> list[Person]:
        """The contacts with this address, else the leads that are still leads; of several only the one that is this
        user's own. More than one: which is meant is open.
        """
        own = access.subject.rpartition(":")[2]
        for kind, further in _PEOPLE.items():
            query = select(
                kind, ["Id", "Name", "Email", "OwnerId"], {"Email": email, **further}, limit=MOST_ALIKE
            )
            records = await self._query(access, query)
            alike = [each for each in records if str(each.get("Email")).casefold() == email.casefold()]
            owned = [each for each in alike if own and str(each.get("OwnerId"))[:15] == own[:15]]
            if alike:
                return [
                    self._person(access, kind, str(each.get("Id")), email, account_name(each.get("Name")))
                    for each in (owned if len(owned) == 1 else alike)
                ]
        return []

    def _person(self, access: Access, kind: str, record_id: str, email: str, name: str) -> Person:
        return Person(kind, record_id, email, name, self._url(access, kind, record_id))

    async def _messages(self, access: Access, email: LoggedEmail) -> list[Mapping[str, object]]:
        try:
            where = {"MessageIdentifier": identifiers(email)}
            return await self._query(access, select(EMAIL, ["Id", "Headers"], where, limit=10))
        except Rejected as refusal:
            if refusal.code != "no_such_object":
                raise
            return []

    async def _open_opportunity(self, access: Access, people: Sequence[Person]) -> str | None:
        """The one that is open at the accounts of these contacts; none when there are several, or with a lead:
        Salesforce refuses a lead together with anything else.
        """
        if any(person.kind != CONTACT for person in people):
            return None
        try:
            ids = [person.id for person in people]
            contacts = await self._query(access, select(CONTACT, ["AccountId"], {"Id": ids}, limit=len(ids)))
            accounts = sorted({each for item in contacts if (each := provider_id(item.get("AccountId")))})
            if not accounts:
                return None
            where: dict[str, Value] = {"AccountId": accounts, "IsClosed": False}
            found = await self._query(access, select("Opportunity", ["Id"], where, limit=2))
        except Rejected:
            return None
        return provider_id(found[0].get("Id")) if len(found) == 1 else None

    async def _completed(self, access: Access) -> str:
        """What an organisation calls a task that is done."""
        try:
            found = await self._query(access, select("TaskStatus", ["ApiName"], {"IsClosed": True}, limit=1))
        except Rejected:
            found = []
        return str(found[0].get("ApiName")) if found else "Completed"

    async def _query(self, access: Access, soql: str) -> list[Mapping[str, object]]:
        url = f"{self._instance(access)}/services/data/{VERSION}/query?q={quote(soql, safe='')}"
        return self._api.listed(await self._api.read(url, access_token=access.access_token), "records")

    async def _create(
        self, access: Access, kind: str, fields: Mapping[str, object], *, expected: Sequence[int] = ()
    ) -> Answer:
        url = f"{self._instance(access)}/services/data/{VERSION}/sobjects/{kind}"
        return await self._api.write("POST", url, fields, access_token=access.access_token, expected=expected)

    async def _rename(self, access: Access, task_id: str, email: LoggedEmail, correction: Correction) -> None:
        subject = task_subject(email, _CORRECTED[correction])
        await self._api.write(
            "PATCH",
            self._record_url(access, TASK, task_id),
            {"Subject": subject},
            access_token=access.access_token,
            expected=(404,),
        )

    async def _delete(self, access: Access, kind: str, record_id: str) -> None:
        url = self._record_url(access, kind, record_id)
        await self._api.write("DELETE", url, access_token=access.access_token, expected=(404,))

    def _record_url(self, access: Access, kind: str, record_id: str) -> str:
        return f"{self._instance(access)}/services/data/{VERSION}/sobjects/{kind}/{quote(record_id, safe='')}"

    def _entry(
        self, access: Access, kind: str, record: Mapping[str, object], *, is_ours: bool = True
    ) -> Entry:
        record_id = str(record.get("Id"))
        return Entry(record_id, self._url(access, kind, record_id), is_ours=is_ours)

    def _url(self, access: Access, kind: str, record_id: str) -> str:
        return f"{self._instance(access)}/lightning/r/{kind}/{quote(record_id, safe='')}/view"


def _canonical(text: str) -> frozenset[str]:
    return frozenset("refresh_token" if scope == "offline_access" else scope for scope in text.split())


def _only(people: list[Person], *, otherwise: Meaning) -> Person:
    if len(people) != 1:
        raise otherwise.as_error(status=200)
    return people[0]


def _made(answer: Answer) -> str:
    """The id of what was made. Raises :class:`OutcomeUnknown` when the answer does not say."""
    record_id = provider_id(json_object(answer).get("id"))
    if record_id is None:
        raise NO_ID.as_error(status=answer.status)
    return record_id
