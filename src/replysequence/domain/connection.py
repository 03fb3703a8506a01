"""One user's consent at one provider, as everybody but the vault sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class ConnectionStatus(StrEnum):
    """Whether a connection can be used."""

    ACTIVE = "active"
    NEEDS_RECONNECT = "needs_reconnect"
    """Only the person can repair it; its sends wait."""
    DISCONNECTING = "disconnecting"
    """Being taken down; nothing new is claimed."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A connected account, without its tokens.

    ``issuer`` and ``subject`` identify the account (Google ``sub``; Microsoft ``tid``+``oid``); ``email``
    is for display and as From address, and can change. ``status_reason`` is a stable word, ``problem`` the
    sentence for people.
    """

    id: str
    user_id: str
    provider: str
    issuer: str
    subject: str
    email: str
    display_name: str
    scopes: frozenset[str]
    status: ConnectionStatus
    status_reason: str | None
    problem: str | None
    is_default: bool
    connected_at: datetime
    access_token_expires_at: datetime | None
    refresh_token_expires_at: datetime | None
    token_generation: int
    look_up: bool = False
    """Its owner wants us to look in its Sent folder; whether we can is in ``scopes``."""
    category: str = "email"
    """The section of the settings page that it is in."""
    api_url: str | None = None
    """Where this account's API is, where that differs from account to account."""
    options: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What its owner chose, as it is kept."""
