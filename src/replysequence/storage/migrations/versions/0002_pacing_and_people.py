"""Pacing, and what people chose: their time zone, how long they can undo, and whether we may look in Sent."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _where(condition: str) -> dict[str, Any]:
    return {f"{dialect}_where": sa.text(condition) for dialect in ("sqlite", "postgresql")}


_DUE = _where("next_at IS NOT NULL")
_UNKNOWN = _where("state = 'unknown'")
_HELD = _where("state = 'waiting' AND next_at IS NULL")
_SAME_ID = {"sqlite": "c.id = replace(routes.id, '-', '')", "postgresql": "c.id::text = routes.id"}


def upgrade() -> None:
    """Add the columns; a route of a mailbox learns its connection."""
    op.add_column("users", sa.Column("time_zone", sa.String(64), nullable=True))
    op.add_column("users", sa.Column("undo_seconds", sa.Integer(), nullable=False, server_default="10"))
    op.add_column("sends", sa.Column("recipients", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("sends", sa.Column("looks", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("ix_sends_unknown", "sends", ["updated_at"], unique=False, **_UNKNOWN)
    for table in ("email_connections", "oauth_attempts"):
        op.add_column(table, sa.Column("look_up", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("email_connections", sa.Column("refused_since", sa.DateTime(timezone=True), nullable=True))
    op.add_column("routes", sa.Column("connection_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("routes", sa.Column("paced_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("routes", sa.Column("per_minute", sa.Integer(), nullable=True))
    op.add_column("routes", sa.Column("down_since", sa.DateTime(timezone=True), nullable=True))
    op.drop_index("ix_routes_due", "routes")
    op.create_index("ix_routes_due", "routes", ["via", "next_at"], unique=False, **_DUE)
    same_id = _SAME_ID[op.get_bind().dialect.name]
    op.execute(
        f"UPDATE routes SET connection_id = (SELECT c.id FROM email_connections AS c WHERE {same_id})"  # noqa: S608
    )
    op.create_table(
        "route_usage",
        sa.Column("route_id", sa.String(length=64), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["route_id"], ["routes.id"], name="fk_route_usage_route_id_routes", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("route_id", "began_at", name="pk_route_usage"),
    )
    op.create_index(
        "ix_sends_held_by_owner", "sends", ["user_id", "connection_id", "id"], unique=False, **_HELD
    )
    op.create_table(
        "alerts",
        sa.Column("connection_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("token_generation", sa.Integer(), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["email_connections.id"],
            name="fk_alerts_connection_id_email_connections",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("connection_id", "token_generation", name="pk_alerts"),
    )
    op.create_index("ix_alerts_due", "alerts", ["next_at"], unique=False, **_DUE)


def downgrade() -> None:
    """Take them away."""
    op.drop_table("alerts")
    op.drop_index("ix_sends_held_by_owner", "sends")
    op.drop_table("route_usage")
    op.drop_index("ix_routes_due", "routes")
    op.create_index("ix_routes_due", "routes", ["next_at"], unique=False, **_DUE)
    op.drop_index("ix_sends_unknown", "sends")
    for table, column in (
        ("routes", "down_since"),
        ("routes", "per_minute"),
        ("routes", "paced_until"),
        ("routes", "connection_id"),
        ("oauth_attempts", "look_up"),
        ("email_connections", "refused_since"),
        ("email_connections", "look_up"),
        ("sends", "looks"),
        ("sends", "recipients"),
        ("users", "undo_seconds"),
        ("users", "time_zone"),
    ):
        op.drop_column(table, column)
