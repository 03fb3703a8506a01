"""What a provider is. One provider = one file; everything that differs between providers stands in it, as
data where it can.

A provider never switches off ``state``, PKCE, ``nonce``, time-outs or size caps: those live in ``oauth.py``
and ``http.py``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from replysequence.domain.errors import Misconfigured, ProviderError
from replysequence.domain.event import Kind
from replysequence.domain.message import Address, Message, Problem
from replysequence.domain.pacing import Pace, Rate
from replysequence.domain.secret import Secret
from replysequence.providers.http import HttpClient


class Category(StrEnum):
    """The sections of Settings → Integrations, in display order."""

    MEETINGS = "meetings"
    CALENDAR = "calendar"
    EMAIL = "email"
    CRM = "crm"


class VariableKind(StrEnum):
    """How the value of an environment variable is checked."""

    TEXT = "text"
    URL = "url"
    SECRET = "secret"
    ADDRESS = "address"
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable that a provider reads. ``meaning`` is a sentence for the reference page.

    ``needed``: without a value the provider counts as not configured.
    """

    name: str
    meaning: str
    default: str = ""
    kind: VariableKind = VariableKind.TEXT
    needed: bool = False


CONSERVATIVE_LIFETIME = 300
"""Seconds that an access token is trusted when the provider does not say (RFC 6749 §5.1 only recommends that
it does).
"""

Values = Mapping[str, str]
"""Variable name → value; checked by ``settings.py``. An absent or empty one means the default."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one message may be: ``message_bytes`` is the size of the finished message; ``recipients`` counts To,
    Cc and Bcc together.
    """

    message_bytes: int
    recipients: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an account is. (``issuer``, ``subject``) is the key; ``email`` and ``display_name`` are labels that
    may change.
    """

    issuer: str
    subject: str
    email: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token answer (RFC 6749 §5.1), read leniently. Lifetimes are seconds from receipt; ``scopes`` are
    canonical names.

    ``refresh_token`` is none when the answer had none: that never overwrites a stored one. ``claims`` are
    those of the validated id_token of a code exchange; none after a refresh, and where ``openid`` was not
    asked for, even when one came. ``told`` is whatever else the answer held. ``api_url`` is where this account's API
    is, where the provider's answers tell.
    """

    access_token: Secret
    expires_in: int
    refresh_token: Secret | None
    refresh_token_expires_in: int | None
    scopes: frozenset[str]
    claims: Mapping[str, object] | None = field(repr=False)
    told: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    api_url: str | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """What a call to an account's API takes. ``api_url`` is none where the provider has one for all accounts;
    ``subject`` is the account's own, as its :class:`Identity` had it.
    """

    access_token: Secret
    api_url: str | None = None
    subject: str = ""


class ClientProof(StrEnum):
    """How we prove at the token endpoint which client we are (RFC 6749 §2.3.1)."""

    BODY = "body"
    BASIC = "basic"


@dataclass(frozen=True, slots=True)
class TokenRefusal:
    """An error answer of a token endpoint (RFC 6749 §5.2), before a provider says what it means.

    ``description`` and ``body`` are the provider's own words: read them, never show them.
    """

    status: int
    error: str
    description: str = field(repr=False)
    body: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallbackRefusal:
    """An answer on the redirect URI that brings no code (RFC 6749 §4.1.2.1). ``error`` is empty when it names
    no error.
    """

    error: str
    description: str = field(repr=False)
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConsentProblem:
    """Why a consent did not come about, for people. ``admin_consent`` says that an administrator may have to
    approve. ``unasked`` marks what comes without an attempt of ours, such as an administrator's approval: it
    is told, and nothing follows from it.
    """

    code: str
    message: str
    admin_consent: bool = False
    unasked: bool = False
    details: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class OAuthSpec:
    """An OAuth provider as data (RFC 6749, RFC 7636, OpenID Connect Core).

    ``issuer`` is what ``iss`` must be; ``{tenantid}`` in it stands for the id_token's own ``tid``, a GUID.
    ``other_issuers`` are further spellings that an id_token may have. ``jwks_url`` is empty where no id_token is asked
    for, which is to say no ``openid``. ``scopes`` are asked for;
    ``required_scopes`` (canonical names) must be granted, else the account is not connected.
    ``token_parameters`` go with every token request. ``token_url_for`` gives the token endpoint for
    refreshing an account of that issuer, where it is not ``token_url``. ``refused`` and ``turned_back`` turn
    a refusal into the error that says what it means. ``api_url_field`` names what tells an account's own API,
    and ``lifetime`` is how many seconds an access token is trusted when the answer does not say. ``names_scopes`` is
    false where the registration at the provider says which scopes are asked for, and the request does not.
    """

    client_id: str
    client_secret: Secret
    authorize_url: str
    token_url: str
    jwks_url: str
    revoke_url: str | None
    issuer: str
    scopes: tuple[str, ...]
    required_scopes: frozenset[str]
    connect_parameters: Mapping[str, str]
    reconnect_parameters: Mapping[str, str]
    canonical_scopes: Callable[[str], frozenset[str]]
    refused: Callable[[TokenRefusal], ProviderError]
    turned_back: Callable[[CallbackRefusal], ConsentProblem]
    token_parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    token_url_for: Callable[[str], str] | None = None
    other_issuers: tuple[str, ...] = ()
    client_proof: ClientProof = ClientProof.BODY
    revoking_takes_proof: bool = False
    api_url_field: str | None = None
    names_scopes: bool = True
    lifetime: int = CONSERVATIVE_LIFETIME


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that is ready but for its credentials: nothing is built once the exchange has begun.

    ``thread_id`` is the provider's own thread that the request names, if any.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    thread_id: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A provider's acceptance. Ids are the provider's own, none where it gives none (Graph answers 202 and
    nothing else). ``per_minute`` is how many calls it takes, where its answers tell.
    """

    status: int
    provider_message_id: str | None = None
    thread_id: str | None = None
    request_id: str | None = None
    per_minute: int | None = None


@dataclass(frozen=True, slots=True)
class RelayNotice:
    """What a relay tells by webhook about an earlier send.

    ``delivery_id`` is the same when the relay tells it again. ``send_id`` is ours, when the relay gave it
    back.
    """

    delivery_id: str
    provider_message_id: str
    kind: Kind
    at: datetime
    detail: str | None = None
    send_id: str | None = None


class Provider(ABC):
    """What every provider has. Built once per process from the settings, configured or not."""

    name: ClassVar[str]
    title: ClassVar[str]
    category: ClassVar[Category]
    variables: ClassVar[tuple[Variable, ...]]

    def __init__(self, values: Values, http: HttpClient) -> None:
        self._http = http
        self._values = {
            variable.name: values.get(variable.name) or variable.default for variable in self.variables
        }

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the variables without which it cannot be used; empty when it is configured."""
        return tuple(
            variable.name
            for variable in self.variables
            if variable.needed and not self._values[variable.name]
        )

    @property
    @abstractmethod
    def reachable_url(self) -> str:
        """A URL whose host ``replysequence check`` tries to reach."""

    def _require_configured(self) -> None:
        if self.missing:
            message = f"{self.title} is not set up on this server: {', '.join(self.missing)} is missing."
            raise Misconfigured(message, code="not_configured", details={"missing": list(self.missing)})


class Connectable(Provider):
    """A provider at which a person has an account of their own, connected by OAuth."""

    @property
    @abstractmethod
    def oauth(self) -> OAuthSpec:
        """The OAuth data. Raises :class:`Misconfigured` while something is :attr:`missing`."""

    @abstractmethod
    async def identify(self, tokens: Tokens) -> Identity:
        """The account that ``tokens``, fresh from a code exchange, are for: from its id_token's validated claims, or by
        asking the provider where it gives none. Raises :class:`ConnectFailed` when that does not say, and a
        :class:`ProviderError`.
        """

    @abstractmethod
    def scope_missing(self) -> str:
        """What to tell somebody who did not grant one of the required scopes."""

    @abstractmethod
    def removal_url(self, issuer: str) -> str | None:
        """Where the person can remove our consent at the provider: for when we cannot revoke it, or could not."""

    def oauth_for(self, scopes: frozenset[str]) -> OAuthSpec:  # noqa: ARG002
        """The OAuth data for an account that has granted ``scopes``. Raises as :attr:`oauth` does."""
        return self.oauth

    def admin_consent_url(self, spec: OAuthSpec, *, redirect_uri: str, state: str) -> str | None:  # noqa: ARG002
        """A link for an administrator to approve what ``spec`` asks for, for their organisation, where the provider
        has such a thing.
        """
        return None


class Mailbox(Connectable):
    """A kind of account that we send from."""

    limits: ClassVar[Limits]

    @abstractmethod
    def pace(self, email: str) -> Pace:
        """How fast the mailbox with this address may send."""

    @property
    def shared_rate(self) -> Rate | None:
        """What all mailboxes of this provider together may send, where there is such a limit."""
        return None

    @abstractmethod
    def check(self, message: Message, *, thread_id: str | None) -> list[Problem]:
        """Blockers and warnings of this provider for ``message``, before anything is sent."""

    @abstractmethod
    def prepare(self, message: Message, *, thread_id: str | None) -> Prepared:
        """Build the request for ``message``. Raises :class:`Rejected` when it cannot be carried."""

    @abstractmethod
    async def send(self, prepared: Prepared, *, access_token: Secret) -> Receipt:
        """Hand ``prepared`` to the provider, once. Raises a :class:`ProviderError` whose type says what may
        follow.

        :class:`AccessTokenRejected`: repeat once with a fresh token. :class:`NeverSent` with the code
        ``thread_not_found``: repeat once, prepared without a thread id.
        """

    @abstractmethod
    def sent_folder_url(self, *, email: str, subject: str) -> str:
        """A link that opens the person's Sent folder, at that subject where the provider can."""


class Relay(Provider):
    """A service that sends for who has connected nothing."""

    limits: ClassVar[Limits]
    pace: ClassVar[Pace]
    """How fast it may be called, unless its answers tell."""
    repeatable_for: ClassVar[timedelta]
    """How long after the first attempt the same key and bytes may be sent again without a second mail."""

    @property
    @abstractmethod
    def sender(self) -> Address:
        """The verified From address. Raises :class:`Misconfigured` while something is missing."""

    @abstractmethod
    def check(self, message: Message) -> list[Problem]:
        """Blockers and warnings of this relay for ``message``."""

    @abstractmethod
    def prepare(self, message: Message) -> Prepared:
        """Build the request for ``message``; the same message gives the same bytes, always."""

    @abstractmethod
    async def send(self, prepared: Prepared, *, key: str) -> Receipt:
        """Hand ``prepared`` over under the idempotency ``key``. Raises a :class:`ProviderError`.

        After :class:`OutcomeUnknown` the same bytes may be handed over again under the same key, within
        ``repeatable_for``.
        """

    @abstractmethod
    def read_notices(
        self, *, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Sequence[RelayNotice]:
        """Verify a webhook call and read it. Raises :class:`NotAllowed` when signature or time is wrong."""
