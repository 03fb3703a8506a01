"""``python -m replysequence`` is the command ``replysequence``."""

from replysequence.cli import main

main()
