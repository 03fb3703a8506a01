"""The program that migrates the database in ``DATABASE_URL``. What is wrong goes to standard error, as a sentence."""

import os
import sys

from replysequence.domain.errors import ReplySequenceError
from replysequence.storage.migrations import upgrade

if __name__ == "__main__":
    try:
        upgrade(os.environ["DATABASE_URL"])
    except ReplySequenceError as error:
        sys.exit(error.message)
