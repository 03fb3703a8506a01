"""Google's scopes: names, what the consent page says about them, which may be un-ticked.

Google's granular-permissions guide and the table of Gmail scopes, checked 2026-11-22.
"""

from collections.abc import Collection, Iterable
from typing import Final

_API = "https://www.googleapis.com/auth/"
USERINFO_EMAIL: Final = f"{_API}userinfo.email"
USERINFO_PROFILE: Final = f"{_API}userinfo.profile"
GMAIL_SEND: Final = f"{_API}gmail.send"
GMAIL_METADATA: Final = f"{_API}gmail.metadata"
CALENDAR_EVENTS_READONLY: Final = f"{_API}calendar.events.readonly"
MEETINGS_SPACE_READONLY: Final = f"{_API}meetings.space.readonly"

_SHORT: Final = {"email": USERINFO_EMAIL, "profile": USERINFO_PROFILE}
_SIGN_IN: Final = frozenset({"openid", USERINFO_EMAIL, USERINFO_PROFILE})

WORDS: Final[dict[str, str]] = {
    "openid": "Associate you with your personal info",
    USERINFO_EMAIL: "See your primary email address",
    USERINFO_PROFILE: "See your personal info, including any you have made public",
    GMAIL_SEND: "Send email on your behalf",
    "https://mail.google.com/": "Read, compose, send and permanently delete all your email",
    f"{_API}gmail.modify": "Read, compose and send email from your account",
    f"{_API}gmail.compose": "Manage drafts and send email",
    f"{_API}gmail.readonly": "View your email messages and settings",
    GMAIL_METADATA: "View your email message metadata, but not the email body",
    f"{_API}calendar": "See, edit, share and permanently delete all the calendars you can access",
    f"{_API}calendar.readonly": "See and download any calendar you can access",
    f"{_API}calendar.events": "View and edit events on all your calendars",
    CALENDAR_EVENTS_READONLY: "View events on all your calendars",
    f"{_API}calendar.events.owned": "See, create, change and delete events on calendars you own",
    f"{_API}calendar.events.owned.readonly": "See the events on calendars you own",
    f"{_API}calendar.calendarlist.readonly": "See the list of calendars you are subscribed to",
    f"{_API}meetings.space.created": "Create, edit and see the meeting spaces created by the app",
    MEETINGS_SPACE_READONLY: "Read information about any of your meeting spaces",
}

MAY_SEND: Final = frozenset(
    {
        GMAIL_SEND,
        "https://mail.google.com/",
        f"{_API}gmail.modify",
        f"{_API}gmail.compose",
    }
)
"""Any one of these lets a token call `users.messages.send`."""

MAY_READ: Final = frozenset(
    {
        GMAIL_METADATA,
        "https://mail.google.com/",
        f"{_API}gmail.modify",
        f"{_API}gmail.readonly",
    }
)
"""Any one of these lets a token call `users.messages.list` and `get`; with the first among them, not all of it."""

MAY_READ_EVENTS: Final = frozenset(
    {
        f"{_API}calendar",
        f"{_API}calendar.readonly",
        f"{_API}calendar.events",
        CALENDAR_EVENTS_READONLY,
        f"{_API}calendar.events.owned",
        f"{_API}calendar.events.owned.readonly",
    }
)
"""Any one of these lets a token call `events.list` and `get` on the own calendar (calendar.v3, checked 2026-10-30)."""

MAY_READ_CONFERENCES: Final = frozenset({MEETINGS_SPACE_READONLY})
"""Lets a token see any conference of its user. `meetings.space.created` shows only those that the app itself made."""


def canonical(scopes: Iterable[str]) -> tuple[str, ...]:
    """`scopes` by their canonical names, once each; asking for the address or the profile adds `openid`."""
    named = [_SHORT.get(scope, scope) for scope in scopes]
    if USERINFO_EMAIL in named or USERINFO_PROFILE in named:
        named.append("openid")
    return tuple(dict.fromkeys(named))


def unknown(scopes: Iterable[str]) -> list[str]:
    """Those of `scopes` (canonical) that Google does not know."""
    return [scope for scope in scopes if scope not in WORDS]


def is_sign_in(scope: str) -> bool:
    """Whether `scope` only says who somebody is."""
    return scope in _SIGN_IN


def tickable(scopes: Collection[str]) -> list[str]:
    """Those of `scopes` that get a box of their own on the consent page; none means all or nothing."""
    others = [scope for scope in scopes if not is_sign_in(scope)]
    signs_in = len(others) < len(scopes)
    return others if signs_in or len(others) > 1 else []


def is_gmail(scope: str) -> bool:
    """Whether a change of password ends a grant that holds `scope`."""
    return scope.startswith(f"{_API}gmail.") or scope == "https://mail.google.com/"


def displayed(scopes: Collection[str]) -> str:
    """The `scope` parameter of the callback, which has short names beside the canonical ones."""
    short = [name for name, full in _SHORT.items() if full in scopes]
    sign_in = [scope for scope in (USERINFO_EMAIL, USERINFO_PROFILE, "openid") if scope in scopes]
    return " ".join([*short, *sign_in, *(scope for scope in scopes if not is_sign_in(scope))])
