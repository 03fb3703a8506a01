"""The cards of Settings → Integrations: each provider, how it stands, and what a person has connected there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from replysequence.domain.connection import Connection
from replysequence.providers.base import Category, Connectable, Provider
from replysequence.providers.looking import LookUp, Searchable
from replysequence.storage import connections, outages, platforms
from replysequence.storage.database import Transaction, now
from replysequence.storage.outages import Outage


@dataclass(frozen=True, slots=True)
class ProviderCard:
    """A provider on the settings page, with this person's connections there."""

    name: str
    title: str
    category: Category
    configured: bool
    missing: tuple[str, ...]
    redirect_uri: str | None
    """To be registered at the provider; none where nobody connects an account."""
    connections: tuple[Connection, ...]
    look_up: LookUp | None = None
    """The permission to look in a Sent folder here, where there is such a thing."""
    problem: str | None = None
    """What everybody meets here at the moment: the provider is down."""
    down_since: datetime | None = None
    waiting: int = 0
    """How many of this person's sends wait for that to end."""

    @property
    def can_connect(self) -> bool:
        """Whether a person can connect an account here now."""
        return self.configured and self.redirect_uri is not None


@dataclass(frozen=True, slots=True)
class Standing:
    """A person's connections, and the providers that are down, each with how many of their sends wait for it."""

    connections: Sequence[Connection]
    down: Mapping[str, tuple[Outage, int]]


def read_standing(transaction: Transaction, *, user_id: str, providers: Sequence[str]) -> Standing:
    """How it all stands for this person."""
    mine = connections.list_for_user(transaction, user_id=user_id)
    down = {}
    for name, outage in outages.present(transaction, providers=providers).items():
        queues = [name, *(each.id for each in mine if each.provider == name)]
        waiting = outages.waiting(transaction, user_id=user_id, route_ids=queues, at=now(transaction))
        down[name] = outage, waiting
    return Standing([*mine, *platforms.list_for_user(transaction, user_id=user_id)], down)


def card_of(provider: Provider, found: Standing, *, redirect_uri: str) -> ProviderCard:
    """The card of ``provider``; ``redirect_uri`` counts where a person can connect an account."""
    outage, waiting = found.down.get(provider.name, (None, 0))
    return ProviderCard(
        name=provider.name,
        title=provider.title,
        category=provider.category,
        configured=not provider.missing,
        missing=provider.missing,
        redirect_uri=redirect_uri if isinstance(provider, Connectable) else None,
        connections=tuple(each for each in found.connections if each.provider == provider.name),
        look_up=provider.look_up if isinstance(provider, Searchable) else None,
        problem=outage.explanation if outage else None,
        down_since=outage.since if outage else None,
        waiting=waiting,
    )
