"""The Resend team that the sandbox plays: its keys, domains, limits and counters.

Source: Resend's "Rate limit", "Account quotas and limits" and "Idempotency keys", checked 2026-11-22.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

IDEMPOTENCY_PERIOD = timedelta(hours=24)


class KeyKind(StrEnum):
    """What an API key may do."""

    FULL = "full"
    SENDING = "sending"
    INACTIVE = "inactive"
    SUSPENDED = "suspended"


class Signature(StrEnum):
    """How a webhook is signed."""

    RIGHT = "right"
    WRONG = "wrong"
    ROTATED = "rotated"
    """Two signatures, the first by a key that is being retired: the second one is right."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How an event is posted: so many times, signed so, and with a timestamp of so many seconds ago."""

    copies: int = 1
    signature: Signature = Signature.RIGHT
    age_seconds: int = 0


@dataclass(kw_only=True)
class Team:
    """One Resend team. Everything here may be changed while the sandbox runs."""

    keys: dict[str, KeyKind]
    verified_domains: set[str]
    owner: str
    """The account's own address: the only one that a sender at `resend.dev` may write to."""
    webhook_secret: str
    webhook_url: str | None = None
    """Where events go; None posts none."""
    manner: Manner = Manner()
    requests_per_second: int = 10
    daily_quota: int | None = None
    """Recipients in a calendar day of UTC; only the free plan has one (100)."""
    monthly_quota: int = 3_000
    """Recipients in a calendar month of UTC."""
    at_send: str = ""
    """The `name` of an error that every send gets, or nothing."""

    def change(self, changes: Mapping[str, object]) -> None:
        """Set the plain fields among `changes`. Raises ValueError for another name or a wrong type."""
        for name, value in changes.items():
            if name not in _CHANGEABLE:
                raise ValueError(f"A team has no setting {name!r}; it has {', '.join(_CHANGEABLE)}.")
            if type(value) not in _CHANGEABLE[name]:
                raise ValueError(f"The setting {name!r} cannot be {value!r}.")
            setattr(self, name, value)


_CHANGEABLE: dict[str, tuple[type, ...]] = {
    "owner": (str,),
    "webhook_secret": (str,),
    "webhook_url": (str, type(None)),
    "requests_per_second": (int,),
    "daily_quota": (int, type(None)),
    "monthly_quota": (int,),
    "at_send": (str,),
}


class Window:
    """Counts calls in the last second."""

    def __init__(self) -> None:
        self._calls: deque[datetime] = deque()

    def admit(self, now: datetime, *, limit: int) -> bool:
        """Count a call at `now` and say whether it is among the `limit` of its second."""
        while self._calls and self._calls[0] <= now - timedelta(seconds=1):
            self._calls.popleft()
        if len(self._calls) >= limit:
            return False
        self._calls.append(now)
        return True

    def __len__(self) -> int:
        return len(self._calls)


@dataclass(kw_only=True)
class Usage:
    """How many recipients were mailed: what the quotas are held against."""

    _by_day: Counter[date] = field(default_factory=Counter)
    _by_month: Counter[tuple[int, int]] = field(default_factory=Counter)

    def add(self, now: datetime, recipients: int) -> None:
        """Count one email."""
        self._by_day[now.date()] += recipients
        self._by_month[now.year, now.month] += recipients

    def today(self, now: datetime) -> int:
        """Recipients since midnight UTC."""
        return self._by_day[now.date()]

    def this_month(self, now: datetime) -> int:
        """Recipients since the first of the month."""
        return self._by_month[now.year, now.month]


@dataclass(kw_only=True)
class Remembered:
    """What an idempotency key stands for. `answer` is None while the first request is still running."""

    fingerprint: str
    since: datetime
    answer: dict[str, object] | None = None


class IdempotencyKeys:
    """The keys of one team, by method and endpoint, for 24 hours of the sandbox's clock."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Remembered] = {}

    def find(self, endpoint: str, key: str, *, now: datetime) -> Remembered | None:
        """What `key` stands for at `endpoint`, unless it is forgotten by now."""
        known = self._known.get((endpoint, key))
        if known is not None and known.since + IDEMPOTENCY_PERIOD <= now:
            del self._known[endpoint, key]
            return None
        return known

    def begin(self, endpoint: str, key: str, *, fingerprint: str, now: datetime) -> Remembered:
        """Remember that a request with `key` is running."""
        remembered = Remembered(fingerprint=fingerprint, since=now)
        self._known[endpoint, key] = remembered
        return remembered

    def forget(self, endpoint: str, key: str) -> None:
        """The request with `key` came to nothing; the key is free again."""
        self._known.pop((endpoint, key), None)
