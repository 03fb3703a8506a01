"""Asking a provider's API for something to read, and what its refusals mean whoever it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from urllib.parse import urlsplit

from replysequence.domain.errors import AccessTokenRejected, ProviderError, Rejected, TryLater
from replysequence.providers.answers import json_object, retry_delay
from replysequence.providers.base import Access
from replysequence.providers.http import MEBIBYTE, Answer, Deadlines, ExchangeFailed, HttpClient

DEADLINES = Deadlines(connect=10, write=10, read=30, total=45)
MOST = 8 * MEBIBYTE
"""Bytes of one answer. What is asked for is asked for in pages, so real ones are far smaller."""


@dataclass(frozen=True, slots=True)
class Read:
    """An answer that is no success and no passing fault either: 400 to 499 but 401 and 429, or a success."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Mapping[str, object] = field(repr=False)

    @property
    def found(self) -> bool:
        """Whether it is what was asked for."""
        return self.status == 200


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a provider asks us to wait, as HTTP has them; none when it does not say."""
    return retry_delay(headers, now=datetime.now(UTC))


async def read(
    http: HttpClient,
    url: str,
    *,
    provider: str,
    access: Access,
    headers: Mapping[str, str] = MappingProxyType({}),
    delay_in: Callable[[Mapping[str, str]], float | None] = retry_after,
) -> Read:
    """Ask once for the JSON object at ``url``. Raises :class:`AccessTokenRejected` or :class:`TryLater`, with the wait
    that ``delay_in`` finds in the answer's headers.
    """
    credentials = {"Authorization": f"Bearer {access.access_token.reveal()}", "Accept": "application/json"}
    try:
        answer = await http.request(
            "GET", url, headers={**credentials, **headers}, deadlines=DEADLINES, max_body=MOST
        )
    except ExchangeFailed as failure:
        reason = failure.reason
    else:
        return _judged(answer, provider=provider, delay=delay_in(answer.headers))
    raise TryLater(f"{provider} could not be reached: {reason}.", code="not_reached")


def refused(answer: Read, *, provider: str) -> ProviderError:
    """What an answer means that is not what was asked for, where its provider says no more about it."""
    if answer.status in (408, 425):
        return _later(provider, answer.status, retry_after(answer.headers))
    return Rejected(
        f"{provider} refused to say which meetings there are (status {answer.status}).",
        code="reading_refused",
        status=answer.status,
    )


def is_below(url: object, *, base: str) -> bool:
    """Whether ``url``, which a provider told us to go on with, leads to itself: nobody else gets our token."""
    if not isinstance(url, str) or len(url) > 20_000:
        return False
    try:
        asked, ours = urlsplit(url), urlsplit(base)
        same = (asked.scheme, asked.hostname, asked.port) == (ours.scheme, ours.hostname, ours.port)
    except ValueError:
        return False
    return same and asked.username is None


def _judged(answer: Answer, *, provider: str, delay: float | None) -> Read:
    body = json_object(answer)
    if answer.status == 401:
        raise AccessTokenRejected(f"{provider} asks for a fresh proof of access.", status=401)
    if answer.status == 429:
        raise TryLater(
            f"{provider} takes no more questions about this account for now.",
            code="rate_limited",
            delay=delay,
            status=429,
        )
    if not 400 <= answer.status < 500 and (answer.status != 200 or answer.truncated or not body):
        raise _later(provider, answer.status, delay)
    return Read(answer.status, answer.headers, body)


def _later(provider: str, status: int, delay: float | None) -> TryLater:
    return TryLater(
        f"{provider} gave no answer that can be used (status {status}). It is asked again by itself.",
        code="reading_unclear",
        delay=delay,
        status=status,
    )
