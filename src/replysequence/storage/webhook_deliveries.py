"""Webhook messages that were taken in, so that one which comes again changes nothing."""

from datetime import timedelta

from sqlalchemy import Connection, delete
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.storage.database import now
from replysequence.storage.tables import webhook_deliveries

KEPT = timedelta(days=30)
"""Longer than anybody repeats a message, or a signature is accepted."""

_D = webhook_deliveries.c
_NOTE = {
    "sqlite": sqlite.insert(webhook_deliveries).on_conflict_do_nothing().returning(_D.id),
    "postgresql": postgresql.insert(webhook_deliveries).on_conflict_do_nothing().returning(_D.id),
}


def is_first(connection: Connection, *, delivery_id: str) -> bool:
    """Note a message by the id that its sender gave it; False when it was noted before.

    Call it in the transaction that acts on the message: if that fails, the message may come again.
    """
    note = {"id": delivery_id, "received_at": now(connection)}
    return connection.execute(_NOTE[connection.dialect.name], note).first() is not None


def forget_old(connection: Connection) -> int:
    """Remove the notes that are older than :data:`KEPT`. Returns how many there were."""
    return connection.execute(
        delete(webhook_deliveries).where(_D.received_at < now(connection) - KEPT)
    ).rowcount
