"""The people of the sandbox: who can sign in at which vendor, and what goes wrong for them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

CONSUMERS_TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"
"""The tenant id of every personal Microsoft account (Microsoft identity platform, checked 2026-11-22)."""

SwitchValue = str | int | bool | None


class Vendor(StrEnum):
    """Whose stand-in answers."""

    GOOGLE = "google"
    MICROSOFT = "microsoft"
    RESEND = "resend"
    HUBSPOT = "hubspot"
    SALESFORCE = "salesforce"
    ZOOM = "zoom"


CRMS = (Vendor.HUBSPOT, Vendor.SALESFORCE)
"""The vendors that keep records of people."""


@dataclass(kw_only=True)
class Switches:
    """What is out of the ordinary for one account, until switched back.

    `at_consent`, `at_token` and `at_send` name a row of the vendor's own table of failures
    (`Site.consent_failures`, `.token_failures`, `.send_failures`); an empty string means that all is well.
    """

    at_consent: str = ""
    at_token: str = ""
    at_send: str = ""
    unverified_app: bool = False
    """Show the "not verified" interstitial before the consent page."""
    daily_messages: int | None = None
    """Messages in a rolling 24 hours; None takes the vendor's usual number for this kind of account."""
    unnoticed_messages: int = 0
    """So many messages beyond the daily limit are answered with success, though nothing is delivered."""


@dataclass(kw_only=True)
class Account:
    """One person at one vendor.

    `subject` is the stable id (Google `sub`, Microsoft `oid`, the user's id at Zoom or a CRM). `tenant` is the hosted
    domain at Google (empty for a consumer account), the tenant id at Microsoft, the portal at HubSpot, the org at
    Salesforce, the account id at Zoom.
    """

    vendor: Vendor
    email: str
    name: str
    subject: str
    tenant: str = ""
    aliases: frozenset[str] = frozenset()
    """Further addresses that this account may send from."""
    has_mail_attribute: bool = True
    """Microsoft: False for accounts whose id_token never has an `email`, such as many guests."""
    switches: Switches = field(default_factory=Switches)

    @property
    def given_name(self) -> str:
        return self.name.partition(" ")[0]

    @property
    def family_name(self) -> str:
        return self.name.partition(" ")[2]

    @property
    def is_personal(self) -> bool:
        """Whether this is a consumer account, at either vendor."""
        return self.tenant in ("", CONSUMERS_TENANT)

    def owns(self, address: str) -> bool:
        """Whether `address` is this account's own or one of its verified aliases."""
        return address.casefold() in {self.email.casefold(), *(alias.casefold() for alias in self.aliases)}

    def switch(self, changes: Mapping[str, SwitchValue]) -> None:
        """Apply `changes` to the switches. Raises `ValueError` for an unknown name or a wrong type."""
        known = {item.name: type(item.default) for item in fields(Switches)}
        for name, value in changes.items():
            if name not in known:
                raise ValueError(f"There is no switch {name!r}; the switches are {', '.join(known)}.")
            allowed = (int, type(None)) if known[name] is type(None) else (known[name],)
            if type(value) not in allowed:
                raise ValueError(f"Switch {name!r} cannot be {value!r}.")
        self.switches = replace(self.switches, **changes)  # type: ignore[arg-type]  # checked just above


SEED: tuple[Account, ...] = (
    Account(
        vendor=Vendor.GOOGLE,
        email="dana.reyes@brightwave.example",
        name="Dana Reyes",
        subject="104857600000000000017",
        tenant="brightwave.example",
        aliases=frozenset({"sales@brightwave.example"}),
    ),
    Account(
        vendor=Vendor.GOOGLE,
        email="dana.reyes@gmail.example",
        name="Dana Reyes",
        subject="104857600000000000028",
    ),
    Account(
        vendor=Vendor.MICROSOFT,
        email="dana.reyes@contoso.example",
        name="Dana Reyes",
        subject="6f0d7a52-38c1-4f4e-9f0b-0d7c2f1b8a11",
        tenant="5c1f0a3e-7d42-4b6a-9a55-2f6d1e9b7c30",
    ),
    Account(
        vendor=Vendor.MICROSOFT,
        email="dana.reyes@outlook.example",
        name="Dana Reyes",
        subject="00000000-0000-0000-3b7e-51a9c0d4e622",
        tenant=CONSUMERS_TENANT,
    ),
    Account(
        vendor=Vendor.MICROSOFT,
        email="nina.novak@lockdown.example",
        name="Nina Novak",
        subject="b82c9e07-1a6d-4d0f-8e33-7c5a4f2d9b44",
        tenant="e0b6d3c8-94a7-4c1d-b2f6-83d5a7c9e155",
        switches=Switches(at_consent="admin_approval"),
    ),
    Account(
        vendor=Vendor.MICROSOFT,
        email="gus.guest@fabrikam.example",
        name="Gus Guest",
        subject="d94e2b60-5f3c-4a8e-a1d7-6b0c8f7e3a66",
        tenant="5c1f0a3e-7d42-4b6a-9a55-2f6d1e9b7c30",
        has_mail_attribute=False,
        switches=Switches(at_send="no_mailbox"),
    ),
    Account(
        vendor=Vendor.HUBSPOT,
        email="dana.reyes@brightwave.example",
        name="Dana Reyes",
        subject="5550101",
        tenant="24681357",
    ),
    Account(
        vendor=Vendor.HUBSPOT,
        email="dana.reyes@contoso.example",
        name="Dana Reyes",
        subject="5550202",
        tenant="13572468",
    ),
    Account(
        vendor=Vendor.SALESFORCE,
        email="dana.reyes@brightwave.example",
        name="Dana Reyes",
        subject="005gL0000000101QAA",
        tenant="00DgL0000000001UAA",
    ),
    Account(
        vendor=Vendor.SALESFORCE,
        email="dana.reyes@contoso.example",
        name="Dana Reyes",
        subject="005gL0000000202QAA",
        tenant="00DgL0000000002UAA",
    ),
    Account(
        vendor=Vendor.ZOOM,
        email="dana.reyes@brightwave.example",
        name="Dana Reyes",
        subject="zQ4xR7nTSk2mVbWc0eYh1g",
        tenant="Hk8Lw2PqRvGd5sNf3uJz9A",
    ),
)


class Accounts:
    """The registry of accounts, keyed by vendor and address (case-insensitive)."""

    def __init__(self, accounts: tuple[Account, ...] = SEED) -> None:
        self._accounts: dict[tuple[Vendor, str], Account] = {}
        for account in accounts:
            self.add(replace(account, switches=replace(account.switches)))

    def __iter__(self) -> Iterator[Account]:
        return iter(list(self._accounts.values()))

    def add(self, account: Account) -> Account:
        """Register `account` and return it; one with the same vendor and address is replaced."""
        self._accounts[account.vendor, account.email.casefold()] = account
        return account

    def of(self, vendor: Vendor) -> list[Account]:
        """Every account at `vendor`, in order of registration."""
        return [account for account in self if account.vendor is vendor]

    def find(self, vendor: Vendor, email: str) -> Account | None:
        """The account with this address at `vendor`, or None."""
        return self._accounts.get((vendor, email.casefold()))

    def at(self, vendor: Vendor, email: str) -> Account:
        """The account with this address at `vendor`. Raises `KeyError` when there is none."""
        return self._accounts[vendor, email.casefold()]
