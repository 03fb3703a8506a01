"""Every table. Columns with secrets are tagged ``info={"secret": True}``: key rotation finds them by that."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

from replysequence.domain.connection import ConnectionStatus
from replysequence.domain.report import ReportState
from replysequence.domain.send import State
from replysequence.storage.column_types import Id, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

SECRET = {"secret": True}


def _id(name: str = "id", *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    return Column(name, Id, primary_key=primary_key, nullable=nullable)


def _moment(name: str, *, nullable: bool = False) -> Column[datetime]:
    return Column(name, UtcDateTime, nullable=nullable)


def _user() -> Column[str]:
    return Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False)


def _secret(name: str, *, nullable: bool = True) -> Column[str]:
    return Column(name, Text, nullable=nullable, info=SECRET)


def in_states(column: ColumnElement[str], states: Iterable[State]) -> ColumnElement[bool]:
    """``column`` is one of ``states``, written out: so a statement can run with many rows, and a partial index with
    the same words is used.
    """
    return column.in_([literal_column(f"'{state}'") for state in sorted(states)])


def _one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


users = Table(
    "users",
    metadata,
    _id(primary_key=True),
    Column("email", String(320), nullable=False, unique=True),
    Column("name", String(200), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False),
    Column("time_zone", String(64)),  # an IANA name; none until it is known
    Column("undo_seconds", Integer, nullable=False, server_default="10"),
    _moment("created_at"),
    _moment("updated_at"),
)

invitations = Table(
    "invitations",
    metadata,
    _id(primary_key=True),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("email", String(320)),  # none on the set-up link of a first start
    Column("is_admin", Boolean, nullable=False),
    Column("invited_by", Id, ForeignKey("users.id", ondelete="CASCADE")),
    _moment("created_at"),
    _moment("expires_at"),
    _moment("used_at", nullable=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    _user(),
    _moment("created_at"),
    _moment("last_seen_at"),
    _moment("expires_at"),
    Index(None, "user_id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    _id(primary_key=True),
    _user(),
    Column("name", String(100), nullable=False),
    Column("prefix", String(16), nullable=False),
    Column("key_hash", String(64), nullable=False, unique=True),
    _moment("created_at"),
    _moment("last_used_at", nullable=True),
    _moment("revoked_at", nullable=True),
    Index(None, "user_id"),
)

throttles = Table(
    "throttles",
    metadata,
    Column("key", String(200), primary_key=True),
    Column("tokens", Float, nullable=False),
    _moment("updated_at"),
)

vault_keys = Table(
    "vault_keys",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("proof", Text, nullable=False),
    _moment("created_at"),
)

oauth_attempts = Table(
    "oauth_attempts",
    metadata,
    _id(primary_key=True),
    Column("state_hash", String(64), nullable=False, unique=True),
    _user(),
    Column("session_hash", String(64), nullable=False),
    Column("provider", String(32), nullable=False),
    _id("connection_id", nullable=True),
    _secret("code_verifier_encrypted", nullable=False),
    _secret("nonce_encrypted", nullable=False),
    Column("redirect_uri", Text, nullable=False),
    _moment("created_at"),
    _moment("expires_at"),
    Column("look_up", Boolean, nullable=False, server_default=false()),
)


def _account() -> list[Column[Any]]:
    """What every connection has, whatever is connected: whose it is, which account, and its tokens."""
    return [
        _id(primary_key=True),
        _user(),
        Column("provider", String(32), nullable=False),
        Column("issuer", Text, nullable=False),
        Column("subject", Text, nullable=False),
        Column("email", String(320), nullable=False),
        Column("display_name", String(200), nullable=False),
        _secret("access_token_encrypted"),
        _secret("refresh_token_encrypted"),
        _moment("access_token_expires_at", nullable=True),
        _moment("refresh_token_expires_at", nullable=True),
        Column("scopes", Text, nullable=False),
        Column("status", String(20), nullable=False),
        Column("status_reason", String(64)),
        Column("problem", Text),
        Column("token_generation", Integer, nullable=False),
        # The lease of who is refreshing the tokens right now (an incarnation), and until when.
        _id("refresh_owner", nullable=True),
        _moment("refresh_until", nullable=True),
        # Since when the provider refuses to renew its tokens; none once it has renewed them.
        _moment("refused_since", nullable=True),
        _moment("connected_at"),
        _moment("created_at"),
        _moment("updated_at"),
    ]


email_connections = Table(
    "email_connections",
    metadata,
    *_account(),
    Column("is_default", Boolean, nullable=False),
    # Whether its owner lets us look in the Sent folder; that we can is in the scopes.
    Column("look_up", Boolean, nullable=False, server_default=false()),
    UniqueConstraint("user_id", "provider", "issuer", "subject"),
    CheckConstraint(_one_of("status", ConnectionStatus), name="status"),
    Index(
        "uq_email_connections_default",
        "user_id",
        unique=True,
        sqlite_where=text("is_default"),
        postgresql_where=text("is_default"),
    ),
)

platform_connections = Table(
    "platform_connections",
    metadata,
    *_account(),
    Column("category", String(20), nullable=False),  # meetings, calendar or crm
    Column("api_url", Text),  # where this account's API is, where the provider's answers tell
    Column("options", Text, nullable=False),  # JSON: what its owner chose
    UniqueConstraint("user_id", "provider", "issuer", "subject"),
    CheckConstraint(_one_of("status", ConnectionStatus), name="status"),
)

drafts = Table(
    "drafts",
    metadata,
    _id(primary_key=True),
    _user(),
    Column("version", Integer, nullable=False),
    # A DraftContent as JSON in two parts: lists read the head and leave the bodies, which can be large.
    Column("head", Text, nullable=False),
    Column("body", Text, nullable=False),
    _moment("created_at"),
    _moment("updated_at"),
    _moment("deleted_at", nullable=True),
    Index(
        "ix_drafts_listed",
        "user_id",
        "updated_at",
        "id",
        sqlite_where=text("deleted_at IS NULL"),
        postgresql_where=text("deleted_at IS NULL"),
    ),
)

attachments = Table(
    "attachments",
    metadata,
    _id(primary_key=True),
    _user(),
    Column("draft_id", Id, ForeignKey("drafts.id", ondelete="CASCADE"), nullable=False),
    Column("filename", Text, nullable=False),
    Column("content_type", String(200), nullable=False),
    Column("content_id", String(200)),
    Column("size", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),
    _moment("created_at"),
    # Kept after it was taken off the draft: an accepted send still needs it.
    _moment("removed_at", nullable=True),
    Index(None, "draft_id"),
)

routes = Table(
    "routes",
    metadata,
    # A connection's id, or a provider's name: a relay's queue, and what all mailboxes of a provider share.
    Column("id", String(64), primary_key=True),
    Column("via", String(32), nullable=False),
    _id("connection_id", nullable=True),
    _moment("next_at", nullable=True),  # when its next send may be claimed; none when there is none
    _moment(
        "paced_until", nullable=True
    ),  # before that, another call would be faster than the provider allows
    Column("per_minute", Integer),  # calls, where the provider tells its limit in its answers
    _moment("paused_until", nullable=True),
    Column("pause_reason", String(64)),
    Column("pause_explanation", Text),
    _moment("down_since", nullable=True),  # while the reason is that the provider is down
    Index(
        "ix_routes_due",
        "via",
        "next_at",
        sqlite_where=text("next_at IS NOT NULL"),
        postgresql_where=text("next_at IS NOT NULL"),
    ),
)

route_usage = Table(
    "route_usage",
    metadata,
    Column("route_id", String(64), ForeignKey("routes.id", ondelete="CASCADE"), primary_key=True),
    Column("began_at", UtcDateTime, primary_key=True),  # of a quarter of an hour
    Column("messages", Integer, nullable=False),
    Column("recipients", Integer, nullable=False),
)

sends = Table(
    "sends",
    metadata,
    _id(primary_key=True),
    _user(),
    Column("draft_id", Id, ForeignKey("drafts.id"), nullable=False),
    Column("draft_version", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", String(64)),
    Column("explanation", Text),
    Column("route_id", String(64), ForeignKey("routes.id"), nullable=False),
    Column("via", String(32), nullable=False),
    _id("connection_id", nullable=True),
    Column("envelope", Text, nullable=False),  # JSON of the addresses, for lists
    Column("message", Text, nullable=False),  # JSON of the frozen message; attachments by id
    Column("subject", Text, nullable=False),
    Column("recipients", Integer, nullable=False, server_default="1"),  # To, Cc and Bcc together
    Column("message_id", Text, nullable=False),
    Column("thread_id", Text),
    Column("idempotency_key", String(256)),
    Column("request_hash", String(64)),
    Column("attempt", Integer, nullable=False),
    _id("claimed_by", nullable=True),
    _moment("next_at", nullable=True),
    _moment("send_at", nullable=True),
    _moment("give_up_at"),
    _moment("first_attempt_at", nullable=True),
    Column("provider_message_id", Text),
    _id("previous_send_id", nullable=True),
    # How many of the looks after an unknown one are over; it became unknown at updated_at.
    Column("looks", Integer, nullable=False, server_default="0"),
    _moment("created_at"),
    _moment("updated_at"),
    UniqueConstraint("user_id", "idempotency_key"),
    CheckConstraint(_one_of("state", State), name="state"),
    Index(
        "uq_sends_live_version",
        "draft_id",
        "draft_version",
        unique=True,
        sqlite_where=text("state NOT IN ('failed', 'cancelled', 'settled_not_sent')"),
        postgresql_where=text("state NOT IN ('failed', 'cancelled', 'settled_not_sent')"),
    ),
    Index(
        "ix_sends_due",
        "route_id",
        "next_at",
        sqlite_where=text("state IN ('queued', 'waiting') AND next_at IS NOT NULL"),
        postgresql_where=text("state IN ('queued', 'waiting') AND next_at IS NOT NULL"),
    ),
    Index(
        "ix_sends_held",
        "route_id",
        "id",
        sqlite_where=text("state = 'waiting' AND next_at IS NULL"),
        postgresql_where=text("state = 'waiting' AND next_at IS NULL"),
    ),
    Index(
        "ix_sends_held_by_owner",
        "user_id",
        "connection_id",
        "id",
        sqlite_where=text("state = 'waiting' AND next_at IS NULL"),
        postgresql_where=text("state = 'waiting' AND next_at IS NULL"),
    ),
    Index(
        "ix_sends_active",
        "route_id",
        "claimed_by",
        sqlite_where=text("state IN ('claimed', 'sending')"),
        postgresql_where=text("state IN ('claimed', 'sending')"),
    ),
    Index(
        "ix_sends_unknown",
        "updated_at",
        sqlite_where=text("state = 'unknown'"),
        postgresql_where=text("state = 'unknown'"),
    ),
    Index("ix_sends_listed", "user_id", "id"),
    Index(
        "ix_sends_provider_message_id",
        "via",
        "provider_message_id",
        sqlite_where=text("provider_message_id IS NOT NULL"),
        postgresql_where=text("provider_message_id IS NOT NULL"),
    ),
)

send_attempts = Table(
    "send_attempts",
    metadata,
    Column("send_id", Id, ForeignKey("sends.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    _id("incarnation"),
    Column("phase", String(20), nullable=False),
    Column("outcome", String(20)),
    Column("reason", Text),
    Column("status", Integer),
    Column("provider_request_id", Text),
    _moment("started_at"),
    _moment("finished_at", nullable=True),
    Index(
        "uq_send_attempts_open",
        "send_id",
        unique=True,
        sqlite_where=text("outcome IS NULL"),
        postgresql_where=text("outcome IS NULL"),
    ),
)

events = Table(
    "events",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    _user(),
    Column("kind", String(40), nullable=False),
    _moment("at"),
    _id("send_id", nullable=True),
    _id("draft_id", nullable=True),
    _id("connection_id", nullable=True),
    Column("data", Text, nullable=False),  # JSON: ids and words, never contents
    Index("ix_events_listed", "user_id", "id"),
    Index(
        "ix_events_send",
        "send_id",
        "id",
        sqlite_where=text("send_id IS NOT NULL"),
        postgresql_where=text("send_id IS NOT NULL"),
    ),
    Index(
        "ix_events_draft",
        "draft_id",
        "id",
        sqlite_where=text("draft_id IS NOT NULL"),
        postgresql_where=text("draft_id IS NOT NULL"),
    ),
    sqlite_autoincrement=True,  # an id is never used twice: it is a cursor
)

reports = Table(
    "reports",
    metadata,
    Column("send_id", Id, ForeignKey("sends.id", ondelete="CASCADE"), primary_key=True),
    Column("connection_id", Id, primary_key=True),  # kept when the connection goes: it is history
    _user(),
    Column("provider", String(32), nullable=False),
    Column("state", String(20), nullable=False),
    Column("correction", String(20)),  # what the entry must be told after it was logged; none when nothing
    Column("reason", String(64)),
    Column("explanation", Text),
    Column("attempts", Integer, nullable=False),
    # Attempts in a row that came to nothing because of the CRM: how long to wait, and when to let others go first.
    Column("failures", Integer, nullable=False),
    # Whether an earlier attempt may have made the entry: then it is looked for before it is made.
    Column("look_first", Boolean, nullable=False),
    _id("claimed_by", nullable=True),
    _moment("next_at", nullable=True),  # none once it is over
    Column("entry_id", String(200)),
    Column("entry_url", Text),
    Column("person", Text),  # whom it was logged on, in words
    _moment("logged_at", nullable=True),
    _moment("created_at"),  # when it last came to be logged, or corrected: they are logged in this order
    _moment("updated_at"),
    CheckConstraint(_one_of("state", ReportState), name="state"),
    Index(
        "ix_reports_unfinished",
        "connection_id",
        "created_at",
        "send_id",
        sqlite_where=text("next_at IS NOT NULL"),
        postgresql_where=text("next_at IS NOT NULL"),
    ),
    Index(
        "ix_reports_passed_by",
        "connection_id",
        sqlite_where=text("next_at IS NOT NULL AND failures >= 6"),
        postgresql_where=text("next_at IS NOT NULL AND failures >= 6"),
    ),
    Index("ix_reports_listed", "user_id", "created_at", "send_id", "connection_id"),
    Index("ix_reports_connection", "connection_id", "state"),
    Index(
        "ix_reports_claimed",
        "connection_id",
        "claimed_by",
        sqlite_where=text("claimed_by IS NOT NULL"),
        postgresql_where=text("claimed_by IS NOT NULL"),
    ),
)

alerts = Table(
    "alerts",
    metadata,
    # The mail about a connection whose tokens of that generation broke: one for each break.
    Column("connection_id", Id, ForeignKey("email_connections.id", ondelete="CASCADE"), primary_key=True),
    Column("token_generation", Integer, primary_key=True),
    # Frozen at the first attempt: under one key the relay takes the same bytes only.
    Column("envelope", Text),
    Column("message", Text),
    Column("attempts", Integer, nullable=False),
    _moment("next_at", nullable=True),  # none once it is over
    Column("outcome", String(20)),  # none until it is over
    _moment("created_at"),
    Index(
        "ix_alerts_due",
        "next_at",
        sqlite_where=text("next_at IS NOT NULL"),
        postgresql_where=text("next_at IS NOT NULL"),
    ),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", String(200), primary_key=True),
    _moment("received_at"),
)
