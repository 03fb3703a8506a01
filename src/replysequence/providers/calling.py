"""One call to the API of an account that keeps records.

What is only read may be asked for again at any time, so an answer that cannot be read is no answer. What is written may
be written twice if nobody knows how it went.
"""

import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

from replysequence.domain.errors import AccessTokenRejected, OutcomeUnknown, ProviderError, Rejected, TryLater
from replysequence.domain.secret import Secret
from replysequence.providers.answers import json_object, mappings, retry_delay
from replysequence.providers.http import Answer, Deadlines, ExchangeFailed, HttpClient
from replysequence.providers.meanings import Meaning

DEADLINES = Deadlines(connect=10, write=15, read=30, total=60)

Refused = Callable[[Answer], Meaning | None]
"""What a provider's own words in an answer mean; none when they say nothing that its status does not."""


class Caller:
    """Calls one provider's API. ``refused`` reads its errors where a status proves that nothing was done.

    Every method returns the answer of a success, 200 to 299, and of the statuses in ``expected``, which prove that
    nothing was done. It raises a :class:`ProviderError` for all others.
    """

    def __init__(self, http: HttpClient, *, provider: str, refused: Refused) -> None:
        self._http = http
        self._provider = provider
        self._refused = refused

    async def read(self, url: str, *, access_token: Secret, expected: Collection[int] = ()) -> Answer:
        """GET ``url``; a success is a JSON object. Never raises :class:`OutcomeUnknown`."""
        return await self._ask("GET", url, None, access_token, expected)

    async def search(self, url: str, body: Mapping[str, object], *, access_token: Secret) -> Answer:
        """The same with a POST of ``body``, where that changes nothing."""
        return await self._ask("POST", url, body, access_token, ())

    async def write(
        self,
        method: str,
        url: str,
        body: Mapping[str, object] | None = None,
        *,
        access_token: Secret,
        expected: Collection[int] = (),
    ) -> Answer:
        """Change something, once. Raises :class:`OutcomeUnknown` when it may have been done."""
        try:
            answer = await self._exchange(method, url, body, access_token)
        except ExchangeFailed as failure:
            whole, reason = failure.request_was_whole, failure.reason
        else:
            if 200 <= answer.status < 300 or (answer.status in expected and _is_json(answer)):
                return answer
            if _leaves_open(answer.status):
                raise OutcomeUnknown(
                    f"{self._provider} took the request and then answered with status {answer.status}, which leaves "
                    "open whether it was written.",
                    code="unclear_answer",
                    status=answer.status,
                )
            raise self.refusal(answer)
        if whole:
            raise OutcomeUnknown(
                f"{self._provider} took the request and gave no answer: {reason}.", code="no_answer"
            )
        raise _not_reached(self._provider, reason)

    def refusal(self, answer: Answer) -> ProviderError:
        """What an answer means that proves that nothing was done."""
        meaning = self._refused(answer) or _of_status(answer, self._provider)
        told = retry_delay(answer.headers, now=datetime.now(UTC))
        delay = max(told or 0.0, meaning.delay or 0.0) or None
        return meaning.as_error(status=answer.status, delay=delay)

    def unclear(self, answer: Answer) -> TryLater:
        """What to raise when an answer to a question tells nothing."""
        return TryLater(
            f"{self._provider} gave no answer that tells (status {answer.status}). It is tried again by itself.",
            code="unclear_answer",
            delay=retry_delay(answer.headers, now=datetime.now(UTC)),
            status=answer.status,
        )

    def listed(self, answer: Answer, name: str) -> list[Mapping[str, object]]:
        """The objects in the array ``name`` of an answer. Only an empty array says that there are none; without one the
        answer tells nothing.
        """
        found = json_object(answer).get(name)
        if not isinstance(found, list):
            raise self.unclear(answer)
        return mappings(found)

    async def _ask(
        self,
        method: str,
        url: str,
        body: Mapping[str, object] | None,
        access_token: Secret,
        expected: Collection[int],
    ) -> Answer:
        try:
            answer = await self._exchange(method, url, body, access_token)
        except ExchangeFailed as failure:
            reason = failure.reason
        else:
            success = 200 <= answer.status < 300
            if (success or answer.status in expected) and json_object(answer):
                return answer
            if success or _leaves_open(answer.status):
                raise self.unclear(answer)
            raise self.refusal(answer)
        raise _not_reached(self._provider, reason)

    async def _exchange(
        self, method: str, url: str, body: Mapping[str, object] | None, access_token: Secret
    ) -> Answer:
        headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
        if body is None:
            return await self._http.request(method, url, headers=headers, deadlines=DEADLINES)
        headers["Content-Type"] = "application/json"
        sent = json.dumps(body).encode()
        return await self._http.request(method, url, headers=headers, body=sent, deadlines=DEADLINES)


def _leaves_open(status: int) -> bool:
    """Whether nobody can know from ``status`` alone if a write was done: all but 4xx, and a time-out among these."""
    return status in (408, 499) or not 400 <= status < 500


def _not_reached(provider: str, reason: str) -> TryLater:
    return TryLater(
        f"{provider} could not be reached: {reason}. It is tried again by itself.", code="not_reached"
    )


def _is_json(answer: Answer) -> bool:
    try:
        answer.json()
    except (ValueError, RecursionError):
        return False
    return True


def _of_status(answer: Answer, provider: str) -> Meaning:
    on_the_way = answer.status in (403, 404) and not _is_json(answer)
    error, code, words = _ON_THE_WAY if on_the_way else _BY_STATUS.get(answer.status, _OTHERWISE)
    message = words.format(provider=provider, status=answer.status)
    return Meaning(error, code, message, delay=10, pauses_mailbox=code == "rate_limited")


_Words = tuple[type[ProviderError], str, str]

_BUSY: _Words = (TryLater, "busy", "{provider} cannot take it just now. It is tried again by itself.")
_GONE: _Words = (Rejected, "record_gone", "{provider} no longer has a record that this is about.")
_ON_THE_WAY: _Words = (
    TryLater,
    "refused_on_the_way",
    "Something before {provider} refused the request. It is tried again by itself.",
)
_OTHERWISE: _Words = (Rejected, "refused", "{provider} refused it (status {status}).")
_BY_STATUS: Mapping[int, _Words] = {
    401: (AccessTokenRejected, "access_token_rejected", "{provider} asks for a fresh proof of access."),
    403: (
        Rejected,
        "forbidden",
        "{provider} does not let this person do that. Ask the administrator of your {provider} account.",
    ),
    404: _GONE,
    409: _BUSY,
    410: _GONE,
    413: (Rejected, "too_large", "The message is larger than {provider} takes."),
    423: _BUSY,
    425: _BUSY,
    429: (TryLater, "rate_limited", "{provider} takes no more calls for now. It is tried again by itself."),
}
"""What a status alone means, for every provider."""
