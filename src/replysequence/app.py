"""The one place that knows everybody: settings in, running parts out."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn

from replysequence import logs
from replysequence.domain.errors import DatabaseUnavailable, VaultKeyMissing
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import Registry
from replysequence.services import Services
from replysequence.services.connecting import Connecting
from replysequence.services.deciding import Deciding
from replysequence.services.disconnecting import Disconnecting
from replysequence.services.dispatching import Dispatching
from replysequence.services.drafting import Drafting
from replysequence.services.history import History
from replysequence.services.looking_up import LookingUp
from replysequence.services.outcomes import Outcomes
from replysequence.services.sending import Sending
from replysequence.services.settling import Settling
from replysequence.services.signing_in import SigningIn
from replysequence.services.telling import Telling
from replysequence.services.tokens import Tokens
from replysequence.services.watching import Watching
from replysequence.settings import Settings
from replysequence.storage import incarnations, keys, migrations, vault
from replysequence.storage.database import Database, now
from replysequence.storage.keys import Key
from replysequence.storage.vault import Vault
from replysequence.web.server import create
from replysequence.worker import Worker

_log = logs.logger("app")


@dataclass(frozen=True, slots=True)
class App:
    """The parts of one running process."""

    settings: Settings
    database: Database
    vault: Vault
    registry: Registry
    services: Services
    worker: Worker


Ready = Callable[[App], Awaitable[None]]


async def _nobody(_: App) -> None:
    """For who has nothing to do once the parts run."""


def prepare(settings: Settings) -> None:
    """Make the data folder and bring the database to the present schema."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrations.upgrade(settings.database_url)


def open_vault(settings: Settings, database: Database) -> Vault:
    """The vault with the right keys, proved against what is stored.

    A key file is made on the very first start only, with an empty vault. Raises :class:`VaultKeyMissing`
    when stored secrets have no key, :class:`VaultKeyWrong` when a key is not the one they were sealed with;
    nothing is changed.
    """
    opened = Vault(_keys(settings, database))
    database.run(opened.check)
    return opened


def given_keys(settings: Settings) -> tuple[Key, ...] | None:
    """The keys that the operator gave, or that an earlier start made; none before the first start."""
    if settings.encryption_keys is not None:
        return keys.parse_keys(settings.encryption_keys.reveal())
    return keys.read_key_file(settings.key_file) if settings.key_file.exists() else None


def _keys(settings: Settings, database: Database) -> tuple[Key, ...]:
    given = given_keys(settings)
    if given is not None:
        return given
    if not database.run(vault.is_empty):
        made_meanwhile = given_keys(settings)  # by another process that starts for the first time
        if made_meanwhile is not None:
            return made_meanwhile
        raise VaultKeyMissing(
            f"The database holds encrypted tokens, and there is no key for them: neither ENCRYPTION_KEYS nor "
            f"{settings.key_file} is there. Put the key back; a new one could not open them."
        )
    made = keys.create_key_file(settings.key_file)
    _log.warning(
        "vault.key_file_made", file=str(settings.key_file), advice="keep a copy apart from the database"
    )
    return made


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[App]:
    """All parts of a process, opened in order and closed in reverse. The worker is there but not yet
    running.
    """
    async with AsyncExitStack() as closing:
        database = Database.open(settings.database_url)
        closing.callback(database.close)
        incarnation = incarnations.begin(database.url)
        closing.callback(incarnation.end)
        http = HttpClient()
        closing.push_async_callback(http.close)
        opened = open_vault(settings, database)
        registry = Registry(settings.providers, http)
        outcomes = Outcomes()
        tokens = Tokens(database=database, registry=registry, http=http, vault=opened, owner=incarnation.id)
        sending = Sending(database=database, registry=registry, outcomes=outcomes)
        disconnecting = Disconnecting(database=database, registry=registry, http=http, vault=opened)
        looking_up = LookingUp(database=database, registry=registry, tokens=tokens, outcomes=outcomes)
        services = Services(
            signing_in=SigningIn(database=database),
            connecting=Connecting(
                database=database, registry=registry, http=http, vault=opened, public_url=settings.public_url
            ),
            disconnecting=disconnecting,
            drafting=Drafting(database=database, registry=registry),
            sending=sending,
            settling=Settling(database=database, registry=registry, sending=sending),
            looking_up=looking_up,
            deciding=Deciding(database=database, sending=sending, outcomes=outcomes),
            history=History(database=database),
            registry=registry,
            public_url=settings.public_url,
        )
        watching = Watching(database=database, registry=registry)
        dispatching = Dispatching(
            database=database,
            registry=registry,
            tokens=tokens,
            outcomes=outcomes,
            watching=watching,
            incarnation=incarnation.id,
        )
        worker = Worker(
            database=database,
            dispatching=dispatching,
            watching=watching,
            disconnecting=disconnecting,
            telling=Telling(database=database, registry=registry, public_url=settings.public_url),
            looking_up=looking_up,
            incarnation=incarnation,
        )
        yield App(settings, database, opened, registry, services, worker)


async def serve(
    settings: Settings, *, sock: socket.socket, with_worker: bool, ready: Ready = _nobody
) -> None:
    """Serve the web app on ``sock`` until the process is told to stop; with a worker beside it unless told otherwise.

    At a stop nothing new is claimed, requests and exchanges that run may finish, and then this returns. A worker
    that breaks stops the server too, and its error is raised: nobody is to accept what nobody would send.
    """
    async with running(settings) as app:
        web = create(app.services, problems=lambda: problems(app))
        server = _Server(
            uvicorn.Config(
                web,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                timeout_graceful_shutdown=60,
            )
        )
        _spare_the_collector()
        working = asyncio.create_task(app.worker.run()) if with_worker else None
        if working is not None:
            working.add_done_callback(lambda _: server.stop())
        try:
            with _stopped_by_signals(server.stop):
                await ready(app)
                await server.serve(sockets=[sock])
        finally:
            if working is not None:
                app.worker.stop()
                await working


async def work(settings: Settings) -> None:
    """Run a worker alone until the process is told to stop."""
    async with running(settings) as app:
        _spare_the_collector()
        with _stopped_by_signals(app.worker.stop):
            await app.worker.run()


def _spare_the_collector() -> None:
    """What stands at the start stays for good. The garbage collector looking through it again and again took a fifth
    of a send's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def problems(app: App) -> list[str]:
    """Why the process is not ready to serve, in sentences; empty when it is."""
    try:
        await app.database.read(now)
    except DatabaseUnavailable:
        return ["The database cannot be reached."]
    return []


class _Server(uvicorn.Server):
    """A server that leaves signals to us: uvicorn would end the process before the worker has finished."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Take no more requests, and return from ``serve`` when those that run have ended."""
        self.should_exit = True


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at the first SIGINT or SIGTERM; the second one ends the process at once."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def told() -> None:
        _log.info("process.stopping")
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in numbers:
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
