"""Every provider of the registry, and a third mailbox and a third CRM that exist in this file and nowhere else."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import quote

from replysequence.domain.errors import Misconfigured, OutcomeUnknown, ProviderError, ReconnectNeeded
from replysequence.domain.message import Address, Message, Problem
from replysequence.domain.pacing import Pace, Rate
from replysequence.domain.report import Correction, LoggedEmail
from replysequence.domain.secret import Secret
from replysequence.providers.answers import hand_over, json_object, provider_id
from replysequence.providers.base import (
    Access,
    CallbackRefusal,
    Category,
    Connectable,
    ConsentProblem,
    Identity,
    Limits,
    Mailbox,
    OAuthSpec,
    Prepared,
    Provider,
    Receipt,
    Relay,
    TokenRefusal,
    Tokens,
    Variable,
    VariableKind,
)
from replysequence.providers.calling import Caller
from replysequence.providers.carrying import write_mime
from replysequence.providers.crm import Crm, Entry, Person
from replysequence.providers.http import Answer
from replysequence.providers.meanings import of_status
from replysequence.providers.registry import PROVIDERS


class Postbox(Mailbox):
    """All that it takes to add a kind of mailbox."""

    name: ClassVar = "postbox"
    title: ClassVar = "Postbox"
    category: ClassVar = Category.EMAIL
    variables: ClassVar = (
        Variable("POSTBOX_CLIENT_ID", "The client id.", needed=True),
        Variable("POSTBOX_CLIENT_SECRET", "The client secret.", kind=VariableKind.SECRET, needed=True),
        Variable("POSTBOX_URL", "Where it is.", "https://postbox.example", VariableKind.URL),
    )
    limits: ClassVar = Limits(message_bytes=1_000_000, recipients=10)

    @property
    def reachable_url(self) -> str:
        return self._values["POSTBOX_URL"]

    @property
    def oauth(self) -> OAuthSpec:
        self._require_configured()
        return _oauth(
            self._values["POSTBOX_URL"],
            client_id=self._values["POSTBOX_CLIENT_ID"],
            client_secret=Secret(self._values["POSTBOX_CLIENT_SECRET"]),
            scope="post",
        )

    async def identify(self, tokens: Tokens) -> Identity:
        return _identity(tokens)

    def scope_missing(self) -> str:
        return "Postbox did not get your permission to send."

    def removal_url(self, issuer: str) -> str | None:
        return f"{issuer}/apps"

    def pace(self, email: str) -> Pace:
        return Pace(concurrency=1, rate=Rate(10, timedelta(minutes=1)))

    def check(self, message: Message, *, thread_id: str | None) -> list[Problem]:
        return []

    def prepare(self, message: Message, *, thread_id: str | None) -> Prepared:
        url = f"{self._values['POSTBOX_URL']}/post"
        return Prepared(url, {"Content-Type": "message/rfc822"}, write_mime(message), thread_id)

    async def send(self, prepared: Prepared, *, access_token: Secret) -> Receipt:
        credentials = {"Authorization": f"Bearer {access_token.reveal()}"}
        answer = await hand_over(self._http, prepared, provider=self.title, headers=credentials)
        if answer.status == 201:
            return Receipt(201, provider_id(json_object(answer).get("id")))
        raise of_status(answer.status, self.title).as_error(status=answer.status)

    def sent_folder_url(self, *, email: str, subject: str) -> str:
        return f"{self._values['POSTBOX_URL']}/sent"


class Rolodex(Crm):
    """All that it takes to add a CRM."""

    name: ClassVar = "rolodex"
    title: ClassVar = "Rolodex"
    category: ClassVar = Category.CRM
    settling_seconds = 5.0
    variables: ClassVar = (
        Variable("ROLODEX_CLIENT_ID", "The client id.", needed=True),
        Variable("ROLODEX_CLIENT_SECRET", "The client secret.", kind=VariableKind.SECRET, needed=True),
        Variable("ROLODEX_URL", "Where it is.", "https://rolodex.example", VariableKind.URL),
    )

    @property
    def reachable_url(self) -> str:
        return self._values["ROLODEX_URL"]

    @property
    def oauth(self) -> OAuthSpec:
        self._require_configured()
        return _oauth(
            self.reachable_url,
            client_id=self._values["ROLODEX_CLIENT_ID"],
            client_secret=Secret(self._values["ROLODEX_CLIENT_SECRET"]),
            scope="file",
        )

    async def identify(self, tokens: Tokens) -> Identity:
        return _identity(tokens)

    def scope_missing(self) -> str:
        return "Rolodex did not get your permission to file."

    def removal_url(self, issuer: str) -> str | None:
        return f"{issuer}/apps"

    async def find_people(self, access: Access, *, emails: Sequence[str]) -> list[Person]:
        found = []
        for email in emails:
            answer = await self._api.read(
                f"{self.reachable_url}/cards/{quote(email)}", access_token=access.access_token
            )
            found += [self._person(str(card["id"]), email) for card in self._api.listed(answer, "cards")[:1]]
        return found

    async def create_person(self, access: Access, *, address: Address) -> Person:
        return self._person(
            await self._write(access, "POST", "cards", {"email": address.email}), address.email
        )

    async def find_entry(
        self, access: Access, *, email: LoggedEmail, people: Sequence[Person]
    ) -> Entry | None:
        url = f"{self.reachable_url}/notes/{quote(email.send_id)}"
        answer = await self._api.read(url, access_token=access.access_token)
        notes = self._api.listed(answer, "notes")
        return Entry(str(notes[0]["id"]), people[0].url) if notes else None

    async def log(self, access: Access, *, email: LoggedEmail, people: Sequence[Person]) -> Entry:
        note = {"send": email.send_id, "on": [person.id for person in people], "subject": email.subject}
        return Entry(await self._write(access, "POST", "notes", note), people[0].url)

    async def correct(
        self, access: Access, *, entry_id: str, email: LoggedEmail, correction: Correction
    ) -> None:
        await self._write(access, "PATCH", f"notes/{quote(entry_id)}", {"became": correction.value})

    @cached_property
    def _api(self) -> Caller:
        return Caller(self._http, provider=self.title, refused=lambda _: None)

    async def _write(self, access: Access, method: str, path: str, body: Mapping[str, object]) -> str:
        url = f"{self.reachable_url}/{path}"
        return _made(await self._api.write(method, url, body, access_token=access.access_token))

    def _person(self, card_id: str, email: str) -> Person:
        return Person("card", card_id, email, "", f"{self.reachable_url}/show/{card_id}")


def _made(answer: Answer) -> str:
    made = provider_id(json_object(answer).get("id"))
    if made is None:
        raise OutcomeUnknown("Rolodex did not say which.", status=answer.status)
    return made


def _oauth(base: str, *, client_id: str, client_secret: Secret, scope: str) -> OAuthSpec:
    return OAuthSpec(
        client_id=client_id,
        client_secret=client_secret,
        authorize_url=f"{base}/authorize",
        token_url=f"{base}/token",
        jwks_url=f"{base}/keys",
        revoke_url=f"{base}/revoke",
        issuer=base,
        scopes=("openid", "email", scope),
        required_scopes=frozenset({scope}),
        connect_parameters=MappingProxyType({}),
        reconnect_parameters=MappingProxyType({}),
        canonical_scopes=lambda text: frozenset(text.split()),
        refused=_refused,
        turned_back=_turned_back,
    )


def _identity(tokens: Tokens) -> Identity:
    claims = tokens.claims or {}
    return Identity(str(claims["iss"]), str(claims["sub"]), str(claims["email"]), str(claims["name"]))


def _refused(refusal: TokenRefusal) -> ProviderError:
    kind = ReconnectNeeded if refusal.error == "invalid_grant" else Misconfigured
    return kind(f"It refused with {refusal.error}.", status=refusal.status)


def _turned_back(refusal: CallbackRefusal) -> ConsentProblem:
    return ConsentProblem("access_denied", f"It said {refusal.error or 'nothing'}.")


ENTRIES: tuple[type[Provider], ...] = (*PROVIDERS, Postbox, Rolodex)
CONNECTABLES = [entry for entry in ENTRIES if issubclass(entry, Connectable)]
CRMS = [entry for entry in ENTRIES if issubclass(entry, Crm)]
MAILBOXES = [entry for entry in ENTRIES if issubclass(entry, Mailbox)]
SENDERS = [entry for entry in ENTRIES if issubclass(entry, Mailbox | Relay)]


def settings_at(entry: type[Provider], url: str) -> dict[str, str]:
    """Settings that make every call of `entry` arrive at `url`, its secrets being canaries."""
    values = {
        VariableKind.TEXT: "some-value",
        VariableKind.SECRET: f"canary-{entry.name}-secret",
        VariableKind.ADDRESS: "Acme Sales <sales@acme.example>",
        VariableKind.NUMBER: "1000",
    }
    return {
        variable.name: f"{url}/{variable.name}"
        if variable.kind is VariableKind.URL
        else values[variable.kind]
        for variable in entry.variables
    }
