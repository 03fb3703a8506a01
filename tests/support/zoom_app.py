"""A small app that speaks Zoom's protocols without any library."""

import base64
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from replysequence.sandbox.running import RunningSandbox
from support.consent import approve
from support.google_app import bearer, callback_parameters
from support.microsoft_app import VERIFIER, s256
from support.plain_http import Answer, call

CALLBACK = "http://localhost:8000/api/auth/zoom/callback"
USER = "dana.reyes@brightwave.example"
KICK_OFF = "/pQ7vRk2TzaXm0dL//eWbg=="


def twice(uuid: str) -> str:
    """A uuid in a path as Zoom wants it when it begins with a slash or holds two: encoded twice."""
    return quote(quote(uuid, safe=""), safe="")


@dataclass(frozen=True)
class ZoomApp:
    """The app registered at the sandbox: a confidential client with PKCE."""

    box: RunningSandbox

    def authorize_url(self, **changes: str | None) -> str:
        """The usual authorization request; a change to None leaves a parameter out."""
        parameters: dict[str, str | None] = {
            "client_id": self.box.environment["ZOOM_CLIENT_ID"],
            "redirect_uri": CALLBACK,
            "response_type": "code",
            "state": "state-1",
            "code_challenge": s256(VERIFIER),
            "code_challenge_method": "S256",
        }
        kept = {name: value for name, value in (parameters | changes).items() if value is not None}
        return f"{self.box.environment['ZOOM_AUTHORIZE_URL']}?{urlencode(kept)}"

    def code(self, **changes: str | None) -> str:
        """A fresh authorization code."""
        return callback_parameters(approve(self.authorize_url(**changes), account=USER))["code"]

    def token(self, *, secret: str | None = None, **fields: str | None) -> Answer:
        """A token request with the app's credentials; a field of None is left out."""
        form = {name: value for name, value in fields.items() if value is not None}
        return call("POST", self.box.environment["ZOOM_TOKEN_URL"], form=form, headers=self.basic(secret))

    def basic(self, secret: str | None = None) -> dict[str, str]:
        """The Authorization header of the client."""
        environment = self.box.environment
        pair = f"{environment['ZOOM_CLIENT_ID']}:{secret or environment['ZOOM_CLIENT_SECRET']}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def exchange(self, code: str, /, **changes: str | None) -> Answer:
        """Exchange a code."""
        usual: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return self.token(**(usual | changes))

    def refresh(self, refresh_token: str) -> Answer:
        """Refresh."""
        return self.token(grant_type="refresh_token", refresh_token=refresh_token)

    def revoke(self, token: str) -> Answer:
        """Revoke."""
        url = self.box.environment["ZOOM_REVOKE_URL"]
        return call("POST", url, form={"token": token}, headers=self.basic())

    def connect(self) -> Any:
        """The token answer of a whole connect."""
        return self.exchange(self.code()).json

    def get(self, access_token: str, path: str, /, **query: Any) -> Answer:
        """GET `path` of the API."""
        url = f"{self.box.environment['ZOOM_API_URL']}{path}"
        return call("GET", f"{url}?{urlencode(query)}" if query else url, headers=bearer(access_token))
