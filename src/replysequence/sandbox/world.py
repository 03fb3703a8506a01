"""Everything the sandbox knows, in one object that vendors, pages, control API and tests share.

What a vendor's stand-in uses:

- `world.accounts.find(vendor, email)`, `.of(vendor)`: people and their switches;
- `world.credentials`: clients, pending consents, codes, grants, tokens;
- `world.clock.now()`: the only clock; tests move it forward;
- `world.keys[vendor]`: the key that signs id_tokens;
- `world.accept(…)`: the one door through which a message is accepted. It writes the ledger before it returns;
- `world.settings[vendor]`: lifetimes and limits;
- `world.resend`: keys, domains, quotas and webhook of the Resend team;
- `world.hubspot`, `world.salesforce`: portals and orgs with their records. What is written there is in the ledger too.
- `world.calendars.of(account)`, `world.meetings`: events, and the calls that belong to them.
"""

import hashlib
import secrets
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from replysequence.sandbox.accounts import Account, Accounts, Vendor
from replysequence.sandbox.calendars import Calendars
from replysequence.sandbox.clock import Clock
from replysequence.sandbox.credentials import Client, Credentials
from replysequence.sandbox.faults import Faults
from replysequence.sandbox.hubspot_portal import HubSpot
from replysequence.sandbox.hubspot_seed import seed as seed_hubspot
from replysequence.sandbox.ledger import Entry, Ledger
from replysequence.sandbox.meetings import Meeting, Meetings
from replysequence.sandbox.resend_team import KeyKind, Team
from replysequence.sandbox.salesforce_org import Salesforce
from replysequence.sandbox.salesforce_seed import seed as seed_salesforce
from replysequence.sandbox.signing import SigningKey
from replysequence.sandbox.week import furnish
from replysequence.sandbox.zoom_scopes import ZOOM_SCOPES

SEND_ID_HEADER = "X-ReplySequence-Send-Id"

GOOGLE_CLIENT_ID = "482915730264-replysequence.apps.googleusercontent.com"
GOOGLE_CLIENT_SECRET = "google-sandbox-client-secret"
GOOGLE_PROJECT = "482915730264"
MICROSOFT_CLIENT_ID = "3d0b6c5e-52a4-4e0c-8d7c-91f7a2e46b08"
MICROSOFT_CLIENT_SECRET = "microsoft-sandbox-client-secret"
ZOOM_CLIENT_ID = "mT5kYw8rQ1uBz7cLh0eVnA"
ZOOM_CLIENT_SECRET = "zoom-sandbox-client-secret"
RESEND_API_KEY = "re_sandbox_key"
RESEND_FROM = "ReplySequence <follow-up@replysequence.example>"
RESEND_WEBHOOK_SECRET = "whsec_c2FuZGJveC13ZWJob29rLXNlY3JldC0wMQ=="
HUBSPOT_CLIENT_ID = "7b1f2c34-9d5e-4a86-8c07-5e3a9b6d1f42"
HUBSPOT_CLIENT_SECRET = "hubspot-sandbox-client-secret"
HUBSPOT_APP_ID = "2718281"
SALESFORCE_CLIENT_ID = "3MVG9sandbox.replysequence.0123456789"
SALESFORCE_CLIENT_SECRET = "salesforce-sandbox-client-secret"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message that a vendor accepted, or a notice that it wrote itself.

    `recipients` holds every address it was handed over for, `bcc` those of them that the others do not see.
    `delivered` is what recipients get, `sent_copy` what the sender finds among the sent mail. `arrived` is
    False when the vendor said yes and then dropped it.
    """

    id: str
    vendor: Vendor
    account: str
    """Address of the account that sent it; for a relay the address in From."""
    recipients: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    delivered: bytes
    sent_copy: bytes
    thread_id: str
    at: datetime
    arrived: bool
    in_sent: bool
    """Whether the sender's mailbox keeps a copy among the sent mail."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Extended properties that the sender's copy carries, by their id (Microsoft)."""


@dataclass(kw_only=True)
class VendorSettings:
    """Lifetimes and limits of one vendor. Seconds are of the sandbox's clock, but for the latency."""

    access_token_seconds: int
    code_seconds: int = 600
    max_in_flight: int
    """Sends of one account at the same time; one more is refused."""
    units_per_minute: int
    """Of one account; what a send costs is the vendor's matter."""
    send_latency_seconds: float = 0.0
    """Real time that every send takes before it is accepted."""
    sent_lag_seconds: float = 0.0
    """How long after it was accepted a message can be found in the Sent folder through the API."""
    papers_seconds: float = 300.0
    """How long after a meeting ended its notes, transcript and recording are there."""
    daily_requests: int | None = None
    """Zoom: calls of its API in a day, by UTC; None is no limit."""


PROVIDERS = {
    Vendor.GOOGLE: ("gmail", "google_calendar", "google_meet"),
    Vendor.MICROSOFT: ("outlook", "outlook_calendar", "teams"),
    Vendor.ZOOM: ("zoom",),
    Vendor.HUBSPOT: ("hubspot",),
    Vendor.SALESFORCE: ("salesforce",),
}
"""What the app calls each vendor's services in the addresses of its callbacks."""


def _default_settings() -> dict[Vendor, VendorSettings]:
    return {
        Vendor.GOOGLE: VendorSettings(access_token_seconds=3599, max_in_flight=10, units_per_minute=6000),
        Vendor.MICROSOFT: VendorSettings(access_token_seconds=4499, max_in_flight=4, units_per_minute=1000),
        Vendor.RESEND: VendorSettings(access_token_seconds=0, max_in_flight=1000, units_per_minute=600),
        Vendor.HUBSPOT: VendorSettings(access_token_seconds=1800, max_in_flight=1000, units_per_minute=660),
        Vendor.SALESFORCE: VendorSettings(
            access_token_seconds=7200, code_seconds=900, max_in_flight=25, units_per_minute=1_000_000
        ),
        Vendor.ZOOM: VendorSettings(
            access_token_seconds=3599, code_seconds=300, max_in_flight=1000, units_per_minute=1200
        ),
    }


class World:
    """The whole state of one sandbox.

    `redirect_uris` are registered for every seeded client. `ledger_path`, where given, gets one JSON line for each
    accepted message and each record that was written into a CRM.
    """

    def __init__(self, *, redirect_uris: Iterable[str] = (), ledger_path: Path | None = None) -> None:
        self.clock = Clock()
        self.accounts = Accounts()
        self.credentials = Credentials(self.clock)
        self.faults = Faults(self.clock)
        self.ledger = Ledger(ledger_path)
        self.keys = {
            vendor: SigningKey(f"{vendor.value}-sandbox-1")
            for vendor in (Vendor.GOOGLE, Vendor.MICROSOFT, Vendor.SALESFORCE)
        }
        self.settings = _default_settings()
        self.resend = Team(
            keys={RESEND_API_KEY: KeyKind.SENDING},
            verified_domains={"replysequence.example"},
            owner="owner@replysequence.example",
            webhook_secret=RESEND_WEBHOOK_SECRET,
        )
        self.hubspot = HubSpot(clock=self.clock, ledger=self.ledger)
        seed_hubspot(self.hubspot)
        self.salesforce = Salesforce(clock=self.clock, ledger=self.ledger)
        seed_salesforce(self.salesforce, self.accounts.of(Vendor.SALESFORCE))
        self.calendars = Calendars(self.clock)
        self.meetings = Meetings(self.clock)
        furnish(self.accounts, self.calendars, self.meetings, now=self.clock.now())
        self.messages: dict[str, Message] = {}
        self._inboxes: dict[str, list[str]] = defaultdict(list)
        self._accepted_at: dict[tuple[Vendor, str], deque[datetime]] = defaultdict(deque)
        self._register_clients(set(redirect_uris))

    def _register_clients(self, redirect_uris: set[str]) -> None:
        def register(vendor: Vendor, client_id: str, secret: str, *, project: str) -> Client:
            return self.credentials.register(
                Client(
                    vendor=vendor,
                    client_id=client_id,
                    secret=secret,
                    project=project,
                    redirect_uris=set(redirect_uris),
                )
            )

        self.google_client = register(
            Vendor.GOOGLE, GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET, project=GOOGLE_PROJECT
        )
        self.microsoft_client = register(
            Vendor.MICROSOFT, MICROSOFT_CLIENT_ID, MICROSOFT_CLIENT_SECRET, project=MICROSOFT_CLIENT_ID
        )
        self.hubspot_client = register(
            Vendor.HUBSPOT, HUBSPOT_CLIENT_ID, HUBSPOT_CLIENT_SECRET, project=HUBSPOT_APP_ID
        )
        self.salesforce_client = register(
            Vendor.SALESFORCE, SALESFORCE_CLIENT_ID, SALESFORCE_CLIENT_SECRET, project=SALESFORCE_CLIENT_ID
        )
        self.zoom_client = register(Vendor.ZOOM, ZOOM_CLIENT_ID, ZOOM_CLIENT_SECRET, project=ZOOM_CLIENT_ID)
        self.zoom_client.scopes = ZOOM_SCOPES

    def register_app(self, public_url: str) -> None:
        """Register the callbacks of an app at `public_url` for the seeded clients."""
        for client in self.credentials.clients.values():
            client.redirect_uris.update(
                f"{public_url.rstrip('/')}/api/auth/{provider}/callback"
                for provider in PROVIDERS[client.vendor]
            )

    def accept(
        self,
        *,
        vendor: Vendor,
        account: str,
        handed: bytes,
        delivered: bytes,
        sent_copy: bytes,
        recipients: Sequence[str],
        bcc: Sequence[str] = (),
        subject: str,
        send_id: str | None,
        idempotency_key: str | None = None,
        message_id: str | None = None,
        thread_id: str | None = None,
        arrives: bool = True,
        in_sent: bool = True,
        properties: Mapping[str, str] | None = None,
    ) -> Message:
        """Accept a message: ledger first, then the mailboxes. Call it once, right before answering success.

        `handed` is what the vendor was given, byte for byte (the RFC 5322 message or the JSON body).
        `recipients` is everyone, `bcc` included. `message_id` is the vendor's id for it, made up if absent;
        `thread_id` defaults to it. With `arrives=False` nobody receives it, though the vendor says yes.
        """
        now = self.clock.now()
        message_id = message_id or secrets.token_hex(8)
        self.ledger.append(
            Entry(
                n=self.ledger.next_number(),
                vendor=vendor.value,
                account=account,
                message=message_id,
                send_id=send_id,
                idempotency_key=idempotency_key,
                recipients=tuple(recipients),
                subject=subject,
                sha256=hashlib.sha256(handed).hexdigest(),
                delivered=arrives,
                at=now.isoformat(),
            )
        )
        self._accepted_at[vendor, account.casefold()].append(now)
        return self._keep(
            Message(
                id=message_id,
                vendor=vendor,
                account=account,
                recipients=tuple(recipients),
                bcc=tuple(bcc),
                subject=subject,
                delivered=delivered,
                sent_copy=sent_copy,
                thread_id=thread_id or message_id,
                at=now,
                arrived=arrives,
                in_sent=in_sent,
                properties=dict(properties or {}),
            )
        )

    def notify(self, *, vendor: Vendor, recipient: str, subject: str, raw: bytes) -> Message:
        """Deliver a notice that the vendor itself writes, such as a bounce: no acceptance, no ledger line."""
        return self._keep(
            Message(
                id=secrets.token_hex(8),
                vendor=vendor,
                account="mailer-daemon",
                recipients=(recipient,),
                bcc=(),
                subject=subject,
                delivered=raw,
                sent_copy=b"",
                thread_id="",
                at=self.clock.now(),
                arrived=True,
                in_sent=False,
            )
        )

    def _keep(self, message: Message) -> Message:
        self.messages[message.id] = message
        if message.arrived:
            for address in dict.fromkeys(recipient.casefold() for recipient in message.recipients):
                self._inboxes[address].append(message.id)
        return message

    def has_papers(self, meeting: Meeting) -> bool:
        """Whether the platform shows notes, transcript and recording of `meeting` by now."""
        return self.meetings.has_papers(
            meeting, after_seconds=self.settings[meeting.platform.vendor].papers_seconds
        )

    def accepted_in_a_day(self, account: Account) -> Sequence[datetime]:
        """When messages of `account` were accepted in the last 24 hours, oldest first. Not to be changed."""
        times = self._accepted_at[account.vendor, account.email.casefold()]
        while times and times[0] <= self.clock.now() - timedelta(hours=24):
            times.popleft()
        return times

    def mailboxes(self) -> dict[str, int]:
        """Every address that received something, with the number of its messages."""
        return {address: len(ids) for address, ids in sorted(self._inboxes.items())}

    def inbox(self, address: str) -> list[Message]:
        """What `address` received, newest first."""
        return [
            self.messages[message_id] for message_id in reversed(self._inboxes.get(address.casefold(), []))
        ]

    def sent_by(self, account: str) -> list[Message]:
        """What lies in the Sent folder of `account`, newest first."""
        mine = account.casefold()
        return [m for m in reversed(self.messages.values()) if m.in_sent and m.account.casefold() == mine]

    def found_in_sent(self, account: Account) -> list[Message]:
        """What the vendor's API finds in the Sent folder of `account` by now, newest first."""
        lag = timedelta(seconds=self.settings[account.vendor].sent_lag_seconds)
        seen = self.clock.now() - lag
        mine = (m for m in self.sent_by(account.email) if m.vendor is account.vendor)
        return [m for m in mine if m.at <= seen]
