"""Log lines: one JSON object each, an event name with ids, never contents."""

import io
import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

from replysequence.domain.secret import Secret

# Libraries that would log URLs, headers or statements at a chatty level.
_QUIET = (
    "aiohttp",
    "asyncio",
    "sqlalchemy",
    "alembic",
    "uvicorn",
    "uvicorn.access",
    "multipart",
    "python_multipart",
)


def set_up(level: str) -> None:
    """Send log lines of ``level`` and above to standard error, ours as JSON."""
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _name_errors,
            structlog.processors.JSONRenderer(default=_as_text),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=False,
    )


class _StandardError(io.TextIOBase):
    """Standard error, where a line that cannot be written breaks nothing: its disk may be full."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def logger(room: str) -> structlog.typing.FilteringBoundLogger:
    """The logger of a room, such as ``services.sending``."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(room=room)
    return bound


def _name_errors(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """An exception becomes the name of its type: its text could quote what somebody sent us."""
    for key, value in line.items():
        if isinstance(value, BaseException):
            line[key] = type(value).__name__
    return line


def _as_text(value: object) -> str:
    return str(value) if isinstance(value, Secret) else type(value).__name__
