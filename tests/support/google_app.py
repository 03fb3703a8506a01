"""A small app that speaks Google's protocols without any library, for tests of the sandbox."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from replysequence.sandbox.running import RunningSandbox
from support.consent import approve
from support.plain_http import Answer, call

CALLBACK = "http://localhost:8000/api/auth/gmail/callback"
SEND = "https://www.googleapis.com/auth/gmail.send"
SCOPES = f"openid email profile {SEND}"
WORKSPACE = "dana.reyes@brightwave.example"
CONSUMER = "dana.reyes@gmail.example"

MESSAGE = (
    b"From: Dana Reyes <dana.reyes@brightwave.example>\r\n"
    b"To: Charlie <charlie@customer.example>\r\n"
    b"Subject: Our meeting\r\n"
    b"X-ReplySequence-Send-Id: send-1\r\n"
    b"\r\n"
    b"Thank you for your time.\r\n"
)


@dataclass(frozen=True)
class GoogleApp:
    """The app registered at the sandbox."""

    box: RunningSandbox

    def authorize_url(self, **changes: str | None) -> str:
        """The usual authorization request; a change to None leaves a parameter out."""
        parameters: dict[str, str | None] = {
            "client_id": self.box.environment["GOOGLE_CLIENT_ID"],
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "scope": SCOPES,
            "state": "state-1",
            "nonce": "nonce-1",
            "access_type": "offline",
            "prompt": "consent",
        }
        kept = {name: value for name, value in (parameters | changes).items() if value is not None}
        return f"{self.box.environment['GOOGLE_AUTHORIZE_URL']}?{urlencode(kept)}"

    def code(self, account: str = WORKSPACE, *, untick: tuple[str, ...] = (), **changes: str | None) -> str:
        """A fresh authorization code."""
        return callback_parameters(approve(self.authorize_url(**changes), account=account, untick=untick))[
            "code"
        ]

    def token(self, **fields: str | None) -> Answer:
        """A token request with the app's credentials; a field of None is left out."""
        usual: dict[str, str | None] = {
            "client_id": self.box.environment["GOOGLE_CLIENT_ID"],
            "client_secret": self.box.environment["GOOGLE_CLIENT_SECRET"],
        }
        form = {name: value for name, value in (usual | fields).items() if value is not None}
        return call("POST", self.box.environment["GOOGLE_TOKEN_URL"], form=form)

    def exchange(self, code: str, /, **changes: str | None) -> Answer:
        """Exchange a code."""
        usual: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
        }
        return self.token(**(usual | changes))

    def refresh(self, refresh_token: str, /, **changes: str | None) -> Answer:
        """Refresh."""
        usual: dict[str, str | None] = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.token(**(usual | changes))

    def connect(
        self, account: str = WORKSPACE, *, untick: tuple[str, ...] = (), **changes: str | None
    ) -> Any:
        """The token answer of a whole connect."""
        return self.exchange(self.code(account, untick=untick, **changes)).json

    def send(self, access_token: str, raw: bytes = MESSAGE, *, user: str = "me", thread: str = "") -> Answer:
        """Send `raw` in the JSON form."""
        body = {"raw": base64.urlsafe_b64encode(raw).decode()} | ({"threadId": thread} if thread else {})
        return call("POST", self.send_url(user), json_body=body, headers=bearer(access_token))

    def send_url(self, user: str = "me") -> str:
        return f"{self.box.environment['GMAIL_API_URL']}/gmail/v1/users/{user}/messages/send"


def bearer(access_token: str) -> dict[str, str]:
    """The Authorization header."""
    return {"Authorization": f"Bearer {access_token}"}


def callback_parameters(url: str) -> dict[str, str]:
    """The query of a callback URL, in order."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
