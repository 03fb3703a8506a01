"""Looking whether a message lies in somebody's Sent folder: only where its owner allowed that, beside sending.

Finding it proves that it was sent. Not finding it proves nothing: a copy can appear late.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from replysequence.domain.errors import AccessTokenRejected, Rejected, TryLater
from replysequence.domain.secret import Secret
from replysequence.providers.answers import json_object, retry_delay
from replysequence.providers.base import Mailbox, OAuthSpec
from replysequence.providers.http import Deadlines, ExchangeFailed, HttpClient

SEND_ID_HEADER = "X-ReplySequence-Send-Id"
"""What marks each message as a certain send. Gmail and Exchange replace a Message-ID, and keep this."""
DEADLINES = Deadlines(connect=10, write=10, read=30, total=60)

Known = Callable[[Sequence[str]], Awaitable[Collection[str]]]
"""Which of these message ids of the provider belong to other sends of the mailbox."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """The permission to look, as the person is asked for it.

    ``scope`` is its canonical name; ``allows`` and ``note`` are sentences: what it lets us see, and what else to
    know before agreeing. ``costs`` is what one look takes at most of the mailbox's pace, in sends.
    """

    scope: str
    allows: str
    note: str
    costs: int


@dataclass(frozen=True, slots=True)
class Sought:
    """What to look for. ``since`` is when the attempt began whose outcome is unknown."""

    send_id: str
    message_id: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """A message that carries the send's own mark; ids are the provider's."""

    provider_message_id: str | None
    thread_id: str | None


class Searchable(Mailbox):
    """A mailbox in whose Sent folder we can look, if its owner lets us."""

    look_up: ClassVar[LookUp]

    @property
    @abstractmethod
    def looking_oauth(self) -> OAuthSpec:
        """:attr:`oauth` with the permission to look asked for as well. What must be granted stays the same: who does
        not let us look can still send.
        """

    @abstractmethod
    async def find_sent(self, sought: Sought, *, access_token: Secret, known: Known) -> Found | None:
        """Look once; none when it is not there (yet). Changes nothing at the provider.

        Raises :class:`AccessTokenRejected`, :class:`TryLater` or :class:`Rejected`: it could not look.
        """

    def oauth_for(self, scopes: frozenset[str]) -> OAuthSpec:
        return self.looking_oauth if self.look_up.scope in scopes else self.oauth


async def ask(http: HttpClient, url: str, *, provider: str, access_token: Secret) -> Mapping[str, object]:
    """The JSON object at ``url``. Raises :class:`AccessTokenRejected`, :class:`TryLater` or :class:`Rejected`."""
    headers = {"Authorization": f"Bearer {access_token.reveal()}", "Accept": "application/json"}
    try:
        answer = await http.request("GET", url, headers=headers, deadlines=DEADLINES)
    except ExchangeFailed as failure:
        reason = failure.reason
    else:
        body = json_object(answer)
        if answer.status == 200 and body:
            return body
        if answer.status == 401:
            raise AccessTokenRejected(f"{provider} asks for a fresh proof of access.", status=401)
        if answer.status in (403, 404, 410):
            raise Rejected(
                f"{provider} refused to say what lies in the Sent folder (status {answer.status}).",
                code="look_refused",
                status=answer.status,
            )
        if answer.status == 429:
            raise TryLater(
                f"{provider} takes no more questions about this account for now.",
                code="rate_limited",
                delay=retry_delay(answer.headers, now=datetime.now(UTC)),
                status=429,
            )
        raise TryLater(
            f"{provider} gave no answer that tells what lies in the Sent folder (status {answer.status}).",
            code="look_unclear",
            status=answer.status,
        )
    raise TryLater(f"{provider} could not be reached: {reason}.", code="not_reached")
