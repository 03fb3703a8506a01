"""Removes what is over and would only pile up. Never a send, a draft or an event."""

from replysequence.storage import alerts, oauth_attempts, routes, sessions, throttles, webhook_deliveries
from replysequence.storage.database import Database

_FORGETTERS = (
    oauth_attempts.forget_expired,
    sessions.forget_ended,
    throttles.forget_idle,
    webhook_deliveries.forget_old,
    alerts.forget_old,
    routes.forget_usage,
)


async def tidy(database: Database) -> int:
    """Remove ended sessions, OAuth attempts that nobody came back from, idle throttles, old notes of webhooks and
    alerts, and what mailboxes used more than a day ago.

    Returns how many rows that were. Any process may do it at any time.
    """
    return sum([await database.transaction(forget) for forget in _FORGETTERS])
