"""What an attempt comes to, by what was raised. The type of the error decides, and nothing else is looked at."""

from dataclasses import replace
from datetime import datetime, timedelta

from replysequence import logs
from replysequence.domain.errors import (
    InvalidInput,
    Misconfigured,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    ReplySequenceError,
    TryLater,
    VaultError,
)
from replysequence.domain.send import GIVE_UP_AFTER, Outcome, State
from replysequence.storage.claims import Claimed
from replysequence.storage.endings import Ending, Pause

_log = logs.logger("services.verdicts")

BACKOFF = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
)
"""How long to wait after the first, second, … attempt when the provider names no time."""
LONGEST_WAIT = timedelta(hours=24)
"""A provider's own time further off than this is not believed."""
OPERATOR_WAIT = timedelta(minutes=5)
"""How often a provider that is set up wrong is tried again."""

EXPIRED = Ending(
    state=State.FAILED,
    outcome=Outcome.NEVER_SENT,
    reason="expired",
    explanation="It could not leave within 24 hours of its time. Send the draft again if it should still go.",
)
LEFT_OPEN = Ending(
    state=State.UNKNOWN,
    outcome=Outcome.NEVER_SENT,
    reason="no_longer_repeatable",
    explanation=(
        "An earlier attempt may have reached the provider, and so much time has passed that another one could "
        "send it twice. Look whether it arrived."
    ),
)
MAY_BE_OUT = (
    "An earlier attempt may have reached the provider, so look whether it arrived. The last one was refused:"
)
CRASHED = OutcomeUnknown(
    "Something broke on our side in the middle of handing the message over, so nobody knows whether it left.",
    code="internal_error",
)


def ending_of(error: ReplySequenceError, *, claimed: Claimed, at: datetime, phase: str) -> Ending:
    """What a refusal means for the send. Only called when the message is provably not out."""
    refused = Outcome.REFUSED if phase == "answered" else Outcome.NEVER_SENT
    match error:
        case Rejected() | InvalidInput():
            return _ended(State.FAILED, error, outcome=refused, phase=phase)
        case ReconnectNeeded() | VaultError():
            return _ended(State.WAITING, error, outcome=refused, phase=phase)
        case TryLater():
            until = min(_until(error, attempt=claimed.attempt, at=at), at + LONGEST_WAIT)
            pause = Pause(until, error.code, error.message, give_up_at=until + GIVE_UP_AFTER)
            ending = _ended(State.QUEUED, error, outcome=refused, phase=phase)
            return replace(ending, next_at=until, pause=pause if error.pauses_mailbox else None)
        case Misconfigured():
            _log.error("provider.misconfigured", via=claimed.via, code=error.code, send_id=claimed.id)
            until = at + OPERATOR_WAIT
            ending = _ended(State.QUEUED, error, outcome=refused, phase=phase)
            return replace(ending, next_at=until, pause=Pause(until, error.code, error.message))
        case _:
            return again(claimed, at=at, reason=error.code, phase=phase, error=error)


def _ended(state: State, error: ReplySequenceError, *, outcome: Outcome, phase: str) -> Ending:
    answered = error if isinstance(error, ProviderError) else None
    return Ending(
        state=state,
        outcome=outcome,
        reason=error.code,
        explanation=error.message,
        phase=phase,
        status=answered.status if answered else None,
        provider_request_id=answered.request_id if answered else None,
    )


def again(
    claimed: Claimed, *, at: datetime, reason: str, phase: str, error: ReplySequenceError | None = None
) -> Ending:
    """It is tried once more after a while: nothing of it left."""
    answered = error if isinstance(error, ProviderError) else None
    return Ending(
        state=State.QUEUED,
        outcome=Outcome.NEVER_SENT,
        reason=reason,
        explanation=error.message if error else None,
        phase=phase,
        status=answered.status if answered else None,
        provider_request_id=answered.request_id if answered else None,
        next_at=at + _backoff(claimed.attempt),
    )


def _until(error: TryLater, *, attempt: int, at: datetime) -> datetime:
    if error.not_before is not None:
        return max(error.not_before, at)
    if error.delay is not None:
        return at + timedelta(seconds=error.delay)
    return at + _backoff(attempt)


def _backoff(attempt: int) -> timedelta:
    return BACKOFF[min(attempt, len(BACKOFF)) - 1]
