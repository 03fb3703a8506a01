"""Meetings, the follow-ups made from them, and templates."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _id(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Uuid(as_uuid=False), nullable=nullable)


def _belongs_to(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [column], [f"{other}.id"], name=f"fk_{table}_{column}_{other}", ondelete="CASCADE"
    )


def upgrade() -> None:
    """Make the four tables, and a place for each person's signature."""
    op.add_column("users", sa.Column("signature", sa.Text(), nullable=True))
    op.create_table(
        "meeting_sources",
        _id("connection_id"),
        _id("user_id"),
        sa.Column("mark", sa.Text(), nullable=True),
        _moment("read_until", nullable=True),
        _moment("read_at", nullable=True),
        _moment("next_at"),
        _id("claimed_by", nullable=True),
        _moment("claimed_until", nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("problem", sa.Text(), nullable=True),
        _belongs_to("meeting_sources", "connection_id", "platform_connections"),
        _belongs_to("meeting_sources", "user_id", "users"),
        sa.PrimaryKeyConstraint("connection_id", name="pk_meeting_sources"),
    )
    op.create_index("ix_meeting_sources_user_id", "meeting_sources", ["user_id"], unique=False)
    op.create_table(
        "meeting_entries",
        _id("id"),
        _id("connection_id"),
        _id("user_id"),
        sa.Column("source_id", sa.Text(), nullable=False),
        _moment("starts_at"),
        _moment("ends_at"),
        sa.Column("join_key", sa.String(length=300), nullable=False),
        sa.Column("entry", sa.Text(), nullable=False),
        sa.Column("aftermath", sa.Text(), nullable=True),
        _moment("asked_at", nullable=True),
        _moment("seen_at"),
        _belongs_to("meeting_entries", "connection_id", "platform_connections"),
        _belongs_to("meeting_entries", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name="pk_meeting_entries"),
        sa.UniqueConstraint("connection_id", "source_id", name="uq_meeting_entries_connection_id_source_id"),
    )
    op.create_index("ix_meeting_entries_listed", "meeting_entries", ["user_id", "starts_at"], unique=False)
    op.create_table(
        "follow_ups",
        _id("draft_id"),
        _id("user_id"),
        _id("meeting_id"),
        _moment("created_at"),
        _belongs_to("follow_ups", "draft_id", "drafts"),
        _belongs_to("follow_ups", "user_id", "users"),
        sa.PrimaryKeyConstraint("draft_id", name="pk_follow_ups"),
    )
    op.create_index("ix_follow_ups_meeting", "follow_ups", ["user_id", "meeting_id"], unique=False)
    op.create_table(
        "templates",
        _id("id"),
        _id("user_id"),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        _belongs_to("templates", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name="pk_templates"),
    )
    op.create_index(
        "uq_templates_default",
        "templates",
        ["user_id"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )
    op.create_index("ix_templates_user_id", "templates", ["user_id"], unique=False)


def downgrade() -> None:
    """Take them away."""
    for table in ("templates", "follow_ups", "meeting_entries", "meeting_sources"):
        op.drop_table(table)
    op.drop_column("users", "signature")
