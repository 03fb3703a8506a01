"""Noticing a database that was restored from an older copy, and a clock that was set back, before they do harm.

What this machine last saw in the database lies in a file beside it. A database that has seen less is an older copy: it
does not know what has left since, so what is unfinished in it waits for its owners.
"""

import asyncio
import hashlib
import json
import os
from pathlib import Path

from replysequence import logs
from replysequence.storage import going_back
from replysequence.storage.database import Database, Transaction
from replysequence.storage.going_back import Held

_log = logs.logger("services.going_back")

FILE = "last-seen.json"
_LEAP = 1_000
"""Ids of events that are left out after a restore: other machines may have seen a little more than this one."""


class GoingBack:
    """``folder`` is where this machine remembers; a copy of the database must not bring its own along."""

    def __init__(self, *, database: Database, folder: Path) -> None:
        self._database = database
        self._file = folder / FILE
        address = database.url.set(password=None).render_as_string()
        self._name = hashlib.sha256(address.encode()).hexdigest()[:16]
        self._seen = self._remembered().get(self._name, 0)

    async def hold(self) -> Held:
        """Let nothing that is unfinished leave without its owner's word."""
        held = await self._database.transaction(_hold, seen=self._seen)
        _log.warning("database.restored", waiting=held.waiting, unknown=held.unknown)
        return held

    async def recognise(self) -> Held | None:
        """The same if the database is an older copy than the one last seen; else nothing. For the start of a process,
        before anything is claimed.
        """
        if await self._database.read(going_back.events_ever) >= self._seen:
            return None
        return await self.hold()

    async def look(self) -> bool:
        """Remember how far the database has come. True when its clock was set back, and old waits were ended."""
        last = await self._database.read(going_back.last_event_id)
        if last > self._seen:
            self._seen = last
            await asyncio.to_thread(self._remember)
        if not await self._database.read(going_back.clock_went_back):
            return False
        await self._database.transaction(going_back.forget_old_clock)
        _log.warning("clock.went_back")
        return True

    def _remembered(self) -> dict[str, int]:
        try:
            read = json.loads(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return {}
        return {name: seen for name, seen in read.items() if isinstance(seen, int)}

    def _remember(self) -> None:
        """In one step, so that nobody reads half a file; several processes may do so at once."""
        others = self._remembered()
        seen = {**others, self._name: max(self._seen, others.get(self._name, 0))}
        written = self._file.with_suffix(f".{os.getpid()}")
        written.write_text(json.dumps(seen), encoding="ascii")
        written.replace(self._file)


def _hold(transaction: Transaction, *, seen: int) -> Held:
    held = going_back.hold_unfinished(transaction)
    ever = going_back.events_ever(transaction)
    going_back.skip_event_ids(transaction, last=max(ever, seen) + _LEAP)
    return held
