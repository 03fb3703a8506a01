"""What states, events, permissions and failures are called on the pages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from replysequence.domain.event import Event, Kind
from replysequence.domain.report import ReportState
from replysequence.domain.send import SCHEDULED, UNDO, Outcome, State


@dataclass(frozen=True, slots=True)
class StateWords:
    """``tone`` is the badge's colour, ``meaning`` one sentence; ``live``: something will still happen by itself."""

    label: str
    tone: str
    meaning: str
    live: bool = False


STATES: Final[Mapping[State, StateWords]] = {
    State.QUEUED: StateWords(
        "Queued", "busy", "Safely stored. It leaves as soon as its turn comes.", live=True
    ),
    State.WAITING: StateWords(
        "Waiting", "wait", "Held for now. It leaves by itself once what it waits for is there.", live=True
    ),
    State.CLAIMED: StateWords(
        "Preparing", "busy", "The message is being prepared; nothing has left yet.", live=True
    ),
    State.SENDING: StateWords("Sending", "busy", "The message is being handed over right now.", live=True),
    State.SENT: StateWords("Sent", "good", "The provider accepted the message."),
    State.FAILED: StateWords("Failed", "bad", "The message was not sent, and will not be."),
    State.UNKNOWN: StateWords(
        "Unknown",
        "bad",
        "The message left here, but nothing proves what became of it. It may or may not have been sent.",
    ),
    State.SETTLED_SENT: StateWords(
        "Sent, confirmed later", "good", "Nothing proved what became of it; the message was found sent."
    ),
    State.SETTLED_NOT_SENT: StateWords(
        "Not sent, confirmed later", "plain", "Nothing proved what became of it; the message was not found."
    ),
    State.CANCELLED: StateWords("Cancelled", "plain", "Taken back before anything left."),
}

WAITS: Final[Mapping[str, str]] = {
    UNDO: "Safely stored. Until it leaves you can take it back.",
    SCHEDULED: "Safely stored. It leaves by itself at its time, also when nobody is looking.",
    "asks_first": "Held. It leaves only if you say so.",
    "disconnected": "Held. It does not leave by itself any more.",
}
"""What a waiting send means where its reason says more than its state."""

REPORT_STATES: Final[Mapping[ReportState, StateWords]] = {
    ReportState.DUE: StateWords("Waits to be logged", "wait", "It is logged by itself.", live=True),
    ReportState.CLAIMED: StateWords("Being logged", "busy", "The CRM is being asked.", live=True),
    ReportState.LOGGING: StateWords("Being logged", "busy", "The entry is being made.", live=True),
    ReportState.LOGGED: StateWords("Logged", "good", "It has its entry there."),
    ReportState.SKIPPED: StateWords("Not logged", "plain", "There was nothing to log it on."),
    ReportState.FAILED: StateWords("Could not be logged", "bad", "The CRM did not take it."),
}

OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.SENT: "Accepted",
    Outcome.REFUSED: "Refused",
    Outcome.NEVER_SENT: "Did not leave",
    Outcome.UNKNOWN: "May have left",
}

PHASES: Final[Mapping[str, str]] = {
    "claimed": "Preparing the message",
    "sending": "Handing it to the provider",
    "answered": "The provider's answer",
}
"""How far an attempt came."""

REASONS: Final[Mapping[str, str]] = {
    "no_answer": "No answer came",
    "not_reached": "The provider could not be reached",
    "unclear_answer": "The answer did not say whether it was taken",
    "worker_died": "ReplySequence was stopped in the middle of it",
    "internal_error": "A fault in ReplySequence",
    "refused_on_the_way": "Refused before it reached the provider",
    "grant_gone": "The permission to send is no longer valid",
    "no_refresh_token": "The permission to send cannot be renewed",
    "scope_missing": "The permission to send was not given",
    "other_client": "Connected with another registration",
    "client_refused": "This installation is not set up correctly",
    "not_configured": "This installation is not set up correctly",
    "key_refused": "This installation is not set up correctly",
    "refused_together": "The provider refuses many accounts at once",
    "provider_unavailable": "The provider is out of order",
    "token_busy": "The account was being renewed elsewhere",
    "no_longer_repeatable": "Too late to ask the provider again",
    "expired": "Too late to send it",
    "rate_limited": "Too many messages for now",
    "paced": "Waits its turn",
    "daily_limit": "The day's limit of the account is reached",
    "provider_down": "The provider is out of order",
    "look_refused": "The provider refused to say what lies there",
    "look_unclear": "The provider gave no clear answer",
}


def reason_in_words(code: str) -> str:
    """Why an attempt ended as it did; a word that has no sentence of its own is made readable."""
    return REASONS.get(code) or code.replace("_", " ").capitalize()


EVENTS: Final[Mapping[Kind, str]] = {
    Kind.SEND_ACCEPTED: "Accepted for sending",
    Kind.SEND_QUEUED: "Back in the queue",
    Kind.SEND_WAITING: "Waiting",
    Kind.SEND_RESCHEDULED: "Time changed",
    Kind.SEND_SENT: "Sent",
    Kind.SEND_FAILED: "Failed",
    Kind.SEND_UNKNOWN: "Outcome unknown",
    Kind.SEND_LOOKED_FOR: "Looked for in the Sent folder",
    Kind.SEND_SETTLED: "Settled",
    Kind.SEND_CANCELLED: "Cancelled",
    Kind.SEND_DELIVERED: "Delivered",
    Kind.SEND_DELAYED: "Delivery delayed",
    Kind.SEND_BOUNCED: "Bounced",
    Kind.SEND_COMPLAINED: "Marked as spam",
    Kind.REPORT_LOGGED: "Logged in the CRM",
    Kind.REPORT_FAILED: "Not logged in the CRM",
    Kind.CONNECTION_CONNECTED: "Account connected",
    Kind.CONNECTION_RECONNECTED: "Account connected again",
    Kind.CONNECTION_RECONNECT_NEEDED: "Account needs reconnecting",
    Kind.CONNECTION_RESTORED: "Account need not be reconnected after all",
    Kind.CONNECTION_OWNER_TOLD: "Mail sent about the broken account",
    Kind.CONNECTION_DEFAULT_CHANGED: "Default account changed",
    Kind.CONNECTION_LOOK_UP_CHANGED: "Looking in the Sent folder allowed or stopped",
    Kind.CONNECTION_DISCONNECTED: "Account disconnected",
    Kind.DRAFT_CREATED: "Draft written",
    Kind.DRAFT_DELETED: "Draft deleted",
    Kind.USER_SIGNED_IN: "Signed in",
    Kind.USER_SIGN_IN_FAILED: "Sign-in failed",
    Kind.USER_INVITED: "Somebody was invited",
    Kind.USER_JOINED: "Joined",
    Kind.USER_PASSWORD_CHANGED: "Password changed",
    Kind.API_KEY_CREATED: "API key made",
    Kind.API_KEY_REVOKED: "API key revoked",
}

_DETAILS: Final[Mapping[str, str]] = {
    "person": "By hand",
    "look_up": "Found in the Sent folder",
    "notice": "The provider spoke of it later",
    "not_found": "Not found",
    "could_not_look": "Could not look",
}


def event_detail(event: Event) -> str:
    """What to say of an event beside its name; empty when the name says it all."""
    told = (event.data.get(name) for name in ("explanation", "email", "name"))
    coded = (_DETAILS.get(str(event.data.get(name))) for name in ("outcome", "by"))
    return next((str(text) for text in (*told, *coded) if text), "")


EVENT_TONES: Final[Mapping[Kind, str]] = {
    Kind.SEND_SENT: "good",
    Kind.SEND_DELIVERED: "good",
    Kind.CONNECTION_CONNECTED: "good",
    Kind.CONNECTION_RECONNECTED: "good",
    Kind.SEND_FAILED: "bad",
    Kind.SEND_UNKNOWN: "bad",
    Kind.SEND_BOUNCED: "bad",
    Kind.SEND_COMPLAINED: "bad",
    Kind.REPORT_LOGGED: "good",
    Kind.REPORT_FAILED: "bad",
    Kind.CONNECTION_RECONNECT_NEEDED: "bad",
    Kind.USER_SIGN_IN_FAILED: "bad",
    Kind.SEND_WAITING: "wait",
    Kind.SEND_DELAYED: "wait",
}


@dataclass(frozen=True, slots=True)
class CategoryWords:
    """A section of the integrations page. ``absent`` is what it says while this version has no provider for it.

    ``lost`` says that a permission is gone, and ``meanwhile`` what that means until the account is connected again.
    """

    title: str
    purpose: str
    absent: str
    lost: str = "The permission is no longer valid."
    meanwhile: str = "Nothing is read from it until then."


CATEGORIES: Final[Mapping[str, CategoryWords]] = {
    "meetings": CategoryWords(
        "Meeting platforms",
        "Where your meetings take place.",
        "No meeting platform is available in this version.",
    ),
    "calendar": CategoryWords(
        "Calendar", "Which meetings you had, and with whom.", "No calendar is available in this version."
    ),
    "email": CategoryWords(
        "Email accounts",
        "Your follow-ups leave from these addresses.",
        "No email provider is available in this version.",
        lost="The permission to send is no longer valid.",
        meanwhile="Messages from this address wait until then.",
    ),
    "crm": CategoryWords(
        "CRM",
        "Where every message you send is logged, once, on the person it went to.",
        "No CRM is available in this version.",
        meanwhile="What you send meanwhile is logged there afterwards. Sending does not wait for it.",
    ),
}

_SCOPES: Final[Mapping[str, str]] = {
    "openid": "See which account this is",
    "email": "See your email address",
    "profile": "See your name",
    "offline_access": "Stay connected until you disconnect",
    "https://www.googleapis.com/auth/userinfo.email": "See your email address",
    "https://www.googleapis.com/auth/userinfo.profile": "See your name",
    "https://www.googleapis.com/auth/gmail.send": "Send mail as you",
    "https://www.googleapis.com/auth/gmail.metadata": "See who your mail is from and to, when, and its subjects",
    "https://graph.microsoft.com/mail.send": "Send mail as you",
    "https://graph.microsoft.com/user.read": "See your name and address",
    "mail.send": "Send mail as you",
    "mail.read": "Read your mail",
    "https://graph.microsoft.com/mail.read": "Read your mail",
    "user.read": "See your name and address",
}


def scopes_in_words(scopes: Iterable[str]) -> list[str]:
    """What an account lets us do, each thing once, sending first; a scope without words as it is."""
    said = {_SCOPES.get(scope.lower(), scope) for scope in scopes}
    return sorted(said, key=lambda text: (not text.startswith("Send"), text))


@dataclass(frozen=True, slots=True)
class FailureWords:
    """A headline, and what to do, for one way in which connecting can fail. ``retry``: trying again helps."""

    title: str
    steps: tuple[str, ...] = ()
    retry: bool = True


FAILURES: Final[Mapping[str, FailureWords]] = {
    "scope_missing": FailureWords(
        "One box was left un-ticked",
        (
            "Choose “Try again”.",
            "On the provider's page, tick the box for sending email. Boxes can start out empty.",
            "Continue. Without that permission nothing can leave from your address, so it was not connected.",
        ),
    ),
    "admin_consent": FailureWords(
        "Your IT administrator has to approve this first",
        (
            "Send the text below to your IT department.",
            "Once they have approved, come back here and choose “Try again”.",
        ),
    ),
    "admin_approved": FailureWords(
        "Approved for your organisation",
        ("Everybody in your organisation can connect now, and so can you: choose “Try again”.",),
    ),
    "access_denied": FailureWords("Nothing was connected"),
    "look_up_refused": FailureWords(
        "ReplySequence may not look in your Sent folder",
        (
            "You need not do anything: sending does not depend on it.",
            "If you did want to allow it, begin once more at the account below and agree to everything.",
        ),
        retry=False,
    ),
    "other_browser": FailureWords(
        "This was started in another browser",
        (
            "For your safety, an account is connected only in the browser in which you started.",
            "Start again here, and stay in this browser until you are back.",
        ),
    ),
    "state_unknown": FailureWords(
        "This link has been used, or is too old",
        (
            "A sign-in at the provider counts once and for ten minutes.",
            "Nothing was connected or changed. Start again.",
        ),
    ),
    "no_refresh_token": FailureWords(
        "The provider did not let us stay connected",
        (
            "Choose “Try again” and confirm every question on the provider's page.",
            "If it happens again, remove ReplySequence under your account's third-party access first.",
        ),
    ),
    "wrong_issuer": FailureWords(
        "The answer came from the wrong place",
        ("Nothing was connected. Start again; if it happens twice, tell whoever runs this installation.",),
    ),
    "identity_invalid": FailureWords(
        "The provider did not say clearly whose account this is",
        ("Nothing was connected. Start again; if it happens twice, tell whoever runs this installation.",),
    ),
    "exchange_failed": FailureWords(
        "The provider could not finish",
        ("Nothing was connected or changed. Wait a minute and try again.",),
    ),
    "provider_error": FailureWords(
        "The provider answered with an error",
        ("Nothing was connected or changed. Wait a minute and try again.",),
    ),
    "misconfigured": FailureWords(
        "This installation is not set up correctly",
        ("It is not your fault. Pass the message below on to whoever runs this installation.",),
        retry=False,
    ),
    "other_account": FailureWords(
        "That was another account",
        (
            "The account you chose is connected too. The other one still waits.",
            "Choose “Reconnect” at the other account, and pick its address on the provider's page.",
        ),
        retry=False,
    ),
}

ERROR_TITLES: Final[Mapping[int, str]] = {
    401: "Please sign in",
    403: "That is not allowed",
    404: "Nothing here",
    405: "That does not work here",
    409: "That no longer fits",
    413: "That is too large",
    422: "Something needs another look",
    429: "A little slower, please",
    500: "Something went wrong on our side",
    503: "Not right now",
}
