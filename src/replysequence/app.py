"""The one place that knows everybody: settings in, running parts out."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from replysequence import logs, process
from replysequence.domain.errors import DatabaseUnavailable, VaultKeyMissing
from replysequence.providers.http import HttpClient
from replysequence.providers.registry import Registry
from replysequence.reporter import Reporter
from replysequence.services import Services
from replysequence.services.connecting import Connecting
from replysequence.services.deciding import Deciding
from replysequence.services.disconnecting import Disconnecting
from replysequence.services.dispatching import Dispatching
from replysequence.services.drafting import Drafting
from replysequence.services.going_back import GoingBack
from replysequence.services.history import History
from replysequence.services.logbook import Logbook
from replysequence.services.looking_up import LookingUp
from replysequence.services.outcomes import Outcomes
from replysequence.services.reporting import Reporting
from replysequence.services.sending import Sending
from replysequence.services.settling import Settling
from replysequence.services.signing_in import SigningIn
from replysequence.services.telling import Telling
from replysequence.services.tokens import PlatformTokens, Tokens
from replysequence.services.watching import Watching
from replysequence.settings import Settings
from replysequence.storage import incarnations, keys, schema, vault
from replysequence.storage.database import Database
from replysequence.storage.keys import Key
from replysequence.storage.vault import Vault
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


def prepare(settings: Settings) -> None:
    """Make the data folder and bring the database to the present schema.

    Migrations run in a process of their own, for what they import would stay in memory for as long as this one
    lives. Raises :class:`~replysequence.domain.errors.Conflict` when the database was made by a newer version, and
    :class:`~replysequence.domain.errors.DatabaseUnavailable` with the reason when it cannot be used.
    """
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if schema.pending(settings.database_url):
        complaint = process.complaint_of(
            "replysequence.storage.migrations", DATABASE_URL=settings.database_url
        )
        if complaint is not None:
            raise DatabaseUnavailable(complaint, may_have_committed=True)


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
        going_back = GoingBack(database=database, folder=settings.data_dir)
        await going_back.recognise()
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
            logbook=Logbook(database=database, registry=registry),
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
        reporting = Reporting(
            database=database,
            registry=registry,
            tokens=PlatformTokens(
                database=database, registry=registry, http=http, vault=opened, owner=incarnation.id
            ),
            incarnation=incarnation.id,
            public_url=settings.public_url,
        )
        worker = Worker(
            database=database,
            dispatching=dispatching,
            watching=watching,
            going_back=going_back,
            disconnecting=disconnecting,
            telling=Telling(database=database, registry=registry, public_url=settings.public_url),
            looking_up=looking_up,
            reporting=reporting,
            reporter=Reporter(database=database, reporting=reporting),
            incarnation=incarnation,
        )
        yield App(settings, database, opened, registry, services, worker)
