"""Ids of rows: time-ordered UUIDs, so that new rows land at the end of every index."""

import secrets
import time
from uuid import UUID


def new_id() -> str:
    """A new id as UUID text: version 7 of RFC 9562 §5.7, 48 bits of Unix milliseconds and 74 random bits.

    Ids order by time to the millisecond; within one they are in no order. The clock is this machine's: ids
    say nothing about the order of events, which the database's clock does.
    """
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    return str(
        UUID(int=milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1)
    )
