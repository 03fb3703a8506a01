"""Our own HTTP client in a bare loop, through the `send` of the Gmail provider: no ledger, no vault, no message."""

import asyncio
import json
import ssl

import pybase64
import uvloop

from benchmarks.peers.calling import Task, many, message
from replysequence.domain.secret import Secret
from replysequence.providers.base import Prepared
from replysequence.providers.gmail import Gmail
from replysequence.providers.http import HttpClient


async def run(task: Task) -> None:
    http = HttpClient(tls=ssl.create_default_context(cafile=task.authority))
    gmail = Gmail({"GMAIL_API_URL": task.url}, http)
    prepared = Prepared(
        url=f"{task.url}/gmail/v1/users/me/messages/send",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"raw": pybase64.urlsafe_b64encode(message()).decode()}).encode(),
    )

    async def call() -> None:
        await gmail.send(prepared, access_token=Secret("x"))

    await many(call, count=task.count)
    await http.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(Task.given()))
