"""What an error of the database driver means to the other rooms."""

import sqlite3

from sqlalchemy.exc import DataError, InterfaceError, InternalError, OperationalError

from replysequence.domain.errors import DatabaseUnavailable, InvalidInput


class CommitFailed(Exception):
    """The database did not answer a COMMIT with yes; ``__cause__`` is its error. It may have committed all the same."""


def translated(error: BaseException) -> BaseException:
    """``error`` in the words of the domain where it has some, else as it is. A new object each time."""
    if isinstance(error, CommitFailed):
        meaning: BaseException = DatabaseUnavailable(
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
