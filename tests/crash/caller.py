"""A program: one process of the app whose callers all want the access token of one connection at the same moment.

Says "ready"; then, for each line with a number, lets so many callers ask and writes one line of JSON: how many got
which token of which generation, and which errors there were.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections import Counter

from replysequence import app, logs, settings
from replysequence.domain.errors import ReplySequenceError
from replysequence.services.tokens import Tokens


async def _ask(tokens: Tokens, connection_id: str) -> str:
    try:
        usable = await tokens.usable(connection_id)
    except ReplySequenceError as error:
        return type(error).__name__
    value = hashlib.sha256(usable.access_token.reveal().encode()).hexdigest()[:16]
    return f"{usable.generation} {value}"


async def _serve(connection_id: str) -> None:
    async with app.running(settings.read(os.environ)) as parts:
        tokens = parts.worker._dispatching._tokens
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            got = await asyncio.gather(*(_ask(tokens, connection_id) for _ in range(int(line))))
            print(json.dumps(Counter(got)), flush=True)


if __name__ == "__main__":
    logs.set_up("WARNING")
    asyncio.run(_serve(sys.argv[1]))
