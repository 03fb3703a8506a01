"""Who may call the Gmail API, and how much in a minute (Gmail API usage limits, checked 2026-11-22)."""

from collections import defaultdict, deque
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from starlette.requests import Request

from replysequence.sandbox import gmail_errors as errors
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.credentials import AccessToken
from replysequence.sandbox.google_access import authorize
from replysequence.sandbox.google_errors import GoogleRefusedError
from replysequence.sandbox.world import World

SEND_UNITS: Final = 100
GET_UNITS: Final = 20
LIST_UNITS: Final = 5


class Quota:
    """The units that each mailbox used in the last minute, whatever for."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settings = world.settings[Vendor.GOOGLE]
        self._used: dict[str, deque[tuple[datetime, int]]] = defaultdict(deque)

    def authorize(self, request: Request, *, scopes: Collection[str]) -> AccessToken:
        """The token of `request`. Raises `GoogleRefusedError` unless it holds one of `scopes`, for this mailbox."""
        token = authorize(request, self._world.credentials, scopes=scopes)
        user = request.path_params["user"]
        if user != "me" and user.casefold() != token.account.email.casefold():
            raise GoogleRefusedError(errors.delegation_denied(user))
        return token

    def charge(self, account: Account, *, units: int) -> None:
        """Count a call. Raises `GoogleRefusedError` when it would be too much."""
        now = self._world.clock.now()
        used = self._used[account.email]
        while used and used[0][0] <= now - timedelta(minutes=1):
            used.popleft()
        if sum(each for _, each in used) + units > self._settings.units_per_minute:
            raise GoogleRefusedError(errors.UNITS_PER_MINUTE)
        used.append((now, units))
