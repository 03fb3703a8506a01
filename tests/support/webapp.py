"""The whole app on a port of this machine, with its worker and its real database: what a browser or a program meets."""

import asyncio
import secrets
import socket
import threading
from collections.abc import Collection, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import uvicorn

from replysequence import app as parts
from replysequence import settings as settings_module
from replysequence.sandbox.accounts import Account, Vendor
from replysequence.sandbox.running import RunningSandbox
from replysequence.services.signing_in import Person
from replysequence.web.notices import Notice, read_notice
from replysequence.web.server import create
from support.consent import approve
from support.pace import UNPACED
from support.plain_http import Answer, call

T = TypeVar("T")

PASSWORD = "correct horse battery"


@dataclass
class Visitor:
    """Somebody who talks to the app: at a browser (`cookie`), with an API key (`key`), or unknown."""

    base_url: str
    person: Person | None = None
    cookie: str | None = None
    key: str | None = None

    @property
    def id(self) -> str:
        assert self.person is not None
        return self.person.id

    def __call__(self, method: str, path: str, *, site: str | None = "same-origin", **given: Any) -> Answer:
        """One request. `site` is what the browser says in Sec-Fetch-Site; a program says nothing."""
        headers = dict(given.pop("headers", None) or {})
        if self.cookie:
            headers.setdefault("Cookie", f"session={self.cookie}")
        if self.key:
            headers.setdefault("Authorization", f"Bearer {self.key}")
        elif site:
            headers.setdefault("Sec-Fetch-Site", site)
        return call(method, f"{self.base_url}{path}", headers=headers, **given)


@dataclass
class RunningApp:
    """An app that answers at `base_url`, and its parts."""

    base_url: str
    app: parts.App
    box: RunningSandbox
    loop: asyncio.AbstractEventLoop
    _people: dict[str, Person] = field(default_factory=dict)
    _browsers: dict[str, Visitor] = field(default_factory=dict)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run one of the services' verbs where the app runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=30)

    def person(self, name: str, *, is_admin: bool = False) -> Person:
        """Alice, Bob or Charlie, with an account here; who wants no time to undo, unless a test gives them some."""
        if name not in self._people:
            self._people[name] = self.do(
                self.app.services.signing_in.add(
                    email=f"{name.lower()}@example.com",
                    name=f"{name} Example",
                    password=PASSWORD,
                    is_admin=is_admin,
                )
            )
            self.prefer(name)
        return self._people[name]

    def prefer(self, name: str, *, time_zone: str = "UTC", undo_seconds: int = 0) -> None:
        """That person changes their settings."""
        self.do(
            self.app.services.signing_in.change_sending(
                self._people[name].id, time_zone=time_zone, undo_seconds=undo_seconds
            )
        )

    def browser(self, name: str, *, is_admin: bool = False) -> Visitor:
        """That person, signed in at a browser; the same one every time."""
        if name not in self._browsers:
            self._browsers[name] = self.new_browser(name, is_admin=is_admin)
        return self._browsers[name]

    def new_browser(self, name: str, *, is_admin: bool = False) -> Visitor:
        """That person, signed in at one more browser."""
        person = self.person(name, is_admin=is_admin)
        client = f"test-{secrets.token_hex(4)}"
        session = self.do(
            self.app.services.signing_in.sign_in(person.email, password=PASSWORD, client=client)
        )
        assert session.token is not None
        return Visitor(self.base_url, person=person, cookie=session.token.reveal())

    def program(self, name: str, *, is_admin: bool = False) -> Visitor:
        """A program with that person's API key."""
        person = self.person(name, is_admin=is_admin)
        _, key = self.do(self.app.services.signing_in.create_api_key(person.id, name="test"))
        return Visitor(self.base_url, person=person, key=key.reveal())

    def connect(self, who: Visitor, provider: str, account: str, *, untick: Collection[str] = ()) -> Answer:
        """Go from our link through the provider's pages, agree, and come back: the callback's answer."""
        return self.come_back(who, approve(self.consent_page(who, provider), account=account, untick=untick))

    def consent_page(self, who: Visitor, provider: str, *, connection_id: str | None = None) -> str:
        """The address to which our link sends the browser."""
        query = f"?connection_id={connection_id}" if connection_id else ""
        answer = who("GET", f"/api/auth/{provider}{query}")
        assert answer.status == 302, answer.text
        location: str = answer.headers["Location"]
        return location

    def come_back(self, who: Visitor, callback: str) -> Answer:
        """Follow the provider's redirect to our callback, as its browser does: from another site."""
        parts = urlsplit(callback)
        return who("GET", f"{parts.path}?{parts.query}", site="cross-site")

    def connection_id(self, who: Visitor, email: str) -> str:
        """The id of a connected account."""
        found = self.do(self.app.services.connecting.integrations(who.id))
        return next(
            each.id
            for _, cards in found
            for card in cards
            for each in card.connections
            if each.email == email
        )

    def new_google_account(self) -> str:
        """The address of an account at Google that nobody has connected yet."""
        number = secrets.randbits(60)
        email = f"seller.{number}@brightwave.example"
        self.box.world.accounts.add(
            Account(
                vendor=Vendor.GOOGLE,
                email=email,
                name="Sal Eller",
                subject=str(number),
                tenant="brightwave.example",
            )
        )
        return email

    def notice_of(self, answer: Answer) -> Notice | None:
        """What the page that a 303 leads to will say."""
        cookie = SimpleCookie(answer.headers.get("Set-Cookie", ""))
        return read_notice(cookie["notice"].value) if "notice" in cookie else None

    @property
    def anonymous(self) -> Visitor:
        """Nobody that the app knows."""
        return Visitor(self.base_url)


@contextmanager
def running_app(
    database_url: str, data_dir: Path, *, box: RunningSandbox, environ: Mapping[str, str] | None = None
) -> Iterator[RunningApp]:
    """Run the app on a thread for as long as the block lasts, with its providers played by `box`."""
    sock = socket.create_server(("127.0.0.1", 0))
    base_url = f"http://127.0.0.1:{sock.getsockname()[1]}"
    box.world.register_app(base_url)
    settings = settings_module.read(
        {
            **box.environment,
            **UNPACED,
            "DATABASE_URL": database_url,
            "REPLYSEQUENCE_DATA_DIR": str(data_dir),
            "PUBLIC_URL": base_url,
            **(environ or {}),
        }
    )
    parts.prepare(settings)
    ready, stop = threading.Event(), threading.Event()
    found: list[RunningApp] = []
    broken: list[BaseException] = []

    async def serve() -> None:
        async with parts.running(settings) as app:
            config = uvicorn.Config(create(app.services), log_config=None, access_log=False, lifespan="off")
            server = uvicorn.Server(config)
            working = asyncio.create_task(app.worker.run())
            serving = asyncio.create_task(server.serve(sockets=[sock]))
            while not server.started:
                await asyncio.sleep(0.01)
            found.append(RunningApp(base_url, app, box, asyncio.get_running_loop()))
            ready.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            server.force_exit = True
            app.worker.stop()
            await asyncio.gather(serving, working)

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - told to the test that waits for it
            broken.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="app", daemon=True)
    thread.start()
    ready.wait()
    try:
        if not found:
            raise broken[0]
        yield found[0]
    finally:
        stop.set()
        thread.join()
        sock.close()
    if broken:
        raise broken[0]
