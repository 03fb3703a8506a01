"""The side of a program under measurement: it says what it has used whenever its standard input asks.

One JSON object a line, in the order of the questions. The end of standard input ends the program.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

_PAGE = resource.getpagesize()


def usage() -> dict[str, float]:
    """CPU seconds of this process so far, all its threads together, and the bytes of memory it holds now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"cpu": used.ru_utime + used.ru_stime, "memory": _resident()}


def _resident() -> int:
    """Bytes in memory right now; where /proc does not tell, the most that it ever was."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * _PAGE
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def tell(**facts: Any) -> None:
    """Write one line for who started this program."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def hear() -> str:
    """The next line from who started this program, empty once they are gone."""
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()
