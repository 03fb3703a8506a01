"""A small app that speaks Salesforce's protocols without any library, for tests of the sandbox."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from replysequence.sandbox.running import RunningSandbox
from replysequence.sandbox.salesforce_org import Org
from support.consent import approve
from support.google_app import bearer, callback_parameters
from support.hubspot_app import CHALLENGE, VERIFIER
from support.plain_http import Answer, call

CALLBACK = "http://localhost:8000/api/auth/salesforce/callback"
SCOPES = "api refresh_token openid"
DANA = "dana.reyes@brightwave.example"
CONTOSO = "dana.reyes@contoso.example"
MAYA = "maya.lindqvist@northwind.example"
LENA = "lena.fischer@lichtung.example"
DATA = "/services/data/v66.0"


@dataclass(frozen=True)
class SalesforceApp:
    """The app registered at the sandbox."""

    box: RunningSandbox

    @property
    def org(self) -> Org:
        """Brightwave's org, as the sandbox has it."""
        return self.box.world.salesforce.org("00DgL0000000001UAA")

    def login(self, path: str) -> str:
        """An address at the login host."""
        return f"{self.box.environment['SALESFORCE_LOGIN_URL']}{path}"

    def authorize_url(self, **changes: str | None) -> str:
        """The usual authorization request; a change to None leaves a parameter out."""
        parameters: dict[str, str | None] = {
            "response_type": "code",
            "client_id": self.box.environment["SALESFORCE_CLIENT_ID"],
            "redirect_uri": CALLBACK,
            "scope": SCOPES,
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": CHALLENGE,
        }
        kept = {name: value for name, value in (parameters | changes).items() if value is not None}
        return f"{self.login('/services/oauth2/authorize')}?{urlencode(kept)}"

    def code(self, account: str = DANA, **changes: str | None) -> str:
        """A fresh authorization code."""
        return callback_parameters(approve(self.authorize_url(**changes), account=account))["code"]

    def token(self, **fields: str | None) -> Answer:
        """A token request with the app's credentials; a field of None is left out."""
        usual: dict[str, str | None] = {
            "client_id": self.box.environment["SALESFORCE_CLIENT_ID"],
            "client_secret": self.box.environment["SALESFORCE_CLIENT_SECRET"],
        }
        form = {name: value for name, value in (usual | fields).items() if value is not None}
        return call("POST", self.login("/services/oauth2/token"), form=form)

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

    def revoke(self, token: str, **more: str) -> Answer:
        """Revoke either kind of token."""
        return call("POST", self.login("/services/oauth2/revoke"), form={"token": token, **more})

    def connect(self, account: str = DANA, **changes: str | None) -> Any:
        """The token answer of a whole connect."""
        return self.exchange(self.code(account, **changes)).json

    def visit(self, account: str = DANA, *, scope: str = SCOPES) -> "SalesforceVisit":
        """Connect, and call the API from there."""
        tokens = self.connect(account, scope=scope)
        return SalesforceVisit(str(tokens["instance_url"]), str(tokens["access_token"]))


@dataclass(frozen=True)
class SalesforceVisit:
    """A holder of an access token, at the instance that came with it."""

    instance_url: str
    token: str

    def call(self, method: str, path: str, body: object = None) -> Answer:
        """One request to the API; `path` begins after the version."""
        return call(method, f"{self.instance_url}{DATA}{path}", json_body=body, headers=bearer(self.token))

    def query(self, soql: str) -> Answer:
        """Run a query."""
        return self.call("GET", f"/query?q={quote(soql)}")

    def found(self, soql: str) -> Any:
        """The records that a query finds."""
        return self.query(soql).json["records"]

    def id_of(self, email: str, kind: str = "Contact") -> str:
        """The id of the only contact or lead with that address."""
        [record] = self.found(f"SELECT Id FROM {kind} WHERE Email = '{email}'")
        return str(record["Id"])

    def make(self, kind: str, **fields: object) -> Answer:
        """Make a record."""
        return self.call("POST", f"/sobjects/{kind}", fields)

    def log(self, *people: str, **changes: object) -> Answer:
        """Log an email to the records in `people`; a change to None leaves a field out."""
        usual: dict[str, object] = {
            "Status": "3",
            "Incoming": False,
            "MessageDate": "2026-11-22T12:00:00Z",
            "Subject": "Next steps",
            "TextBody": "As agreed.",
            "FromAddress": DANA,
            "FromName": "Dana Reyes",
            "MessageIdentifier": "<first@brightwave.example>",
            "ToIds": list(people),
        }
        fields = {name: value for name, value in (usual | changes).items() if value is not None}
        return self.make("EmailMessage", **fields)
