"""The fault menu: what can go wrong at a vendor on demand, before and after it accepts a message."""

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from replysequence.sandbox.accounts import Vendor
from replysequence.sandbox.clock import Clock


class Endpoint(StrEnum):
    """Where at a vendor a fault strikes."""

    AUTHORIZE = "authorize"
    TOKEN = "token"
    USERINFO = "userinfo"
    KEYS = "keys"
    REVOKE = "revoke"
    SEND = "send"
    LOOK_UP = "look_up"
    LOG = "log"
    FIND = "find"
    CALENDAR = "calendar"
    MEETINGS = "meetings"


class Phase(StrEnum):
    """Whether the vendor has done what was asked by the time the fault strikes."""

    BEFORE = "before"
    WITHIN = "within"
    """The vendor's own code asks for it, where it can happen at all."""
    AFTER = "after"


class Action(StrEnum):
    """What happens to the connection or the answer."""

    RESET_UNREAD = "reset_unread"
    """The connection is reset as soon as the header section is in."""
    RESET_MID_BODY = "reset_mid_body"
    """The connection is reset when the first piece of the body is in."""
    RESET = "reset"
    """The whole request is read, then the connection is reset (the client sees ECONNRESET)."""
    CLOSE = "close"
    """The whole request is read, then the connection is closed without an answer (the client sees EOF)."""
    HANG = "hang"
    """The whole request is read, nothing is answered for `delay_seconds`, then the connection is reset."""
    SLOW = "slow"
    """The true answer comes after `delay_seconds`."""
    ANSWER = "answer"
    """An error of the vendor's own making is answered."""
    TRUNCATE = "truncate"
    """Half of the true answer comes, then the connection is closed."""
    GARBAGE = "garbage"
    """The true status comes with a body that is not what it claims to be."""
    RETRY_AFTER = "retry_after"
    """The answer is 202 and carries a Retry-After."""
    EMPTY_PAGE = "empty_page"
    """The page has nothing on it, and there is a next one."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One line of the menu. `words` completes the sentence "<vendor> …"; `answer` names one of its errors."""

    name: str
    phase: Phase
    action: Action
    words: str
    status: int = 0
    answer: str = ""
    endpoints: tuple[Endpoint, ...] = tuple(Endpoint)


_SEND = (Endpoint.SEND, Endpoint.LOG)
_CRM = (Endpoint.LOG, Endpoint.FIND)
_TOKEN = (Endpoint.TOKEN,)
_AUTHORIZE = (Endpoint.AUTHORIZE,)
_READING = (Endpoint.CALENDAR, Endpoint.MEETINGS)


def _refused(status: int, words: str, endpoints: tuple[Endpoint, ...] = tuple(Endpoint)) -> Kind:
    return Kind(
        name=f"refused_{status}",
        phase=Phase.BEFORE,
        action=Action.ANSWER,
        status=status,
        words=words,
        endpoints=endpoints,
    )


def _after(status: int, words: str) -> Kind:
    return Kind(
        name=f"error_{status}_after_acceptance",
        phase=Phase.AFTER,
        action=Action.ANSWER,
        status=status,
        words=words,
        endpoints=_SEND,
    )


def _said_by_a_crm(name: str, words: str) -> Kind:
    return Kind(name=name, phase=Phase.BEFORE, action=Action.ANSWER, answer=name, words=words, endpoints=_CRM)


MENU: Final[dict[str, Kind]] = {
    kind.name: kind
    for kind in (
        Kind(
            name="reset_before_reading",
            phase=Phase.BEFORE,
            action=Action.RESET_UNREAD,
            words="breaks the connection before reading the request",
        ),
        Kind(
            name="reset_mid_body",
            phase=Phase.BEFORE,
            action=Action.RESET_MID_BODY,
            words="breaks the connection while the request is still arriving",
        ),
        Kind(
            name="reset_before_acceptance",
            phase=Phase.BEFORE,
            action=Action.RESET,
            words="reads the whole request, does nothing, and breaks the connection",
        ),
        Kind(
            name="close_before_acceptance",
            phase=Phase.BEFORE,
            action=Action.CLOSE,
            words="reads the whole request, does nothing, and hangs up without an answer",
        ),
        Kind(
            name="hang_before_acceptance",
            phase=Phase.BEFORE,
            action=Action.HANG,
            words="reads the whole request, does nothing, and never answers",
        ),
        Kind(
            name="slow", phase=Phase.AFTER, action=Action.SLOW, words="does what was asked, but answers late"
        ),
        _refused(
            401,
            "says that the access token is not valid",
            (Endpoint.SEND, Endpoint.USERINFO, Endpoint.LOOK_UP, *_CRM, *_READING),
        ),
        _refused(429, "refuses: too many requests, come back later"),
        _refused(500, "answers with an internal error, having done nothing"),
        _refused(502, "answers with a gateway error page, having done nothing"),
        _refused(503, "answers that the service is unavailable, having done nothing"),
        _refused(504, "answers with a gateway time-out, having done nothing"),
        Kind(
            name="reset_after_acceptance",
            phase=Phase.AFTER,
            action=Action.RESET,
            words="accepts the message, then the connection breaks",
            endpoints=_SEND,
        ),
        Kind(
            name="close_after_acceptance",
            phase=Phase.AFTER,
            action=Action.CLOSE,
            words="accepts the message, then hangs up without an answer",
            endpoints=_SEND,
        ),
        Kind(
            name="hang_after_acceptance",
            phase=Phase.AFTER,
            action=Action.HANG,
            words="accepts the message, then never answers",
            endpoints=_SEND,
        ),
        _after(500, "accepts the message, then answers with an internal error"),
        _after(502, "accepts the message, then answers with a gateway error page"),
        _after(503, "accepts the message, then answers that the service is unavailable"),
        _after(504, "accepts the message, then answers with a gateway time-out"),
        Kind(
            name="truncated_after_acceptance",
            phase=Phase.AFTER,
            action=Action.TRUNCATE,
            words="accepts the message, then breaks off in the middle of the answer",
            endpoints=_SEND,
        ),
        Kind(
            name="garbage_after_acceptance",
            phase=Phase.AFTER,
            action=Action.GARBAGE,
            words="accepts the message, then answers with a body that makes no sense",
            endpoints=_SEND,
        ),
        Kind(
            name="accepted_with_retry_after",
            phase=Phase.AFTER,
            action=Action.RETRY_AFTER,
            words='accepts the message, and says both "accepted" and "come back later"',
            endpoints=_SEND,
        ),
        Kind(
            name="invalid_grant",
            phase=Phase.BEFORE,
            action=Action.ANSWER,
            answer="invalid_grant",
            words="says that the refresh token has been revoked (though it has not)",
            endpoints=_TOKEN,
        ),
        Kind(
            name="invalid_client",
            phase=Phase.BEFORE,
            action=Action.ANSWER,
            answer="invalid_client",
            words="does not accept the app's client secret",
            endpoints=_TOKEN,
        ),
        Kind(
            name="html",
            phase=Phase.BEFORE,
            action=Action.ANSWER,
            answer="html",
            words="answers with a web page instead of data",
            endpoints=(
                *(Endpoint.TOKEN, Endpoint.USERINFO, Endpoint.KEYS, Endpoint.REVOKE),
                *(Endpoint.LOOK_UP, *_CRM, *_READING),
            ),
        ),
        Kind(
            name="missing_scope",
            phase=Phase.BEFORE,
            action=Action.ANSWER,
            answer="missing_scope",
            words="says that a permission is missing (though it was granted)",
            endpoints=(*_CRM, *_READING),
        ),
        Kind(
            name="sync_token_expired",
            phase=Phase.WITHIN,
            action=Action.ANSWER,
            answer="sync_token_expired",
            words="says that the sync token is no longer valid, and all must be read again",
            endpoints=(Endpoint.CALENDAR,),
        ),
        Kind(
            name="empty_page",
            phase=Phase.WITHIN,
            action=Action.EMPTY_PAGE,
            words="answers a page with nothing on it, and says that there is more",
            endpoints=_READING,
        ),
        Kind(
            name="admin_approval",
            phase=Phase.BEFORE,
            action=Action.ANSWER,
            answer="admin_approval",
            words="shows a page that asks for an administrator's approval",
            endpoints=_AUTHORIZE,
        ),
        Kind(
            name="error_page",
            phase=Phase.BEFORE,
            action=Action.ANSWER,
            answer="error_page",
            words="shows an error page and never returns to the app",
            endpoints=_AUTHORIZE,
        ),
        _said_by_a_crm("locked", "says that somebody else is changing the record"),
        _said_by_a_crm("migrating", "says that the account is being moved"),
        _said_by_a_crm("limit_exceeded", "says that today's calls are used up"),
    )
}


@dataclass(kw_only=True)
class Fault:
    """One armed fault.

    `account` None strikes anybody. `count` None strikes until removed. `probability` is drawn for each
    request that fits, from a generator seeded with `seed`, so that a run can be repeated.
    """

    kind: str
    vendor: Vendor
    endpoint: Endpoint = Endpoint.SEND
    account: str | None = None
    count: int | None = 1
    probability: float = 1.0
    seed: int = 0
    delay_seconds: float = 30.0
    retry_after_seconds: int = 2
    id: int = 0
    _random: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        menu = MENU.get(self.kind)
        if menu is None:
            raise ValueError(f"There is no fault {self.kind!r}; the menu is {', '.join(MENU)}.")
        if self.endpoint not in menu.endpoints:
            raise ValueError(f"Fault {self.kind!r} cannot strike at {self.endpoint.value!r}.")
        if self.count is not None and self.count < 1:
            raise ValueError("A fault strikes at least once.")
        if not 0 < self.probability <= 1:
            raise ValueError("A probability lies above 0 and is at most 1.")
        self._random = random.Random(self.seed)  # noqa: S311  # repeatable on purpose

    @property
    def menu(self) -> Kind:
        """The line of the menu that this fault was ordered from."""
        return MENU[self.kind]

    def fits(self, vendor: Vendor, endpoint: Endpoint, phase: Phase) -> bool:
        """Whether this fault may strike there, whoever the account is."""
        return (
            self.vendor is vendor
            and self.endpoint is endpoint
            and self.menu.phase is phase
            and self.count != 0
        )

    def draws(self) -> bool:
        """Draw whether this request is struck."""
        return self.probability >= 1 or self._random.random() < self.probability


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A fault that did strike, for the test that counts them."""

    kind: str
    vendor: Vendor
    endpoint: Endpoint
    account: str | None
    at: datetime


class Faults:
    """The armed faults, oldest first, and a record of those that struck."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._armed: list[Fault] = []
        self._lock = threading.Lock()
        self._made = 0
        self.strikes: list[Strike] = []

    def __iter__(self) -> Iterator[Fault]:
        return iter(tuple(self._armed))

    def arm(self, fault: Fault) -> Fault:
        """Add `fault` behind those already armed, give it an id, and return it."""
        with self._lock:
            self._made += 1
            fault.id = self._made
            self._armed.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> None:
        """Disarm the fault with this id, or all of them."""
        with self._lock:
            self._armed = [fault for fault in self._armed if fault_id is not None and fault.id != fault_id]

    def concern(self, vendor: Vendor, endpoint: Endpoint, phase: Phase) -> bool:
        """Whether any armed fault might strike there."""
        return any(fault.fits(vendor, endpoint, phase) for fault in self)

    def ask_who(self, vendor: Vendor, endpoint: Endpoint, phase: Phase) -> bool:
        """Whether it matters whose request it is. A fault that breaks into the body must strike before that is read."""
        unread = (Action.RESET_UNREAD, Action.RESET_MID_BODY)
        fitting = [fault for fault in self if fault.fits(vendor, endpoint, phase)]
        return any(fault.account is not None or fault.menu.action not in unread for fault in fitting)

    def take(
        self,
        vendor: Vendor,
        endpoint: Endpoint,
        phase: Phase,
        *,
        account: str | None,
        kind: str | None = None,
    ) -> Fault | None:
        """The fault that strikes this request, spent by one and recorded; None when it goes through.

        `kind` is the only one that can happen here; None when any can.
        """
        with self._lock:
            for fault in self._armed:
                if not fault.fits(vendor, endpoint, phase) or fault.account not in (None, account):
                    continue
                if kind not in (None, fault.kind):
                    continue
                if fault.draws():
                    return self._spend(fault, account)
        return None

    def happens(self, kind: str, vendor: Vendor, endpoint: Endpoint, *, account: str) -> bool:
        """Whether a fault of this kind strikes here, for the vendor's own code that asks for it; spends it."""
        return self.take(vendor, endpoint, Phase.WITHIN, account=account, kind=kind) is not None

    def _spend(self, fault: Fault, account: str | None) -> Fault:
        if fault.count is not None:
            fault.count -= 1
        if fault.count == 0:
            self._armed.remove(fault)
        self.strikes.append(
            Strike(
                kind=fault.kind,
                vendor=fault.vendor,
                endpoint=fault.endpoint,
                account=account,
                at=self._clock.now(),
            )
        )
        return fault
