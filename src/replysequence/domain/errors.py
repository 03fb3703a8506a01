"""Every error that one room tells another, as one tree.

    ReplySequenceError
    ├── InvalidInput            what somebody gave us cannot be used; names the field
    ├── NotFound                there is no such thing, or it is not yours
    ├── Conflict                it cannot be done in the present state
    ├── NotSignedIn             who are you?
    ├── NotAllowed              we know who you are, and the answer is no
    ├── TooManyRequests         slower, please
    ├── ConnectFailed           an OAuth flow ended without a usable connection
    ├── DatabaseUnavailable     the database cannot be reached, or cannot write
    │   └── StorageFull         it has no room left; nothing was changed
    ├── VaultError              one stored secret cannot be opened
    ├── VaultKeyMissing         there is no key for the secrets that are stored
    ├── VaultKeyWrong           a key has the right name and is not the one that was used
    └── ProviderError           what a provider's answer means for us
        ├── NeverSent           proved not accepted; may be tried again
        ├── TryLater            refused for now; says until when
        ├── Rejected            no, for good
        ├── ReconnectNeeded     the grant is gone or lacks a scope
        ├── AccessTokenRejected this access token is no longer taken; a fresh one may be
        ├── Misconfigured       the operator's fault: our secret, our API switch
        └── OutcomeUnknown      it may have left; never repeated by a machine

``services`` look at the type and nothing else: the type is the decision.
"""

from collections.abc import Mapping
from datetime import datetime


class ReplySequenceError(Exception):
    """Base of all errors meant for people.

    ``code`` is a stable word for programs; ``message`` says what happened and what to do next;
    ``details`` holds facts worth showing. None of them ever holds a secret.
    """

    code = "error"

    def __init__(
        self, message: str, *, code: str | None = None, details: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).code
        self.details: dict[str, object] = dict(details or {})


class InvalidInput(ReplySequenceError):
    """A value cannot be used; ``field`` is the name that the caller knows it by."""

    code = "invalid_input"

    def __init__(self, field: str, message: str, *, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message, details={"field": field, **(details or {})})
        self.field = field


class NotFound(ReplySequenceError):
    """No such thing, or it belongs to somebody else: the answer is the same on purpose."""

    code = "not_found"

    def __init__(self, kind: str) -> None:
        super().__init__(f"There is no such {kind}, or it is not yours.", details={"kind": kind})


class Conflict(ReplySequenceError):
    """The request is understood but does not fit the present state."""

    code = "conflict"


class NotSignedIn(ReplySequenceError):
    """Nobody is signed in, or the session or API key is no longer valid."""

    code = "not_signed_in"

    def __init__(self, message: str = "Please sign in, or send a valid API key.") -> None:
        super().__init__(message)


class NotAllowed(ReplySequenceError):
    """The person is known and may not do this."""

    code = "not_allowed"


class TooManyRequests(ReplySequenceError):
    """Too many in too short a time; ``retry_after`` is in seconds."""

    code = "too_many_requests"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message, details={"retry_after": round(retry_after)})
        self.retry_after = retry_after


class ConnectFailed(ReplySequenceError):
    """Connecting an account ended without a usable connection; ``code`` says why, ``message`` what to do."""

    code = "connect_failed"


class DatabaseUnavailable(ReplySequenceError):
    """The database cannot be reached, or cannot write.

    ``may_have_committed`` is false when the transaction certainly left nothing behind, and true when its
    COMMIT was sent and no answer came: read before repeating.
    """

    code = "database_unavailable"

    def __init__(self, message: str, *, may_have_committed: bool) -> None:
        super().__init__(message)
        self.may_have_committed = may_have_committed


class StorageFull(DatabaseUnavailable):
    """The database has no room left, and nothing was changed."""

    code = "storage_full"

    def __init__(self) -> None:
        super().__init__(
            "The server's disk is full, so nothing was changed. Tell who runs this server; once there is room, try "
            "again.",
            may_have_committed=False,
        )


class VaultError(ReplySequenceError):
    """One stored secret cannot be opened: damaged, moved, or sealed with a key that we do not have. The
    rest is well.
    """

    code = "vault_error"


class VaultKeyMissing(ReplySequenceError):
    """The database holds secrets and no key was given that could open them: a reason not to start."""

    code = "vault_key_missing"


class VaultKeyWrong(ReplySequenceError):
    """A key has the name of the one that sealed the stored secrets, and is another: a reason not to start."""

    code = "vault_key_wrong"


class ProviderError(ReplySequenceError):
    """What a provider's answer means. ``status`` and ``request_id`` are for the record only; nobody
    branches on them.
    """

    code = "provider_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.status = status
        self.request_id = request_id


class NeverSent(ProviderError):
    """The provider has provably not accepted it; trying again cannot send it twice."""

    code = "never_sent"


class TryLater(ProviderError):
    """Refused for now.

    ``not_before`` is the provider's own time (aware UTC) when it named one; ``delay`` is a wait in seconds
    when it named that; with neither, the caller backs off. ``pauses_mailbox`` says that the refusal is
    about the mailbox (its quota), not about this one message.
    """

    code = "try_later"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        not_before: datetime | None = None,
        delay: float | None = None,
        pauses_mailbox: bool = False,
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, status=status, request_id=request_id)
        self.not_before = not_before
        self.delay = delay
        self.pauses_mailbox = pauses_mailbox


class Rejected(ProviderError):
    """The provider said no to this message for good."""

    code = "rejected"


class ReconnectNeeded(ProviderError):
    """The grant is gone, or lacks what sending needs: only the person can repair it, by connecting again."""

    code = "reconnect_needed"


class AccessTokenRejected(ProviderError):
    """Refused because of the access token alone: refresh it once and repeat once; again means
    :class:`ReconnectNeeded`.
    """

    code = "access_token_rejected"


class Misconfigured(ProviderError):
    """Our own registration at the provider is broken: the operator must act, no user is to blame."""

    code = "misconfigured"


class OutcomeUnknown(ProviderError):
    """The request left and no answer proves what became of it."""

    code = "outcome_unknown"
