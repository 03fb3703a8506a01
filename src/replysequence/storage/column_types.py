"""Ids and moments as they lie in both databases. They are in every row of every statement, so they convert directly."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Uuid
from sqlalchemy.types import TypeDecorator

NOBODY = "00000000-0000-0000-0000-000000000000"

_ZONE = "+00:00"
_NOBODYS_DIGITS = NOBODY.replace("-", "")

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class UtcDateTime(TypeDecorator[datetime]):
    """Timezone-aware UTC in and out, on both databases. A naive datetime is refused.

    SQLite keeps text in the form of SQLAlchemy's own DateTime, which sorts as time does.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        return _moment_as_text if dialect.name == "sqlite" else _moment_in_utc

    def result_processor(
        self,
        dialect: Dialect,
        coltype: object,  # noqa: ARG002 - SQLAlchemy passes it
    ) -> Callable[[Any], datetime | None]:
        return _text_as_moment if dialect.name == "sqlite" else _moment_in_utc


class Id(TypeDecorator[str]):
    """A UUID as text. Text that is no UUID names nothing: it is compared as the nil UUID, which no row has.

    So an id from a stranger's request is "not found" on both databases, where PostgreSQL would raise an
    error. SQLite keeps 32 hexadecimal digits.
    """

    impl = Uuid(as_uuid=False)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[str | None], str | None]:
        return _id_as_digits if dialect.name == "sqlite" else _id_or_nobody

    def result_processor(
        self,
        dialect: Dialect,
        coltype: object,  # noqa: ARG002 - SQLAlchemy passes it
    ) -> Callable[[Any], str | None]:
        return _digits_as_id if dialect.name == "sqlite" else _uuid_as_id


def _moment_in_utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise ValueError("a naive datetime has no place in the database")
    return value if value.tzinfo is UTC else value.astimezone(UTC)


def _moment_as_text(value: datetime | None) -> str | None:
    moment = _moment_in_utc(value)
    return None if moment is None else moment.isoformat(" ", "microseconds").removesuffix(_ZONE)


def _text_as_moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + _ZONE)


def _id_or_nobody(value: str | None) -> str | None:
    return value if value is None or _UUID.fullmatch(value) else NOBODY


def _id_as_digits(value: str | None) -> str | None:
    if value is None:
        return None
    return value.replace("-", "") if _UUID.fullmatch(value) else _NOBODYS_DIGITS


def _digits_as_id(value: str | None) -> str | None:
    if value is None:
        return None
    return f"{value[:8]}-{value[8:12]}-{value[12:16]}-{value[16:20]}-{value[20:]}"


def _uuid_as_id(value: object) -> str | None:
    return None if value is None else str(value)
