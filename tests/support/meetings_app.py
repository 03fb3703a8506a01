"""What tests of calendars and meetings share: tokens for a scope, and the answers of the APIs."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from support.google_app import SCOPES, WORKSPACE, GoogleApp, bearer
from support.plain_http import Answer, call

EVENTS = "https://www.googleapis.com/auth/calendar.events.readonly"
MEET = "https://www.googleapis.com/auth/meetings.space.readonly"


def google_token(app: GoogleApp, *scopes: str, account: str = WORKSPACE) -> str:
    """An access token of `account` for these scopes beside the usual ones."""
    return str(app.connect(account, scope=" ".join([SCOPES, *scopes]))["access_token"])


def google_get(app: GoogleApp, token: str, path: str, /, **query: Any) -> Answer:
    """GET `path` of one of Google's APIs."""
    return call("GET", f"{app.box.base_url}{path}?{urlencode(query, doseq=True)}", headers=bearer(token))


def events(app: GoogleApp, token: str, /, **query: Any) -> Answer:
    """`events.list` on the own calendar."""
    return google_get(app, token, "/calendar/v3/calendars/primary/events", **query)


def control(app: GoogleApp, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
    """One call of the control API."""
    return call(method, f"{app.box.base_url}/_sandbox{path}", json_body=body)


def reason(answer: Answer) -> tuple[int, str]:
    """Status and reason of a refusal in Google's older envelope."""
    return answer.status, answer.json["error"]["errors"][0]["reason"]
