"""What an answer means for us. Each provider file holds its answers as tables of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from replysequence.domain.errors import AccessTokenRejected, OutcomeUnknown, ProviderError, Rejected, TryLater


@dataclass(frozen=True, slots=True)
class Meaning:
    """An error with its code and its sentence: what happened, what it means for the person, what to do next.

    ``delay`` (seconds, when the provider names no time) and ``pauses_mailbox`` are for :class:`TryLater`.
    """

    error: type[ProviderError]
    code: str
    message: str
    delay: float | None = None
    pauses_mailbox: bool = False

    def as_error(
        self,
        *,
        status: int,
        request_id: str | None = None,
        details: Mapping[str, object] | None = None,
        delay: float | None = None,
        not_before: datetime | None = None,
    ) -> ProviderError:
        """The error to raise. ``delay`` and ``not_before`` are the provider's own; they matter when it is a
        TryLater.
        """
        if self.error is TryLater:
            return TryLater(
                self.message,
                code=self.code,
                not_before=not_before,
                delay=self.delay if delay is None else delay,
                pauses_mailbox=self.pauses_mailbox,
                status=status,
                request_id=request_id,
            )
        return self.error(self.message, code=self.code, status=status, request_id=request_id, details=details)


def of_status(status: int, provider: str) -> Meaning:
    """The meaning of a status alone, for a provider that cannot tell a repeated message from a new one.

    408, 499, 5xx and whatever is no answer to a send leave it open whether the message went out: with Gmail
    and with Graph such answers have come for mail that was delivered
    (googleapis/google-api-python-client#1474, Microsoft Q&A 2286986, checked 2026-11-22). The other 4xx prove
    that it did not.
    """
    if status in (408, 499) or not 400 <= status < 500:
        return Meaning(
            OutcomeUnknown,
            "unclear_answer",
            f"{provider} took the message and then answered with status {status}, which leaves open whether "
            "it went out.",
        )
    if status == 401:
        return Meaning(
            AccessTokenRejected, "access_token_rejected", f"{provider} asks for a fresh proof of access."
        )
    if status in (425, 429):
        return Meaning(
            TryLater,
            "rate_limited",
            f"{provider} takes no more messages from this account for now. It is tried again by itself.",
            pauses_mailbox=True,
        )
    if status == 413:
        return Meaning(
            Rejected, "too_large", f"The message is larger than {provider} takes. Remove or shrink a file."
        )
    return Meaning(
        Rejected,
        "refused",
        f"{provider} refused the message (status {status}). It was not sent and will not be.",
    )
