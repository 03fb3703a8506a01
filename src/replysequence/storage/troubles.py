"""What an error of the database driver means to the other rooms."""

import sqlite3

from sqlalchemy.exc import DataError, InterfaceError, InternalError, OperationalError

from replysequence.domain.errors import DatabaseUnavailable, InvalidInput, StorageFull

_DISK_FULL = "53100"
"""PostgreSQL's disk_full (manual, appendix A, checked 2026-11-22)."""


class CommitFailed(Exception):
    """The database did not answer a COMMIT with yes; ``__cause__`` is its error. It may have committed all the same."""


def translated(error: BaseException) -> BaseException:
    """``error`` in the words of the domain where it has some, else as it is. A new object each time."""
    if _is_full(error):
        meaning: BaseException = StorageFull()
    elif isinstance(error, CommitFailed):
        meaning = DatabaseUnavailable(
            "The database did not confirm a change. Look whether it is there before you repeat it.",
            may_have_committed=True,
        )
    elif isinstance(error, OperationalError | InterfaceError | InternalError | sqlite3.Error):
        meaning = DatabaseUnavailable(
            "The database cannot be used right now. Nothing was changed; please try again.",
            may_have_committed=False,
        )
    elif isinstance(error, DataError):
        meaning = InvalidInput("value", "This holds characters or numbers that cannot be stored.")
    elif isinstance(error, StopIteration):
        meaning = RuntimeError("a transaction raised StopIteration")  # which no future can carry
    else:
        return error
    meaning.__cause__ = error
    return meaning


def _is_full(error: BaseException) -> bool:
    """Whether there is no room. Then nothing was kept, also when it came up at a COMMIT: SQLite writes the frame that
    makes a transaction count last (sqlite.org/walformat.html, checked 2026-11-22), and PostgreSQL says that it aborted.
    """
    cause = error.__cause__ if isinstance(error, CommitFailed) else error
    driver = getattr(cause, "orig", cause)
    if isinstance(driver, sqlite3.Error):
        return getattr(driver, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    return getattr(driver, "sqlstate", None) == _DISK_FULL
