"""The same job as textbooks and tutorials build it: FastAPI, SQLAlchemy's async ORM, EmailMessage, httpx.

It is what the accepting benchmark compares with: written with care, with none of its libraries misused, and
without anything that the job does not ask for.
"""

from importlib.util import find_spec

MISSING = "the textbook stack, because what it runs on is not installed: `make bench` does that."


def is_here() -> bool:
    """Whether what the stack runs on is installed."""
    return all(find_spec(name) for name in ("aiosqlite", "bs4", "httpx"))
