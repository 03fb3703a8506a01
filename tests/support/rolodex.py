"""A CRM that exists in this file and nowhere else: the provider, and the service behind it at a socket.

The service keeps a ledger of what it wrote, written before it answers, and can fail before or after it wrote. Being on
a thread, it outlives the processes that talk to it.
"""

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from replysequence.domain.address import Address
from replysequence.domain.errors import (
    AccessTokenRejected,
    Misconfigured,
    NeverSent,
    OutcomeUnknown,
    ProviderError,
    ReconnectNeeded,
    Rejected,
    TryLater,
)
from replysequence.domain.report import Correction, LoggedEmail
from replysequence.domain.secret import Secret
from replysequence.providers.answers import json_object, mappings
from replysequence.providers.base import (
    Access,
    CallbackRefusal,
    Category,
    ConsentProblem,
    Identity,
    OAuthSpec,
    TokenRefusal,
    Tokens,
    Variable,
    VariableKind,
)
from replysequence.providers.crm import Crm, Entry, Person
from replysequence.providers.http import Answer, ExchangeFailed
from replysequence.providers.registry import PROVIDERS, Registry

ACCESS = "canary-crm-access"
RENEWED = "canary-crm-renewed"


class Rolodex(Crm):
    """All that it takes to add a CRM."""

    name: ClassVar = "rolodex"
    title: ClassVar = "Rolodex"
    category: ClassVar = Category.CRM
    variables: ClassVar = (Variable("ROLODEX_URL", "Where it is.", kind=VariableKind.URL, needed=True),)
    settling_seconds = 0.05

    @property
    def reachable_url(self) -> str:
        return self._values["ROLODEX_URL"]

    @property
    def oauth(self) -> OAuthSpec:
        base = self._values["ROLODEX_URL"]
        return OAuthSpec(
            client_id="us",
            client_secret=Secret("canary-rolodex-secret"),
            authorize_url=f"{base}/authorize",
            token_url=f"{base}/token",
            jwks_url=f"{base}/keys",
            revoke_url=None,
            issuer=base,
            scopes=("crm.write",),
            required_scopes=frozenset({"crm.write"}),
            connect_parameters=MappingProxyType({}),
            reconnect_parameters=MappingProxyType({}),
            canonical_scopes=lambda text: frozenset(text.split()),
            refused=_refused,
            turned_back=_turned_back,
        )

    async def identify(self, tokens: Tokens) -> Identity:
        return Identity(self._values["ROLODEX_URL"], "1", "pipeline@rolodex.example", "Pipeline")

    def scope_missing(self) -> str:
        return "Rolodex did not get your permission to write."

    def removal_url(self, issuer: str) -> str | None:
        return f"{issuer}/apps"

    async def find_people(self, access: Access, *, emails: Sequence[str]) -> list[Person]:
        asked = urlencode([("email", email) for email in emails])
        found = await self._read(access, f"/people?{asked}")
        return [_person(each) for each in found]

    async def create_person(self, access: Access, *, address: Address) -> Person:
        written = await self._write(access, "POST", "/people", {"email": address.email, "name": address.name})
        return _person(written)

    async def find_entry(
        self, access: Access, *, email: LoggedEmail, people: Sequence[Person]
    ) -> Entry | None:
        found = await self._read(access, f"/entries?{urlencode({'marker': email.message_id})}")
        return _entry(found[0]) if found else None

    async def log(self, access: Access, *, email: LoggedEmail, people: Sequence[Person]) -> Entry:
        entry = {
            "marker": email.message_id,
            "people": [person.id for person in people],
            "subject": email.subject,
            "html": email.html,
            "text": email.text,
            "url": email.url,
            "sender": email.sender.email,
            "send_id": email.send_id,
        }
        return _entry(await self._write(access, "POST", "/entries", entry))

    async def correct(
        self, access: Access, *, entry_id: str, email: LoggedEmail, correction: Correction
    ) -> None:
        await self._write(access, "PATCH", f"/entries/{entry_id}", {"correction": correction})

    async def _read(self, access: Access, target: str) -> Sequence[Any]:
        try:
            answer = await self._call(access, "GET", target)
        except ExchangeFailed:
            raise TryLater("Rolodex does not answer.", code="not_reached") from None
        if answer.status >= 500:
            raise TryLater("Rolodex is out of order.", code="provider_unavailable", status=answer.status)
        return mappings(self._taken(answer)["items"])

    async def _write(self, access: Access, method: str, target: str, body: object) -> Any:
        try:
            answer = await self._call(access, method, target, json.dumps(body).encode())
        except ExchangeFailed as failure:
            if failure.request_was_whole:
                raise OutcomeUnknown("Rolodex gave no answer.", code="no_answer") from None
            raise NeverSent("Rolodex could not be reached.", code="not_reached") from None
        if answer.status >= 500:
            raise OutcomeUnknown("Rolodex gave no clear answer.", code="unclear_answer", status=answer.status)
        return self._taken(answer)

    async def _call(self, access: Access, method: str, target: str, body: bytes = b"") -> Answer:
        headers = {"Authorization": f"Bearer {access.access_token.reveal()}"}
        return await self._http.request(
            method, f"{self._values['ROLODEX_URL']}{target}", headers=headers, body=body
        )

    def _taken(self, answer: Answer) -> dict[str, Any]:
        if answer.status == 200:
            return json_object(answer)
        raise _MEANINGS[answer.status]


_MEANINGS: dict[int, ProviderError] = {
    401: AccessTokenRejected("Rolodex asks for a fresh proof of access."),
    403: ReconnectNeeded("Rolodex took the permission back. Connect it again.", code="grant_gone"),
    409: Misconfigured("Rolodex does not know this installation.", code="client_refused"),
    422: Rejected("Rolodex takes no entry with this subject. Change it there.", code="refused"),
    429: TryLater("Rolodex takes no more for now.", code="rate_limited", delay=90.0, pauses_mailbox=True),
}


def _person(read: Any) -> Person:
    return Person("contact", read["id"], read["email"], read["name"], f"https://rolodex.example/{read['id']}")


def _entry(read: Any) -> Entry:
    return Entry(read["id"], f"https://rolodex.example/entries/{read['id']}", is_ours=read["ours"])


def _refused(refusal: TokenRefusal) -> ProviderError:
    return ReconnectNeeded(f"Rolodex refused with {refusal.error}.", code="grant_gone", status=refusal.status)


def _turned_back(refusal: CallbackRefusal) -> ConsentProblem:
    return ConsentProblem("access_denied", f"Rolodex said {refusal.error or 'nothing'}.")


def installed(url: str) -> list[tuple[dict[str, Any], str, object]]:
    """What to put where, as (mapping, name, value), so that every registry has the CRM that is served at `url`."""
    given = Variable("ROLODEX_URL", "Where it is.", url, VariableKind.URL, needed=True)
    here = type("RolodexHere", (Rolodex,), {"variables": (given,)})
    defaults = Registry.__init__.__kwdefaults__
    assert defaults is not None
    return [(defaults, "providers", (*PROVIDERS, here))]


@dataclass
class Service:
    """What is behind the provider. ``people`` by address; ``entries`` in the order in which they were written.

    ``faults`` are taken one for each request that ``strikes`` names: a status to answer with instead, or `reset`, each
    `before` or `after` it is done.
    """

    url: str = ""
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    faults: deque[tuple[str, str | int]] = field(default_factory=deque)
    strikes: str = "POST /entries"
    chance: Callable[[], tuple[str, str | int] | None] = lambda: None
    """The fault of a request for which none was put in line, if any."""
    struck: int = 0
    down: bool = False
    slow: float = 0.0
    """Seconds before each answer."""
    hanging: bool = False
    """Whether anybody was kept waiting."""
    tokens: set[str] = field(default_factory=lambda: {ACCESS})
    refuses_to_renew: bool = False
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    wait: threading.Event = field(default_factory=threading.Event)

    def add(self, *emails: str) -> None:
        """Have a record for each address."""
        for email in emails:
            self.people[email.casefold()] = {
                "id": f"p{len(self.people)}",
                "email": email,
                "name": email.partition("@")[0].title(),
            }

    def capture(self, message_id: str) -> None:
        """The CRM logs a message by itself."""
        self.entries.append({"id": f"e{len(self.entries)}", "marker": message_id.strip("<>"), "ours": False})

    def written(self) -> Counter[str]:
        """How often each of our sends was logged: more than once is a duplicate."""
        return Counter(entry["send_id"] for entry in self.entries if entry["ours"])

    def order(self) -> list[str]:
        """The sends in the order in which they were logged."""
        return [entry["send_id"] for entry in self.entries if entry["ours"]]

    def answer(self, method: str, target: str, body: Any, *, token: str) -> tuple[int | str, object]:
        """What one request gets: a status and a body, or `reset`."""
        split = urlsplit(target)
        call = f"{method} {split.path}"
        with self.lock:
            self.asked.append(call)
            if split.path == "/token":
                if self.refuses_to_renew:
                    return 400, {"error": "invalid_grant"}
                self.tokens = {RENEWED}
                return 200, {"access_token": RENEWED, "token_type": "Bearer", "expires_in": 3600}
            if self.down:
                return 503, {}
            if token not in self.tokens:
                return 401, {}
            when, what = self._fault(call)
            if when == "before":
                return what, {}
            done = self._do(call, parse_qs(split.query), body)
            return (what, {}) if when == "after" else (200, done)

    def _fault(self, call: str) -> tuple[str, str | int]:
        if call != self.strikes:
            return "", 0
        fault = self.faults.popleft() if self.faults else self.chance()
        if fault is None:
            return "", 0
        self.struck += 1
        return fault

    def _do(self, call: str, query: dict[str, list[str]], body: Any) -> object:
        if call == "GET /people":
            wanted = [email.casefold() for email in query["email"]]
            return {"items": [self.people[email] for email in wanted if email in self.people]}
        if call == "POST /people":
            self.add(body["email"])
            return self.people[body["email"].casefold()]
        if call == "GET /entries":
            return {"items": [each for each in self.entries if each["marker"] == query["marker"][0]]}
        if call == "POST /entries":
            entry = {"id": f"e{len(self.entries)}", "ours": True, **body}
            self.entries.append(entry)
            return entry
        entry = next(each for each in self.entries if call == f"PATCH /entries/{each['id']}")
        entry.setdefault("corrections", []).append(body["correction"])
        return entry


@contextmanager
def service() -> Iterator[Service]:
    """Run the service for as long as the block lasts."""
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw.startswith(b"{") else {}
            if state.slow:
                state.hanging = True
                state.wait.wait(state.slow)
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            status, told = state.answer(self.command, self.path, body, token=token)
            if not isinstance(status, int):
                self.close_connection = True
                return
            payload = json.dumps(told).encode()
            with suppress(OSError):  # whoever asked may be dead
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - its base asks for these names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base calls it so
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.wait.set()
        server.shutdown()
        thread.join()
        server.server_close()
