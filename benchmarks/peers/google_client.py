"""google-api-python-client: `users().messages().send()`, its service and connection used again and again.

That is its cheapest use; with many mailboxes people build a service for each. httplib2 is not safe to share between
threads, so each thread has a service of its own. It looks for the authority in HTTPLIB2_CA_CERTS.
"""

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from threading import Barrier, local
from typing import Any

from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build

from benchmarks.measured import hear, tell, usage
from benchmarks.peers.calling import Task, message

THREADS = 16
_own = local()


async def run(task: Task) -> None:
    credentials: Any = Credentials(token="x")  # type: ignore[no-untyped-call]
    raw = base64.urlsafe_b64encode(message()).decode()
    all_there = Barrier(THREADS)

    def call(_: object) -> None:
        _own.service.users().messages().send(userId="me", body={"raw": raw}).execute()

    def warm_up(_: object) -> None:
        _own.service = build(
            "gmail",
            "v1",
            credentials=credentials,
            client_options={"api_endpoint": task.url},
            static_discovery=True,
        )
        all_there.wait()
        call(None)

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(warm_up, range(THREADS)))
        tell(**usage())
        await hear()
        await asyncio.to_thread(lambda: list(threads.map(call, repeat(None, task.count))))
        tell(**usage())


if __name__ == "__main__":
    asyncio.run(run(Task.given()))
