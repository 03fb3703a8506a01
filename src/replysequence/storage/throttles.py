"""Token buckets that all processes share: so many at once, and then one every so often."""

from datetime import timedelta
from hashlib import sha256

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from replysequence.storage.database import now
from replysequence.storage.tables import throttles

KEPT = timedelta(days=2)
"""An idle bucket is forgotten after this; one that takes longer to fill may be full too early."""

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
    name = _name(key)
    full = {"key": name, "tokens": float(capacity), "updated_at": now(connection)}
    connection.execute(_FILL[connection.dialect.name], full)
    row = connection.execute(select(_T.tokens, _T.updated_at).where(_T.key == name).with_for_update()).one()
    moment = now(connection)
    # A clock that was set back refills nothing, and does not empty the bucket either.
    passed = max(0.0, (moment - row.updated_at).total_seconds())
    tokens = min(float(capacity), row.tokens + passed / refill_seconds)
    allowed = tokens >= 1
    left = tokens - 1 if allowed else tokens
    connection.execute(update(throttles).where(_T.key == name).values(tokens=left, updated_at=moment))
    return 0.0 if allowed else (1 - tokens) * refill_seconds


def reset(connection: Connection, *, key: str) -> None:
    """Fill the bucket ``key`` again."""
    connection.execute(delete(throttles).where(_T.key == _name(key)))


def forget_idle(connection: Connection) -> int:
    """Remove the buckets that nobody took from for :data:`KEPT`. Returns how many there were."""
    idle = delete(throttles).where(_T.updated_at < now(connection) - KEPT)
    return connection.execute(idle).rowcount


def _name(key: str) -> str:
    """Keys hold what strangers typed: of any length, and nobody's business."""
    return sha256(key.encode(errors="surrogatepass")).hexdigest()
