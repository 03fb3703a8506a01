"""The command line: everything that an operator does."""

from replysequence.cli.commands import main

__all__ = ["main"]
