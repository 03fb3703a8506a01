"""A small app that speaks HubSpot's protocols without any library, for tests of the sandbox."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from replysequence.sandbox.hubspot_portal import Portal
from replysequence.sandbox.running import RunningSandbox
from support.consent import approve
from support.google_app import bearer, callback_parameters
from support.plain_http import Answer, call

CALLBACK = "http://localhost:8000/api/auth/hubspot/callback"
SCOPES = (
    "crm.objects.contacts.read crm.objects.contacts.write crm.objects.companies.read crm.objects.deals.read "
    "crm.objects.owners.read sales-email-read"
)
DANA = "dana.reyes@brightwave.example"
MAYA = "maya.lindqvist@northwind.example"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DATED = "/crm/objects/2026-09"


@dataclass(frozen=True)
class HubSpotApp:
    """The app registered at the sandbox."""

    box: RunningSandbox

    @property
    def portal(self) -> Portal:
        """Brightwave's portal, as the sandbox has it."""
        return self.box.world.hubspot.portal("24681357")

    def authorize_url(self, **changes: str | None) -> str:
        """The usual authorization request; a change to None leaves a parameter out."""
        parameters: dict[str, str | None] = {
            "client_id": self.box.environment["HUBSPOT_CLIENT_ID"],
            "redirect_uri": CALLBACK,
            "scope": SCOPES,
            "state": "state-1",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        kept = {name: value for name, value in (parameters | changes).items() if value is not None}
        return f"{self.box.environment['HUBSPOT_AUTHORIZE_URL']}?{urlencode(kept, quote_via=quote)}"

    def code(self, account: str = DANA, *, untick: tuple[str, ...] = (), **changes: str | None) -> str:
        """A fresh authorization code."""
        url = approve(self.authorize_url(**changes), account=account, untick=untick)
        return callback_parameters(url)["code"]

    def oauth(self, path: str = "2026-09/token", **fields: str | None) -> Answer:
        """A request below `/oauth/` with the app's credentials; a field of None is left out."""
        usual: dict[str, str | None] = {
            "client_id": self.box.environment["HUBSPOT_CLIENT_ID"],
            "client_secret": self.box.environment["HUBSPOT_CLIENT_SECRET"],
        }
        form = {name: value for name, value in (usual | fields).items() if value is not None}
        return call("POST", f"{self.box.environment['HUBSPOT_API_URL']}/oauth/{path}", form=form)

    def exchange(self, code: str, path: str = "2026-09/token", /, **changes: str | None) -> Answer:
        """Exchange a code."""
        usual: dict[str, str | None] = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        return self.oauth(path, **(usual | changes))

    def refresh(self, refresh_token: str, path: str = "2026-09/token", /) -> Answer:
        """Refresh."""
        return self.oauth(path, grant_type="refresh_token", refresh_token=refresh_token)

    def connect(self, account: str = DANA, *, untick: tuple[str, ...] = (), **changes: str | None) -> Any:
        """The token answer of a whole connect."""
        return self.exchange(self.code(account, untick=untick, **changes)).json

    def visit(self, account: str = DANA, *, scope: str = SCOPES) -> "HubSpotVisit":
        """Connect, and call the API from there."""
        return HubSpotVisit(self.box, str(self.connect(account, scope=scope)["access_token"]))


@dataclass(frozen=True)
class HubSpotVisit:
    """A holder of an access token."""

    box: RunningSandbox
    token: str

    def call(self, method: str, path: str, body: object = None) -> Answer:
        """One request to the API."""
        url = self.box.environment["HUBSPOT_API_URL"] + path
        return call(method, url, json_body=body, headers=bearer(self.token))

    def contact(self, email: str = MAYA) -> str:
        """The id of the contact with this address."""
        return str(self.call("GET", f"{DATED}/contacts/{quote(email)}?idProperty=email").json["id"])

    def log(self, *contacts: str, **properties: object) -> Answer:
        """Log an email on `contacts`."""
        associations = [
            {
                "to": {"id": each},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 198}],
            }
            for each in contacts
        ]
        body = {"properties": email(**properties), "associations": associations}
        return self.call("POST", f"{DATED}/emails", body)


def email(**changes: object) -> dict[str, object]:
    """The properties of a logged email, changed as said; a change to None leaves one out."""
    headers = {
        "from": {"email": DANA, "firstName": "Dana", "lastName": "Reyes"},
        "to": [{"email": MAYA, "firstName": "Maya", "lastName": "Lindqvist"}],
        "message_id": "<first@brightwave.example>",
    }
    usual: dict[str, object] = {
        "hs_timestamp": "2026-11-22T12:00:00Z",
        "hs_email_direction": "EMAIL",
        "hs_email_status": "SENT",
        "hs_email_subject": "Next steps",
        "hs_email_text": "As agreed.",
        "hs_email_headers": json.dumps(headers),
    }
    return {name: value for name, value in (usual | changes).items() if value is not None}
