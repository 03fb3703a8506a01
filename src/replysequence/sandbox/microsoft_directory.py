"""Tenants, tenant segments, permissions and consent at the Microsoft stand-in.

Source: Microsoft identity platform, "OpenID Connect", "Scopes" and "Manage app consent policies",
checked 2026-11-22.
"""

import base64
import hashlib
from collections import defaultdict
from collections.abc import Container, Iterable

from replysequence.sandbox.accounts import CONSUMERS_TENANT, Account, Vendor
from replysequence.sandbox.credentials import Client
from replysequence.sandbox.world import World

RESOURCE = "https://graph.microsoft.com/"
OFFLINE = "offline_access"
SIGN_IN = frozenset({"openid", "profile", "email", OFFLINE})

PERMISSIONS = {
    "openid": "Sign you in",
    "profile": "View your basic profile",
    "email": "View your email address",
    OFFLINE: "Maintain access to data you have given it access to",
    "User.Read": "Sign you in and read your profile",
    "Mail.Send": "Send mail as you",
    "Mail.ReadBasic": "Read your basic mail",
    "Mail.Read": "Read your mail",
    "Mail.ReadWrite": "Read and write access to your mail",
    "Calendars.ReadBasic": "Read the basic details of your calendars",
    "Calendars.Read": "Read your calendars",
    "Calendars.ReadWrite": "Have full access to your calendars",
    "OnlineMeetings.Read": "Read your online meetings",
    "OnlineMeetings.ReadWrite": "Read and create your online meetings",
    "OnlineMeetingTranscript.Read.All": "Read all transcripts of online meetings",
    "OnlineMeetingArtifact.Read.All": "Read the attendance and other artifacts of your online meetings",
}
"""Scope → the sentence of the consent page."""

ADMIN_ONLY = frozenset(
    {
        "Mail.ReadBasic",
        "Mail.Read",
        "Mail.ReadWrite",
        "Calendars.ReadBasic",
        "Calendars.Read",
        "Calendars.ReadWrite",
        "OnlineMeetings.Read",
        "OnlineMeetings.ReadWrite",
        "OnlineMeetingTranscript.Read.All",
        "OnlineMeetingArtifact.Read.All",
    }
)
"""What the Microsoft-managed consent policy keeps from users of work accounts, not `Mail.Send`; or what only an
administrator may ever grant.
"""

_CANONICAL = {name.lower(): name for name in PERMISSIONS}
_SHARED_SEGMENTS = frozenset({"common", "organizations", "consumers"})


class UnknownScope(Exception):
    """A scope that no permission has; `scope` is it, as it came."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


def read_scopes(text: str) -> tuple[str, ...]:
    """The permissions in a `scope` parameter, by their short names. Raises UnknownScope.

    Only blanks separate: a tab or line break becomes part of a name (AADSTS650053).
    """
    names = (name.removeprefix(RESOURCE) for name in text.split(" ") if name)
    return tuple(dict.fromkeys(_canonical(name) for name in names))


def _canonical(name: str) -> str:
    try:
        return _CANONICAL[name.lower()]
    except KeyError:
        raise UnknownScope(name) from None


def read_short_names(text: str) -> frozenset[str]:
    """The permissions that a `scope` parameter asks for without the resource in front."""
    return frozenset(_CANONICAL.get(name.lower(), name) for name in text.split(" "))


def write_scopes(scopes: Iterable[str], *, short: Container[str] = SIGN_IN) -> str:
    """The `scope` of an answer, never with `offline_access`: names of Graph as URLs, but for those in `short`."""
    shown = [scope for scope in scopes if scope != OFFLINE]
    return " ".join(scope if scope in SIGN_IN or scope in short else RESOURCE + scope for scope in shown)


def pairwise_subject(account: Account, client: Client) -> str:
    """The `sub` of an id_token: differs between applications, and from the `oid`."""
    digest = hashlib.sha256(f"{client.client_id}/{account.subject}".encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Directory:
    """Which tenants there are, who belongs to them, and what their administrators have allowed."""

    def __init__(self, world: World) -> None:
        self._accounts = world.accounts
        self._credentials = world.credentials
        self._allowed: dict[tuple[str, str], set[str]] = defaultdict(set)

    def tenants(self) -> dict[str, str]:
        """Every work or school tenant, id → the domain of its first account."""
        found: dict[str, str] = {}
        for account in self._accounts.of(Vendor.MICROSOFT):
            if not account.is_personal:
                found.setdefault(account.tenant, account.email.rpartition("@")[2])
        return found

    def tenant_id(self, segment: str) -> str | None:
        """The tenant that a path segment names, by id or domain; None for shared and unknown ones."""
        if segment in {"consumers", CONSUMERS_TENANT}:
            return CONSUMERS_TENANT
        for tenant, domain in self.tenants().items():
            if segment.lower() in (tenant, domain):
                return tenant
        return None

    def knows(self, segment: str) -> bool:
        """Whether `/{segment}/` is a place to sign in."""
        return segment in _SHARED_SEGMENTS or self.tenant_id(segment) is not None

    def admits(self, segment: str, account: Account) -> bool:
        """Whether `account` may sign in under `/{segment}/`."""
        if segment == "common":
            return True
        if segment == "organizations":
            return not account.is_personal
        return self.tenant_id(segment) == account.tenant

    def allow(self, tenant: str, client: Client, scopes: Iterable[str]) -> None:
        """An administrator consents for everybody in `tenant`."""
        self._allowed[tenant, client.client_id].update(scopes)

    def needs_consent(self, account: Account, client: Client, scopes: Iterable[str]) -> list[str]:
        """Which of `scopes` neither this person nor an administrator of the tenant has granted."""
        grant = self._credentials.grant(account, client.project)
        granted = (grant.scopes if grant else set()) | self._allowed[account.tenant, client.client_id]
        return [scope for scope in scopes if scope not in granted]

    def user_may_consent(self, account: Account, scopes: Iterable[str]) -> bool:
        """Whether the tenant lets its users grant `scopes` without an administrator."""
        if account.is_personal:
            return True
        beyond_sign_in = set(scopes) - SIGN_IN - {"User.Read"}
        if account.switches.at_consent.startswith("admin_approval"):
            return not beyond_sign_in
        return not beyond_sign_in & ADMIN_ONLY
