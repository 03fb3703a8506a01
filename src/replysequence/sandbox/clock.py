"""The sandbox's clock: real time plus whatever a person or a test has advanced it by."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Tells UTC time; can be moved forward so that tokens expire and quotas recover without waiting."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        """The sandbox's present, timezone-aware UTC."""
        return datetime.now(UTC) + self._ahead

    def timestamp(self) -> int:
        """The sandbox's present in whole seconds since 1970."""
        return int(self.now().timestamp())

    def real_timestamp(self) -> int:
        """Real time in whole seconds since 1970: for signed tokens, which the app checks by its own clock."""
        return int(datetime.now(UTC).timestamp())

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`. Raises `ValueError` for a negative number."""
        if seconds < 0:
            raise ValueError("The clock only moves forward.")
        self._ahead += timedelta(seconds=seconds)

    @property
    def ahead_seconds(self) -> float:
        """How far this clock is ahead of real time."""
        return self._ahead.total_seconds()
