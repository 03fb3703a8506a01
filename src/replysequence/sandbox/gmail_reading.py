"""Gmail's `users.messages.list` and `get`: what a token may see of a mailbox (gmail.v1 discovery document, checked
2026-11-22).
"""

import base64
from collections.abc import Iterable
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from replysequence.sandbox import gmail_errors as errors
from replysequence.sandbox.accounts import Account
from replysequence.sandbox.credentials import AccessToken
from replysequence.sandbox.faults import Endpoint
from replysequence.sandbox.gmail_quota import GET_UNITS, LIST_UNITS, Quota
from replysequence.sandbox.google_errors import GoogleFailure, GoogleRefusedError
from replysequence.sandbox.google_scopes import GMAIL_METADATA, MAY_READ
from replysequence.sandbox.headers import header_values, split
from replysequence.sandbox.site import Handler, Site
from replysequence.sandbox.world import Message, World

_PATH = "/gmail/v1/users/{user}/messages"
MOST_RESULTS = 500


class GmailReading:
    """The two reading methods."""

    def __init__(self, world: World, quota: Quota) -> None:
        self._world = world
        self._quota = quota

    def routes(self, site: Site) -> list[BaseRoute]:
        """Every route of the two."""
        paths: tuple[tuple[str, Handler], ...] = ((_PATH, self.list_all), (f"{_PATH}/{{id}}", self.get))
        return [
            site.route(path, handler, methods=["GET"], endpoint=Endpoint.LOOK_UP) for path, handler in paths
        ]

    async def list_all(self, request: Request) -> Response:
        """Ids, newest first: with the labels that `labelIds` names, and matching `q`."""
        asked = request.query_params
        try:
            token = self._authorize(request, units=LIST_UNITS)
            if "q" in asked and GMAIL_METADATA in token.scopes:
                # Also beside a wider scope (google-api-python-client#582), and when it is empty.
                raise GoogleRefusedError(errors.NO_QUERY_WITH_METADATA)
            start = _number(asked.get("pageToken", "0"), name="pageToken")
            size = min(_number(asked.get("maxResults", "100"), name="maxResults"), MOST_RESULTS)
        except GoogleRefusedError as refused:
            return refused.failure.response()
        labels, query = set(asked.getlist("labelIds")), asked.get("q", "")
        found = [
            message
            for message in self._visible(token.account)
            if labels <= set(_labels(message, token.account)) and _matches(message, query)
        ]
        page = found[start : start + size]
        body: dict[str, Any] = {"resultSizeEstimate": len(found)}
        if page:
            body["messages"] = [{"id": message.id, "threadId": message.thread_id} for message in page]
        if start + size < len(found):
            body["nextPageToken"] = str(start + size)
        return JSONResponse(body)

    async def get(self, request: Request) -> Response:
        """One message in the form that `format` names; `full` when it names none."""
        form = request.query_params.get("format", "full").lower()
        try:
            token = self._authorize(request, units=GET_UNITS)
            if form in ("full", "raw") and GMAIL_METADATA in token.scopes:
                message = f"Metadata scope doesn't allow format {form.upper()}"
                raise GoogleRefusedError(GoogleFailure(403, "PERMISSION_DENIED", "forbidden", message))
            if form not in ("full", "raw", "metadata", "minimal"):
                raise GoogleRefusedError(errors.bad_request(f"Invalid value for format: {form}"))
        except GoogleRefusedError as refused:
            return refused.failure.response()
        wanted = request.path_params["id"]
        found = next((each for each in self._visible(token.account) if each.id == wanted), None)
        if found is None:
            return errors.UNKNOWN_THREAD.response()
        names = request.query_params.getlist("metadataHeaders")
        return JSONResponse(_resource(found, token.account, form=form, names=names))

    def _authorize(self, request: Request, *, units: int) -> AccessToken:
        token = self._quota.authorize(request, scopes=MAY_READ)
        self._quota.charge(token.account, units=units)
        return token

    def _visible(self, account: Account) -> list[Message]:
        """What the API finds in the mailbox: what was sent from it, and what came."""
        sent = self._world.found_in_sent(account)
        received = [each for each in self._world.inbox(account.email) if each not in sent]
        return sorted([*sent, *received], key=lambda message: message.at, reverse=True)


def _number(text: str, *, name: str) -> int:
    if not text.isdigit():
        raise GoogleRefusedError(errors.bad_request(f"Invalid value for {name}"))
    return int(text)


def _labels(message: Message, account: Account) -> list[str]:
    labels = ["SENT"] if message.in_sent and account.owns(message.account) else []
    if any(account.owns(address) for address in message.recipients):
        labels += ["UNREAD", "INBOX"]
    return labels


def _matches(message: Message, query: str) -> bool:
    """Whether the message fits a search: `rfc822msgid:`, `in:sent`, and words of the subject."""
    for term in query.split():
        name, _, value = term.partition(":")
        match name:
            case "rfc822msgid":
                fits = f"<{value.strip('<>')}>" in header_values(_copy(message), "Message-ID")
            case "in":
                fits = value == "sent" and message.in_sent
            case _:
                fits = term.casefold() in message.subject.casefold()
        if not fits:
            return False
    return True


def _copy(message: Message) -> bytes:
    return message.sent_copy if message.in_sent else message.delivered


def _resource(message: Message, account: Account, *, form: str, names: Iterable[str]) -> dict[str, Any]:
    raw = _copy(message)
    body: dict[str, Any] = {
        "id": message.id,
        "threadId": message.thread_id,
        "labelIds": _labels(message, account),
        "historyId": "1",
        "internalDate": str(int(message.at.timestamp() * 1000)),
        "sizeEstimate": len(raw),
    }
    if form == "raw":
        return body | {"raw": base64.urlsafe_b64encode(raw).decode()}
    if form == "metadata":
        wanted = {name.lower() for name in names}
        shown = [each for each in _headers(raw) if not wanted or each["name"].lower() in wanted]
        return body | {"payload": {"mimeType": "multipart/mixed", "headers": shown}}
    if form == "full":
        return body | {"payload": _part(BytesParser(policy=default).parsebytes(raw))}
    return body


def _headers(raw: bytes) -> list[dict[str, str]]:
    names = dict.fromkeys(field.partition(b":")[0].decode("ascii", "replace") for field in split(raw)[0])
    return [{"name": name, "value": value} for name in names for value in header_values(raw, name)]


def _part(part: EmailMessage) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "mimeType": part.get_content_type(),
        "filename": part.get_filename() or "",
        "headers": [{"name": name, "value": str(value)} for name, value in part.items()],
    }
    if part.is_multipart():
        return shown | {"parts": [_part(each) for each in part.iter_parts()]}  # type: ignore[arg-type]
    data = part.get_payload(decode=True) or b""
    assert isinstance(data, bytes)  # noqa: S101  # that is what decoding gives
    return shown | {"body": {"size": len(data), "data": base64.urlsafe_b64encode(data).decode()}}
