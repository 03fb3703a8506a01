"""What happened, append-only. History, activity page, CRM reports and webhooks all read events."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """The name of an event, as it stands in the API and in log lines."""

    SEND_ACCEPTED = "send.accepted"
    SEND_QUEUED = "send.queued"
    SEND_WAITING = "send.waiting"
    SEND_RESCHEDULED = "send.rescheduled"
    SEND_SENT = "send.sent"
    SEND_FAILED = "send.failed"
    SEND_UNKNOWN = "send.unknown"
    SEND_LOOKED_FOR = "send.looked_for"
    SEND_SETTLED = "send.settled"
    SEND_CANCELLED = "send.cancelled"
    # What a relay tells us later, by webhook.
    SEND_DELIVERED = "send.delivered"
    SEND_DELAYED = "send.delayed"
    SEND_BOUNCED = "send.bounced"
    SEND_COMPLAINED = "send.complained"

    REPORT_LOGGED = "report.logged"
    REPORT_FAILED = "report.failed"

    CONNECTION_CONNECTED = "connection.connected"
    CONNECTION_RECONNECTED = "connection.reconnected"
    CONNECTION_RECONNECT_NEEDED = "connection.reconnect_needed"
    CONNECTION_RESTORED = "connection.restored"
    CONNECTION_OWNER_TOLD = "connection.owner_told"
    CONNECTION_DEFAULT_CHANGED = "connection.default_changed"
    CONNECTION_LOOK_UP_CHANGED = "connection.look_up_changed"
    CONNECTION_DISCONNECTED = "connection.disconnected"

    DRAFT_CREATED = "draft.created"
    DRAFT_DELETED = "draft.deleted"

    USER_SIGNED_IN = "user.signed_in"
    USER_SIGN_IN_FAILED = "user.sign_in_failed"
    USER_INVITED = "user.invited"
    USER_JOINED = "user.joined"
    USER_PASSWORD_CHANGED = "user.password_changed"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. ``id`` grows with time and is the paging cursor; ``data`` holds ids and
    words, never contents.
    """

    id: int
    user_id: str
    kind: Kind
    at: datetime
    send_id: str | None
    draft_id: str | None
    connection_id: str | None
    data: Mapping[str, object]
