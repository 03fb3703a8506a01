"""Reading what a provider answered, whatever it answered: nothing in here trusts the other side."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from replysequence.domain.errors import NeverSent, OutcomeUnknown
from replysequence.providers.base import Prepared
from replysequence.providers.http import Answer, ExchangeFailed, HttpClient

LONGEST_WAIT = timedelta(hours=1)
"""The most that a Retry-After is believed."""

# Long enough for every code a provider documents; no dots, so that no token of the usual forms fits.
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,59}")
_ID = re.compile(r"[A-Za-z0-9_.:=-]{1,200}")


async def hand_over(
    http: HttpClient, prepared: Prepared, *, provider: str, headers: Mapping[str, str]
) -> Answer:
    """Write ``prepared`` once and return whatever status came back. ``headers`` are the credentials.

    Raises :class:`NeverSent` when the request did not leave whole, :class:`OutcomeUnknown` when it did and no
    status came.
    """
    try:
        return await http.request(
            "POST", prepared.url, headers={**prepared.headers, **headers}, body=prepared.body
        )
    except ExchangeFailed as failure:
        whole, reason = failure.request_was_whole, failure.reason
    if whole:
        raise OutcomeUnknown(
            f"{provider} took the whole message and gave no answer: {reason}.", code="no_answer"
        )
    raise NeverSent(
        f"{provider} could not be reached: {reason}. The message was not sent.", code="not_reached"
    )


def json_object(answer: Answer) -> dict[str, object]:
    """The answer as a JSON object; empty when it is anything else, or not all there."""
    return {} if answer.truncated else parse_object(answer.body)


def parse_object(body: bytes) -> dict[str, object]:
    """``body`` as a JSON object; empty when it is anything else."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def mapping(value: object) -> Mapping[str, object]:
    """``value`` when it is a JSON object; else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[Mapping[str, object]]:
    """The objects in a JSON array; none when it is no array."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def word(value: object) -> str:
    """``value`` when it is an error code such as providers use; else an empty text."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def provider_id(value: object) -> str | None:
    """``value`` when it looks like an id; else none."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def retry_delay(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Retry-After (RFC 9110 §10.2.3) in seconds, as a number or a date; at most ``LONGEST_WAIT``; none when
    there is none.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        moment = http_date(text)
        if moment is None:
            return None
        seconds = (moment - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_WAIT.total_seconds())


def http_date(text: str) -> datetime | None:
    """A date as HTTP writes it (RFC 9110 §5.6.7), aware UTC; none when it is not one."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
