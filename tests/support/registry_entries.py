"""Every provider of the registry, and a third mailbox that exists in this file and nowhere else."""

from datetime import timedelta
from types import MappingProxyType
from typing import ClassVar

from replysequence.domain.errors import Misconfigured, ProviderError, ReconnectNeeded
from replysequence.domain.message import Message, Problem
from replysequence.domain.pacing import Pace, Rate
from replysequence.domain.secret import Secret
from replysequence.providers.answers import hand_over, json_object, provider_id
from replysequence.providers.base import (
    CallbackRefusal,
    Category,
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
from replysequence.providers.carrying import write_mime
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
        base = self._values["POSTBOX_URL"]
        return OAuthSpec(
            client_id=self._values["POSTBOX_CLIENT_ID"],
            client_secret=Secret(self._values["POSTBOX_CLIENT_SECRET"]),
            authorize_url=f"{base}/authorize",
            token_url=f"{base}/token",
            jwks_url=f"{base}/keys",
            revoke_url=f"{base}/revoke",
            issuer=base,
            scopes=("openid", "email", "post"),
            required_scopes=frozenset({"post"}),
            connect_parameters=MappingProxyType({}),
            reconnect_parameters=MappingProxyType({}),
            canonical_scopes=lambda text: frozenset(text.split()),
            refused=_refused,
            turned_back=_turned_back,
        )

    async def identify(self, tokens: Tokens) -> Identity:
        claims = tokens.claims or {}
        return Identity(str(claims["iss"]), str(claims["sub"]), str(claims["email"]), str(claims["name"]))

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


def _refused(refusal: TokenRefusal) -> ProviderError:
    kind = ReconnectNeeded if refusal.error == "invalid_grant" else Misconfigured
    return kind(f"Postbox refused with {refusal.error}.", status=refusal.status)


def _turned_back(refusal: CallbackRefusal) -> ConsentProblem:
    return ConsentProblem("access_denied", f"Postbox said {refusal.error or 'nothing'}.")


ENTRIES: tuple[type[Provider], ...] = (*PROVIDERS, Postbox)
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
