"""A small app that speaks Resend's API without any library."""

from dataclasses import dataclass
from typing import Any

from replysequence.sandbox.running import RunningSandbox
from support.plain_http import Answer, call

USER_AGENT = {"User-Agent": "tests/1.0"}


@dataclass(frozen=True)
class ResendApp:
    """A holder of the sandbox's API key."""

    box: RunningSandbox

    def mail(self, **changes: object) -> dict[str, Any]:
        """A small email, changed as said; a change to None leaves a field out."""
        usual: dict[str, object] = {
            "from": self.box.environment["RESEND_FROM"],
            "to": ["bob@customer.example"],
            "subject": "Next steps",
            "html": "<p>As <b>agreed</b>.</p>",
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def call(
        self, method: str, path: str, body: object = None, *, key: str | None = None, **headers: str
    ) -> Answer:
        """One request with the usual headers; `headers` are added or replace them."""
        shown = self.box.environment["RESEND_API_KEY"] if key is None else key
        usual = USER_AGENT | ({"Authorization": f"Bearer {shown}"} if shown else {})
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.box.environment["RESEND_API_URL"] + path
        return call(method, url, json_body=body, headers=usual | named)

    def send(self, body: object, **headers: str) -> Answer:
        """`POST /emails`."""
        return self.call("POST", "/emails", body, **headers)
