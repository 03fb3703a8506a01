"""When to look in a Sent folder for a send of which nobody knows whether it left."""

from datetime import datetime, timedelta

LOOKS_AFTER = (timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=60))
"""How long after it became unknown; a copy can appear late. What was missed is not made up for."""
LOOKED_FOR_WITHIN = timedelta(hours=24)
"""A send that has been unknown for longer is looked for when a person asks, and not by itself."""


def looks_due(*, unknown_since: datetime, at: datetime) -> int:
    """How many of the planned looks should be over at ``at``."""
    return sum(at >= unknown_since + after for after in LOOKS_AFTER)


def next_look(*, unknown_since: datetime, looks: int, at: datetime) -> datetime | None:
    """When the next planned look is due, seen from ``at``, once so many are over; none after the last."""
    if looks >= len(LOOKS_AFTER) or at >= unknown_since + LOOKED_FOR_WITHIN:
        return None
    return max(at, unknown_since + LOOKS_AFTER[looks])
