"""What Google's APIs have in common from which we only read: an account that grants one scope, and their refusals.

Sources: Google's Calendar error guide and the calendar.v3 and meet.v2 discovery documents (revisions 20261030 and
20261029), checked 2026-11-22.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

from replysequence.domain.errors import Misconfigured, ProviderError, ReconnectNeeded, TryLater
from replysequence.providers import google
from replysequence.providers.answers import mapping, mappings, word
from replysequence.providers.asking import Read, read, refused, retry_after
from replysequence.providers.base import Access, Connectable, Identity, OAuthSpec, Tokens
from replysequence.providers.calendar import StartOver
from replysequence.providers.meanings import Meaning

_LATER = Meaning(
    TryLater, "rate_limited", "Google takes no more questions for now. It is asked again by itself.", 300
)


class GoogleReading(Connectable):
    """A Google account that lets us read one thing."""

    scope: ClassVar[str]
    box: ClassVar[str]
    """What Google's consent page calls that permission."""

    @cached_property
    def oauth(self) -> OAuthSpec:
        self._require_configured()
        return google.oauth_spec(self._values, scope=self.scope)

    async def identify(self, tokens: Tokens) -> Identity:
        return google.identity(tokens.claims or {}, issuer=self.oauth.issuer)

    def scope_missing(self) -> str:
        return (
            f"{self.title} was not connected, because the permission was not given. Connect again and tick the box "
            f"“{self.box}” on Google's page."
        )

    def removal_url(self, issuer: str) -> str | None:  # noqa: ARG002
        return google.REMOVAL_URL

    async def _ask(self, access: Access, url: str) -> Mapping[str, object]:
        """The object at ``url``. Raises :class:`StartOver` and every error of a calendar."""
        answer = await self._read(access, url)
        if answer.found:
            return answer.body
        raise self._refusal(answer)

    async def _ask_if_there(self, access: Access, url: str) -> Mapping[str, object]:
        """The same; empty where there is nothing, or nothing for this account."""
        answer = await self._read(access, url)
        if answer.found:
            return answer.body
        error = self._refusal(answer)
        if isinstance(error, TryLater | Misconfigured):
            raise error
        return {}

    async def _read(self, access: Access, url: str) -> Read:
        return await read(self._http, url, provider=self.title, access=access)

    def _refusal(self, answer: Read) -> Exception:
        reasons = _reasons(mapping(answer.body.get("error")))
        if answer.status == 410 or "fullSyncRequired" in reasons:
            return StartOver()
        known = next((self._meanings[reason] for reason in reasons if reason in self._meanings), None)
        if known is None:
            return self._without_reason(answer)
        return known.as_error(
            status=answer.status, details={"reasons": reasons}, delay=retry_after(answer.headers)
        )

    def _without_reason(self, answer: Read) -> ProviderError:
        if answer.status == 403:
            return Meaning(
                ReconnectNeeded,
                "forbidden",
                f"Google does not let ReplySequence read from {self.title} for this account. Connect it again.",
            ).as_error(status=403)
        return refused(answer, provider=self.title)

    @cached_property
    def _meanings(self) -> Mapping[str, Meaning]:
        scope = Meaning(ReconnectNeeded, "scope_missing", self.scope_missing())
        off = Meaning(
            Misconfigured,
            "api_disabled",
            f"The {self.title} API is switched off in this server's Google Cloud project. The operator must switch it "
            "on.",
        )
        later = ("rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded")
        return {
            **dict.fromkeys((*later, "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"), _LATER),
            **dict.fromkeys(("insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"), scope),
            **dict.fromkeys(("accessNotConfigured", "SERVICE_DISABLED"), off),
        }


def _reasons(error: Mapping[str, object]) -> list[str]:
    """The words that say why, the telling ones first."""
    listed = (*mappings(error.get("errors")), *mappings(error.get("details")))
    return [
        reason
        for reason in (*(word(item.get("reason")) for item in listed), word(error.get("status")))
        if reason
    ]
