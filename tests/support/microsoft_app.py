"""A small app that speaks Microsoft's protocols without any library, and the person in front of the pages."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.running import RunningSandbox
from support.plain_http import Answer, call

CALLBACK = "http://localhost:8000/api/auth/outlook/callback"
SCOPES = "openid profile email Mail.Send offline_access"
WORK, PERSONAL = "dana.reyes@contoso.example", "dana.reyes@outlook.example"
LOCKED_DOWN, GUEST = "nina.novak@lockdown.example", "gus.guest@fabrikam.example"
VERIFIER = "v" * 64


def s256(verifier: str) -> str:
    """The PKCE challenge of `verifier`."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def unverified_claims(id_token: str) -> dict[str, Any]:
    """The claims of `id_token`, its signature unread."""
    payload = id_token.split(".")[1]
    read: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return read


def simple_mail(*to: str, **message: object) -> dict[str, Any]:
    """A sendMail body to `to`, its `message` changed as said."""
    return {
        "message": {
            "subject": "Next steps",
            "body": {"contentType": "Text", "content": "As agreed."},
            "toRecipients": [{"emailAddress": {"address": address}} for address in to],
        }
        | message
    }


@dataclass(frozen=True)
class Page:
    """What the browser shows: a page at Microsoft, or the way back to the app."""

    answer: Answer
    origin: str

    @property
    def location(self) -> str:
        """Where the browser is sent. Fails on a page that stays at Microsoft."""
        assert self.answer.status == 302, self.answer.text
        return self.answer.headers["Location"]

    @property
    def callback(self) -> dict[str, str]:
        """What the app's callback receives in its query."""
        return dict(parse_qsl(urlsplit(self.location).query, keep_blank_values=True))

    @property
    def text(self) -> str:
        """The page's HTML. Fails on a redirect: the page is all that anybody sees."""
        assert self.answer.status == 200, self.answer.headers["Location"]
        return self.answer.text

    @property
    def heading(self) -> str:
        """The page's first heading."""
        found = re.search(r"<h1>(.*?)</h1>", self.text)
        assert found
        return found.group(1)

    def press(self, step: str, **fields: str) -> "Page":
        """Send the page's form."""
        pending = re.search(r'name="pending" value="([^"]+)"', self.text)
        action = re.search(r'action="([^"]+)"', self.text)
        assert pending
        assert action
        form = {"pending": pending.group(1), "step": step, **fields}
        return Page(call("POST", self.origin + action.group(1), form=form), self.origin)

    def pick(self, email: str) -> "Page":
        """Press the button of an account."""
        return self.press("account", account=email)

    def accept(self) -> "Page":
        """Press Accept."""
        return self.press("consent", decision="accept")

    def cancel(self) -> "Page":
        """Press Cancel on the consent page."""
        return self.press("consent", decision="cancel")


@dataclass(frozen=True)
class MicrosoftApp:
    """The app registered at the sandbox: a confidential client with PKCE."""

    box: RunningSandbox

    def account(self, email: str) -> Account:
        """One of the seeded people."""
        return self.box.world.accounts.at(Vendor.MICROSOFT, email)

    def url(self, path: str) -> str:
        """`path` at the sandbox."""
        return self.box.base_url + path

    def authorize(self, *, segment: str = "common", **changes: str) -> Page:
        """The first page of the usual authorization request, changed as said."""
        return self.authorize_with(changes, segment=segment)

    def authorize_with(self, changes: Mapping[str, str | None], *, segment: str = "common") -> Page:
        """The first page of the usual authorization request; a change to None leaves a parameter out."""
        usual = {
            "client_id": self.box.environment["MICROSOFT_CLIENT_ID"],
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": SCOPES,
            "state": "state-1",
            "nonce": "nonce-1",
            "code_challenge": s256(VERIFIER),
            "code_challenge_method": "S256",
        }
        url = self.url(f"/{segment}/oauth2/v2.0/authorize?{urlencode(_kept(usual | dict(changes)))}")
        return Page(call("GET", url), self.box.base_url)

    def code(self, email: str = WORK, *, segment: str = "common", **changes: str) -> str:
        """A fresh authorization code."""
        return self.code_with(changes, email=email, segment=segment)

    def code_with(
        self, changes: Mapping[str, str | None], *, email: str = WORK, segment: str = "common"
    ) -> str:
        """A fresh authorization code; a change to None leaves a parameter out."""
        page = self.authorize_with(changes, segment=segment).pick(email)
        return (page if page.answer.status == 302 else page.accept()).callback["code"]

    def token(self, fields: Mapping[str, str | None], *, segment: str = "common") -> Answer:
        """A token request with the app's credentials; a field of None is left out."""
        usual = {
            "client_id": self.box.environment["MICROSOFT_CLIENT_ID"],
            "client_secret": self.box.environment["MICROSOFT_CLIENT_SECRET"],
        }
        return call("POST", self.url(f"/{segment}/oauth2/v2.0/token"), form=_kept(usual | dict(fields)))

    def exchange(self, code: str, *, segment: str = "common", **changes: str) -> Answer:
        """Exchange a code."""
        return self.exchange_with({"code": code} | changes, segment=segment)

    def exchange_with(self, changes: Mapping[str, str | None], *, segment: str = "common") -> Answer:
        """The usual exchange of the code among `changes`; a change to None leaves a field out."""
        usual = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.token(usual | dict(changes), segment=segment)

    def refresh(self, refresh_token: str, *, segment: str = "common", **changes: str) -> Answer:
        """Refresh."""
        fields = {"grant_type": "refresh_token", "refresh_token": refresh_token} | changes
        return self.token(fields, segment=segment)

    def connect(self, email: str = WORK, *, segment: str = "common", **changes: str) -> Any:
        """The token answer of a whole connect."""
        return self.exchange(self.code(email, segment=segment, **changes), segment=segment).json

    def send(self, access_token: str, body: object, **headers: str) -> Answer:
        """POST `body` to sendMail as JSON."""
        return call(
            "POST", self.url("/v1.0/me/sendMail"), json_body=body, headers=bearer(access_token) | headers
        )

    def send_mime(self, access_token: str, raw: bytes) -> Answer:
        """POST the base64 of `raw` to sendMail."""
        return self.send_bytes(access_token, base64.b64encode(raw), content_type="text/plain")

    def send_bytes(self, access_token: str, body: bytes, *, content_type: str) -> Answer:
        """POST these very bytes to sendMail."""
        headers = bearer(access_token) | {"Content-Type": content_type}
        return call("POST", self.url("/v1.0/me/sendMail"), body=body, headers=headers)


def _kept(given: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in given.items() if value is not None}


def bearer(access_token: str) -> dict[str, str]:
    """The Authorization header."""
    return {"Authorization": f"Bearer {access_token}"}


def admin_allows(app: MicrosoftApp, *scopes: str, email: str = WORK) -> None:
    """The administrator of the account's tenant approves `scopes` for everybody in it."""
    tenant = app.account(email).tenant
    form = {
        "client_id": app.box.environment["MICROSOFT_CLIENT_ID"],
        "redirect_uri": CALLBACK,
        "scope": " ".join(scopes),
        "tenant": tenant,
        "decision": "accept",
    }
    answer = call("POST", app.url(f"/{tenant}/v2.0/adminconsent"), form=form)
    assert "admin_consent=True" in answer.headers["Location"], answer.text


def reading_token(app: MicrosoftApp, *scopes: str, email: str = WORK) -> str:
    """An access token of `email` for these scopes, approved by an administrator where one must."""
    if not app.account(email).is_personal:
        admin_allows(app, *scopes, email=email)
    return str(
        app.connect(email, scope=" ".join(["openid profile email offline_access", *scopes]))["access_token"]
    )


def graph_get(app: MicrosoftApp, token: str, path: str, *, prefer: str = "") -> Answer:
    """GET a path of Graph below `/v1.0`, or a whole link that it handed out."""
    url = path if path.startswith("http") else app.box.environment["GRAPH_API_URL"] + path
    return call("GET", url, headers=bearer(token) | ({"Prefer": prefer} if prefer else {}))
