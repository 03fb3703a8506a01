"""Which providers there are. Adding one is one file and one line in ``PROVIDERS``."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from replysequence.domain.errors import NotFound
from replysequence.domain.pacing import Pace, Rate
from replysequence.providers.base import Category, Connectable, Mailbox, Provider, Relay, Values, Variable
from replysequence.providers.crm import Crm
from replysequence.providers.gmail import Gmail
from replysequence.providers.http import HttpClient
from replysequence.providers.looking import Searchable
from replysequence.providers.outlook import Outlook
from replysequence.providers.resend import Resend

PROVIDERS: tuple[type[Provider], ...] = (
    Gmail,
    Outlook,
    Resend,
)


class Registry:
    """Every provider, built from the settings. Those that are not configured are there too, and say what is
    missing.
    """

    def __init__(
        self, values: Values, http: HttpClient, *, providers: Sequence[type[Provider]] = PROVIDERS
    ) -> None:
        self._providers = {provider.name: provider(values, http) for provider in providers}

    @staticmethod
    def variables(providers: Sequence[type[Provider]] = PROVIDERS) -> tuple[Variable, ...]:
        """Every environment variable that a provider reads, each once, in the order of the providers."""
        return tuple(dict.fromkeys(variable for provider in providers for variable in provider.variables))

    def provider(self, name: str) -> Provider:
        """The provider called ``name``. Raises :class:`NotFound`."""
        try:
            return self._providers[name]
        except KeyError:
            raise NotFound("provider") from None

    def connectable(self, name: str) -> Connectable:
        """The same, when a person can connect an account there. Raises :class:`NotFound`."""
        provider = self.provider(name)
        if not isinstance(provider, Connectable):
            raise NotFound("provider")
        return provider

    def mailbox(self, name: str) -> Mailbox:
        """The same, when mail can be sent from an account there. Raises :class:`NotFound`."""
        provider = self.provider(name)
        if not isinstance(provider, Mailbox):
            raise NotFound("provider")
        return provider

    def crm(self, name: str) -> Crm:
        """The same, when it is a CRM. Raises :class:`NotFound`."""
        provider = self.provider(name)
        if not isinstance(provider, Crm):
            raise NotFound("provider")
        return provider

    def crms(self) -> list[Crm]:
        """Every CRM, configured or not."""
        return [each for each in self._providers.values() if isinstance(each, Crm)]

    def relay(self) -> Relay | None:
        """The first relay that is configured, if any."""
        return next((relay for relay in self._relays() if not relay.missing), None)

    def relay_named(self, name: str) -> Relay:
        """The relay called ``name``, configured or not. Raises :class:`NotFound`."""
        provider = self.provider(name)
        if not isinstance(provider, Relay):
            raise NotFound("provider")
        return provider

    def senders(self) -> tuple[str, ...]:
        """The names of all mailboxes and relays."""
        return tuple(each.name for each in self._providers.values() if isinstance(each, Mailbox | Relay))

    def pace(self, via: str, email: str | None) -> Pace:
        """How fast a mailbox, by its address, or a relay may send. Raises :class:`NotFound`."""
        return self.relay_named(via).pace if email is None else self.mailbox(via).pace(email)

    def shared_rates(self) -> Mapping[str, Rate]:
        """By provider name: what all of its mailboxes together may send."""
        mailboxes = (each for each in self._providers.values() if isinstance(each, Mailbox))
        return {each.name: each.shared_rate for each in mailboxes if each.shared_rate is not None}

    def searchable(self) -> list[Searchable]:
        """The mailboxes in whose Sent folders we can look, where their owners let us."""
        return [each for each in self._providers.values() if isinstance(each, Searchable)]

    def repeatable(self) -> Mapping[str, timedelta]:
        """By relay name: for how long after the first attempt a send may simply be repeated under its key."""
        return {relay.name: relay.repeatable_for for relay in self._relays()}

    def by_category(self) -> list[tuple[Category, list[Provider]]]:
        """Every category in display order, also an empty one, with its providers."""
        providers = self._providers.values()
        return [
            (category, [each for each in providers if each.category is category]) for category in Category
        ]

    def _relays(self) -> list[Relay]:
        return [each for each in self._providers.values() if isinstance(each, Relay)]
