"""The textbook stack on a port of this machine, with people and drafts in its database.

    python -m benchmarks.textbook.serving PEOPLE DRAFTS_EACH WORK_FILE

Writes the work for a load (see benchmarks/load.py), tells its port, and then what it has used whenever it is asked.
"""

import asyncio
import hashlib
import json
import socket
import sys
from pathlib import Path

import uvicorn
import uvloop

from benchmarks.ledger import DRAFT
from benchmarks.measured import hear, tell, usage
from benchmarks.textbook.app import VAULT, app, engine, sessions
from benchmarks.textbook.models import Base, Draft, Mailbox, User


async def fill(*, people: int, drafts_each: int) -> list[tuple[str, str]]:
    """Add people with a mailbox, a key and drafts; (key, draft id) for each draft."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    recipients = json.dumps([(each.name, each.email) for each in DRAFT.to])
    token = VAULT.encrypt(f"ya29.{'x' * 200}".encode()).decode()
    work = []
    async with sessions() as database:
        for number in range(people):
            key = f"key-{number}"
            email = f"seller{number}@acme.example"
            user = User(
                name=f"Seller {number}", email=email, api_key_hash=hashlib.sha256(key.encode()).hexdigest()
            )
            database.add(user)
            await database.flush()
            database.add(Mailbox(user_id=user.id, email=email, access_token_encrypted=token))
            drafts = [
                Draft(user_id=user.id, recipients=recipients, subject=DRAFT.subject, html=DRAFT.html)
                for _ in range(drafts_each)
            ]
            database.add_all(drafts)
            await database.flush()
            work += [(key, str(draft.id)) for draft in drafts]
        await database.commit()
    return work


class Server(uvicorn.Server):
    """Tells its port once it takes requests, and then what it has used, until nobody asks any more."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False))
        self._sock = sock
        self._answering: asyncio.Task[None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tell(port=self._sock.getsockname()[1])
        self._answering = asyncio.create_task(self._answer())

    async def _answer(self) -> None:
        while await hear():
            tell(**usage())
        self.should_exit = True


if __name__ == "__main__":
    with (
        socket.create_server(("127.0.0.1", 0), backlog=2048) as listening,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        filled = runner.run(fill(people=int(sys.argv[1]), drafts_each=int(sys.argv[2])))
        Path(sys.argv[3]).write_text(json.dumps(filled))
        runner.run(Server(listening).serve(sockets=[listening]))
