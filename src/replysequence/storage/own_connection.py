"""The connection that a database thread has for itself: taking one from the pool for each transaction costs as much
as a statement.
"""

from sqlalchemy import Connection, Engine


class OwnConnection:
    """Opened when first needed, and anew after it was lost. For one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def get(self) -> Connection:
        """The connection."""
        if self._connection is not None and self._connection.invalidated:
            self.close()
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def throw_away(self) -> None:
        """Close the driver's connection too: nobody knows whether its transaction has ended."""
        if self._connection is not None:
            self._connection.invalidate()
            self.close()

    def close(self) -> None:
        """Let it go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
