"""Zoom: the meetings of a person's own account, who came, recordings, and what AI Companion wrote down.

Sources, checked 2026-11-22: Zoom's pages on OAuth, granular scopes and rate limits, and its official skills repository.
The scopes are chosen in the app's settings at Zoom, not in the URL. A token of a person speaks of that person as `me`.
Refresh tokens rotate. A UUID that begins with a slash or holds two has to be encoded twice.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar
from urllib.parse import quote, urlencode

from replysequence.domain.errors import (
    AccessTokenRejected,
    ConnectFailed,
    Misconfigured,
    ProviderError,
    ReconnectNeeded,
)
from replysequence.domain.meeting import (
    MAX_NAME,
    MOST_ATTENDEES,
    Aftermath,
    Attendee,
    Entry,
    Span,
    links_in,
    one_line,
)
from replysequence.domain.secret import Secret
from replysequence.providers.accounts import account_address, account_name
from replysequence.providers.answers import LONGEST_WAIT, mapping, mappings
from replysequence.providers.asking import Read, read, refused, retry_after
from replysequence.providers.base import (
    Access,
    CallbackRefusal,
    Category,
    ClientProof,
    ConsentProblem,
    Identity,
    OAuthSpec,
    TokenRefusal,
    Tokens,
    Variable,
    VariableKind,
)
from replysequence.providers.calendar import Page, Place
from replysequence.providers.meanings import Meaning
from replysequence.providers.meetings import Meetings

ISSUER = "https://zoom.us"
REMOVAL_URL = "https://marketplace.zoom.us/user/installed"
LIST_SCOPE, WHO_SCOPE = "meeting:read:list_meetings", "user:read:user"
OPTIONAL_SCOPES = (
    "meeting:read:list_past_participants",
    "meeting:read:summary",
    "cloud_recording:read:list_recording_files",
)
"""What the app at Zoom may have beside: without one, what it would show is not there."""
PAGE_SIZE = 300
LISTS = ("previous_meetings", "upcoming")
"""The lists that are read one after the other."""

_JOIN = re.compile(r"https://(?:[\w-]+\.)*zoom(?:gov)?\.[\w.]+/(?:j|w|s)/(\d{9,12})\b")
_MINUTE = timedelta(minutes=1)
_LONGEST = timedelta(days=2)
_SCOPE_CODES = frozenset({4700, 4711})
_CLIENT_CODES = frozenset({4702, 4704})

_GRANT_GONE = Meaning(
    ReconnectNeeded,
    "grant_gone",
    "Zoom no longer gives ReplySequence access to this account: the app was removed there, or was connected anew "
    "somewhere else. Connect it again.",
)
_CLIENT_REFUSED = Meaning(
    Misconfigured,
    "client_refused",
    "Zoom does not take this server's client id and secret. The operator must check ZOOM_CLIENT_ID and "
    "ZOOM_CLIENT_SECRET. No account was disconnected.",
)
_REFUSED_OTHERWISE = Meaning(
    Misconfigured,
    "refused",
    "Zoom refused a request for access in a way that only the operator can mend. No account was disconnected.",
)


class Zoom(Meetings):
    """A Zoom account."""

    name: ClassVar = "zoom"
    title: ClassVar = "Zoom"
    category: ClassVar = Category.MEETINGS
    variables: ClassVar = (
        Variable("ZOOM_CLIENT_ID", "The client id of the app at Zoom.", needed=True),
        Variable("ZOOM_CLIENT_SECRET", "The secret of that app.", kind=VariableKind.SECRET, needed=True),
        Variable(
            "ZOOM_AUTHORIZE_URL",
            "Zoom's authorization endpoint.",
            "https://zoom.us/oauth/authorize",
            VariableKind.URL,
        ),
        Variable("ZOOM_TOKEN_URL", "Zoom's token endpoint.", "https://zoom.us/oauth/token", VariableKind.URL),
        Variable(
            "ZOOM_REVOKE_URL", "Zoom's revocation endpoint.", "https://zoom.us/oauth/revoke", VariableKind.URL
        ),
        Variable("ZOOM_API_URL", "The Zoom API.", "https://api.zoom.us/v2", VariableKind.URL),
    )

    @property
    def reachable_url(self) -> str:
        return self._values["ZOOM_API_URL"]

    @cached_property
    def oauth(self) -> OAuthSpec:
        self._require_configured()
        return OAuthSpec(
            client_id=self._values["ZOOM_CLIENT_ID"],
            client_secret=Secret(self._values["ZOOM_CLIENT_SECRET"]),
            authorize_url=self._values["ZOOM_AUTHORIZE_URL"],
            token_url=self._values["ZOOM_TOKEN_URL"],
            jwks_url="",  # there are no id_tokens: `openid` is not asked for
            revoke_url=self._values["ZOOM_REVOKE_URL"],
            issuer=ISSUER,
            scopes=(WHO_SCOPE, LIST_SCOPE, *OPTIONAL_SCOPES),
            required_scopes=frozenset({WHO_SCOPE, LIST_SCOPE}),
            connect_parameters=MappingProxyType({}),
            reconnect_parameters=MappingProxyType({}),
            canonical_scopes=canonical_scopes,
            refused=_refused,
            turned_back=_turned_back,
            client_proof=ClientProof.BASIC,
            revoking_takes_proof=True,
            names_scopes=False,
            lifetime=3600,
        )

    async def identify(self, tokens: Tokens) -> Identity:
        answer = await self._read(Access(tokens.access_token), "users/me")
        if not answer.found:
            raise self._refusal(answer)
        subject, email = _text(answer.body.get("id")), account_address(answer.body.get("email"))
        if not subject or email is None:
            raise ConnectFailed(
                "Zoom did not say whose account this is. Nothing was connected. Please try again.",
                code="identity_invalid",
            )
        names = (answer.body.get(name) for name in ("first_name", "last_name"))
        name = answer.body.get("display_name") or " ".join(str(each) for each in names if each)
        return Identity(ISSUER, subject, email, account_name(name))

    def scope_missing(self) -> str:
        return (
            "The app of this server at Zoom may not see meetings. Whoever runs this installation has to give it the "
            f"scopes {WHO_SCOPE} and {LIST_SCOPE}; then connect again."
        )

    def removal_url(self, issuer: str) -> str | None:  # noqa: ARG002
        return REMOVAL_URL

    @staticmethod
    def join_key(link: str) -> str | None:
        found = _JOIN.match(link)
        return f"zoom:{found[1]}" if found else None

    async def meetings(self, access: Access, *, span: Span, place: Place, known: Sequence[Entry]) -> Page:  # noqa: ARG002
        which, _, token = (place.cursor or LISTS[0]).partition(" ")
        parameters = {"type": which, "page_size": str(PAGE_SIZE)} | (
            {"next_page_token": token} if token else {}
        )
        answer = await self._read(access, f"users/me/meetings?{urlencode(parameters)}")
        if not answer.found:
            raise self._refusal(answer)
        told = (_entry(each, over=which == LISTS[0]) for each in mappings(answer.body.get("meetings")))
        entries = {
            each.id: each
            for each in told
            if each and each.ends_at > span.since and each.starts_at < span.until
        }
        following = _text(answer.body.get("next_page_token"))
        return Page(tuple(entries.values()), cursor=_cursor(which, following))

    async def aftermath(self, access: Access, *, entry: Entry) -> Aftermath:
        uuid = _in_path(entry.id)
        came = await self._there(access, f"past_meetings/{uuid}/participants?page_size={PAGE_SIZE}")
        files = await self._there(access, f"meetings/{uuid}/recordings")
        told = await self._there(access, f"meetings/{uuid}/meeting_summary")
        kinds = {str(each.get("file_type")) for each in mappings(files.get("recording_files"))}
        edited = mapping(told.get("edited_summary"))
        steps = edited.get("next_steps") or told.get("next_steps")
        return Aftermath(
            came=_came(came),
            recording=bool(kinds - {"TRANSCRIPT", "CC", "SUMMARY"}),
            transcript="TRANSCRIPT" in kinds,
            summary=_summary(told),
            action_items=tuple(item for step in steps[:50] if (item := one_line(step, limit=500)))
            if isinstance(steps, list)
            else (),
            notes_url=next(iter(links_in(told.get("summary_doc_url"))), ""),
        )

    async def _there(self, access: Access, path: str) -> Mapping[str, object]:
        """What is there; nothing where this account, its plan or its scopes do not have it."""
        answer = await self._read(access, path)
        return answer.body if answer.found else {}

    async def _read(self, access: Access, path: str) -> Read:
        """Ask the API. Over its daily limit Zoom writes an ISO date into Retry-After, which HTTP does not have."""
        url = f"{self._values['ZOOM_API_URL']}/{path}"
        answer = await read(self._http, url, provider=self.title, access=access, delay_in=_delay_in)
        if answer.body.get("code") == 124:
            raise AccessTokenRejected("Zoom asks for a fresh proof of access.", status=answer.status)
        return answer

    def _refusal(self, answer: Read) -> ProviderError:
        if answer.body.get("code") in _SCOPE_CODES:
            return Meaning(ReconnectNeeded, "scope_missing", self.scope_missing()).as_error(
                status=answer.status
            )
        return refused(answer, provider=self.title)


def canonical_scopes(text: str) -> frozenset[str]:
    """The scopes in ``text`` as a person grants them; ``:admin`` says that they hold for the whole account."""
    return frozenset(scope.removesuffix(":admin") for scope in text.replace(",", " ").split())


def _refused(refusal: TokenRefusal) -> ProviderError:
    code = refusal.body.get("code")
    if refusal.error in ("invalid_client", "unauthorized_client") or code in _CLIENT_CODES:
        meaning = _CLIENT_REFUSED
    elif refusal.error == "invalid_grant" or (isinstance(code, int) and 4733 <= code <= 4741):
        meaning = _GRANT_GONE
    else:
        meaning = _REFUSED_OTHERWISE
    return meaning.as_error(status=refusal.status, details={"error": refusal.error})


def _turned_back(refusal: CallbackRefusal) -> ConsentProblem:
    if refusal.error == "access_denied":
        return ConsentProblem(
            "access_denied",
            "Nothing was connected, because the access was not granted. Connect again and choose “Allow” on Zoom's "
            "page. If you did not decline, your Zoom administrator may have to approve the app first.",
        )
    return ConsentProblem(
        "provider_error",
        "Zoom could not finish connecting the account. Nothing was connected. Please try again in a minute.",
        details={"error": refusal.error},
    )


def _cursor(which: str, following: str | None) -> str | None:
    """The next page of this list, or the first of the next one."""
    if following:
        return f"{which} {following}"
    later = LISTS[LISTS.index(which) + 1 :] if which in LISTS else ()
    return later[0] if later else None


def _entry(meeting: Mapping[str, object], *, over: bool) -> Entry | None:
    """One that is over has a UUID of its own; the occurrences to come share one, and differ by their start."""
    starts_at, number = _moment(meeting.get("start_time")), meeting.get("id")
    uuid = _text(meeting.get("uuid"))
    if starts_at is None or number is None or (over and not uuid):
        return None
    minutes = meeting.get("duration")
    lasts = (
        minutes * _MINUTE if isinstance(minutes, int) and 0 <= minutes <= _LONGEST / _MINUTE else _MINUTE * 0
    )
    return Entry(
        id=str(uuid) if over else f"{number}@{starts_at.isoformat()}",
        title=one_line(meeting.get("topic")),
        starts_at=starts_at,
        ends_at=starts_at + lasts,
        links=links_in(meeting.get("join_url")) or (f"https://zoom.us/j/{str(number)[:20]}",),
    )


def _came(answer: Mapping[str, object]) -> tuple[Attendee, ...]:
    """Everybody once, however often they joined. Guests come without an address."""
    found: dict[str, Attendee] = {}
    for each in mappings(answer.get("participants"))[: 4 * MOST_ATTENDEES]:
        email = (account_address(each.get("user_email")) or "").lower()
        name = one_line(each.get("name"), limit=MAX_NAME)
        found.setdefault(email or name, Attendee(email, name, came=True))
    found.pop("", None)
    return tuple(found.values())[:MOST_ATTENDEES]


def _summary(told: Mapping[str, object]) -> str:
    """What was edited before what was written by itself, the newer field before the older ones."""
    edited, content = mapping(told.get("edited_summary")), told.get("summary_content")
    if isinstance(content, dict):
        content = content.get("content") or content.get("summary_overview")
    details = edited.get("summary_details")
    texts = [details if isinstance(details, str) else None, told.get("summary_overview"), content]
    return next((_lines(text) for text in texts if isinstance(text, str) and text.strip()), "")


def _lines(text: str) -> str:
    """At most forty lines that can be shown, without the marks of Markdown headings."""
    lines = (one_line(line.lstrip("# "), limit=1000) for line in text[:20_000].splitlines())
    return "\n".join([line for line in lines if line][:40])


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _in_path(uuid: str) -> str:
    once = quote(uuid, safe="")
    return quote(once, safe="") if uuid.startswith("/") or "//" in uuid else once


def _delay_in(headers: Mapping[str, str]) -> float | None:
    """The seconds to wait, at most an hour, also where Retry-After holds an ISO date."""
    moment = _moment(headers.get("retry-after", "").strip())
    if moment is None:
        return retry_after(headers)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_WAIT.total_seconds())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and len(value) <= 1024 else None
