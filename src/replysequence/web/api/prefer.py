"""``Prefer: wait=N`` (RFC 7240 §4.3): how long a request may be held for the outcome of a send."""

import re
from dataclasses import dataclass
from typing import Final

DEFAULT_SECONDS: Final = 10
MOST_SECONDS: Final = 30

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,9})"?')


@dataclass(frozen=True, slots=True)
class Wait:
    """``seconds`` to wait at most; ``applied`` is the ``Preference-Applied`` to answer, none when nothing was asked."""

    seconds: int
    applied: str | None


def read_prefer(header: str | None) -> Wait:
    """Read a ``Prefer`` header. What it does not say, or says wrongly, is ignored (RFC 7240 §2)."""
    preferences = [part.split(";")[0].strip().lower() for part in (header or "").split(",")]
    for preference in preferences:
        asked = _WAIT.fullmatch(preference)
        if asked:
            seconds = min(int(asked[1]), MOST_SECONDS)
            return Wait(seconds, f"wait={seconds}")
    if "respond-async" in preferences:
        return Wait(0, "respond-async")
    return Wait(DEFAULT_SECONDS, None)
