"""Token buckets that all processes share: so many at once, and then one every so often."""

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.storage.database import now
from replysequence.storage.tables import throttles

_T = throttles.c
_FILL = {
    "sqlite": sqlite.insert(throttles).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(throttles).on_conflict_do_nothing(),
}


def take(connection: Connection, *, key: str, capacity: int, refill_seconds: float) -> float:
    """Take one token from the bucket ``key``, which holds ``capacity`` and gets one back every
    ``refill_seconds``.

    Returns 0 when there was one, else the seconds until there is one; then nothing was taken.
    """
    connection.execute(
        _FILL[connection.dialect.name], {"key": key, "tokens": float(capacity), "updated_at": now(connection)}
    )
    row = connection.execute(select(_T.tokens, _T.updated_at).where(_T.key == key).with_for_update()).one()
    moment = now(connection)
    # A clock that was set back refills nothing, and does not empty the bucket either.
    passed = max(0.0, (moment - row.updated_at).total_seconds())
    tokens = min(float(capacity), row.tokens + passed / refill_seconds)
    allowed = tokens >= 1
    left = tokens - 1 if allowed else tokens
    connection.execute(update(throttles).where(_T.key == key).values(tokens=left, updated_at=moment))
    return 0.0 if allowed else (1 - tokens) * refill_seconds


def reset(connection: Connection, *, key: str) -> None:
    """Fill the bucket ``key`` again."""
    connection.execute(delete(throttles).where(_T.key == key))
