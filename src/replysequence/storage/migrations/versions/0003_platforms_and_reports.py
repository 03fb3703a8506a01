"""Platforms beside mailboxes, and reports to CRMs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _where(condition: str) -> dict[str, Any]:
    return {f"{dialect}_where": sa.text(condition) for dialect in ("sqlite", "postgresql")}


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _id(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Uuid(as_uuid=False), nullable=nullable)


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "platform_connections",
        _id("id"),
        _id("user_id"),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("display_name", sa.String(length=200), nullable=False),
        sa.Column("access_token_encrypted", sa.Text(), nullable=True),
        sa.Column("refresh_token_encrypted", sa.Text(), nullable=True),
        _moment("access_token_expires_at", nullable=True),
        _moment("refresh_token_expires_at", nullable=True),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("status_reason", sa.String(length=64), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.Column("token_generation", sa.Integer(), nullable=False),
        _id("refresh_owner", nullable=True),
        _moment("refresh_until", nullable=True),
        _moment("refused_since", nullable=True),
        _moment("connected_at"),
        _moment("created_at"),
        _moment("updated_at"),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("api_url", sa.Text(), nullable=True),
        sa.Column("options", sa.Text(), nullable=False),
        sa.CheckConstraint("status IN ('active', 'needs_reconnect', 'disconnecting')", name="status"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_platform_connections_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_platform_connections"),
        sa.UniqueConstraint(
            "user_id",
            "provider",
            "issuer",
            "subject",
            name="uq_platform_connections_user_id_provider_issuer_subject",
        ),
    )
    op.create_table(
        "reports",
        _id("send_id"),
        _id("connection_id"),
        _id("user_id"),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("correction", sa.String(length=20), nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("look_first", sa.Boolean(), nullable=False),
        _id("claimed_by", nullable=True),
        _moment("next_at", nullable=True),
        sa.Column("entry_id", sa.String(length=200), nullable=True),
        sa.Column("entry_url", sa.Text(), nullable=True),
        sa.Column("person", sa.Text(), nullable=True),
        _moment("logged_at", nullable=True),
        _moment("created_at"),
        _moment("updated_at"),
        sa.CheckConstraint(
            "state IN ('due', 'claimed', 'logging', 'logged', 'skipped', 'failed')", name="state"
        ),
        sa.ForeignKeyConstraint(
            ["send_id"], ["sends.id"], name="fk_reports_send_id_sends", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_reports_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("send_id", "connection_id", name="pk_reports"),
    )
    op.create_index(
        "ix_reports_unfinished",
        "reports",
        ["connection_id", "created_at", "send_id"],
        unique=False,
        **_where("next_at IS NOT NULL"),
    )
    op.create_index(
        "ix_reports_passed_by",
        "reports",
        ["connection_id"],
        unique=False,
        **_where("next_at IS NOT NULL AND failures >= 6"),
    )
    op.create_index(
        "ix_reports_listed", "reports", ["user_id", "created_at", "send_id", "connection_id"], unique=False
    )
    op.create_index("ix_reports_connection", "reports", ["connection_id", "state"], unique=False)
    op.create_index(
        "ix_reports_claimed",
        "reports",
        ["connection_id", "claimed_by"],
        unique=False,
        **_where("claimed_by IS NOT NULL"),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("reports")
    op.drop_table("platform_connections")
