"""What ``replysequence --help`` lists."""

import asyncio
import os
import shlex
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import click

from replysequence import __version__, app, logs, process, serving
from replysequence.app import App
from replysequence.cli import checks, demo
from replysequence.sandbox import server as sandbox_server
from replysequence.sandbox.environment import environment
from replysequence.sandbox.world import World
from replysequence.services.going_back import GoingBack
from replysequence.settings import Settings, read
from replysequence.storage import rotation, schema
from replysequence.storage.database import Database

_HOST = click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
_PORT = click.option("--port", default=8000, show_default=True, help="The port to listen on.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="replysequence")
def commands() -> None:
    """Follow-up drafts leave from the sales person's own Gmail or Microsoft 365 address.

    \b
    Just looking?          replysequence demo
    Setting it up?         replysequence check, then replysequence serve
    Settings are environment variables; docs/reference/settings.md lists them all.
    """


@commands.command()
@_HOST
@_PORT
@click.option("--no-worker", is_flag=True, help="Only serve pages and API; run `replysequence worker` apart.")
def serve(host: str, port: int, no_worker: bool) -> None:  # noqa: FBT001 - click passes flags so
    """Serve pages and API, and send what is due.

    Brings the database to the present schema first. On the very first start it prints a one-time link that
    makes the first account.
    """
    settings = _prepared()
    with _listen(host, port) as sock:
        greet = partial(_greet, listening=f"{host}:{port}")
        process.run(serving.serve(settings, sock=sock, with_worker=not no_worker, ready=greet))


@commands.command()
def worker() -> None:
    """Only send what is due. Run as many as you like; they share the database and nothing else."""
    _prepared()
    process.become("replysequence.working")


@commands.command(name="demo")
@click.option("--port", default=8000, show_default=True, help="The app's port.")
@click.option("--sandbox-port", default=8025, show_default=True, help="The port of the stand-in providers.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Keep the demo's data here. Default: a new folder each time, removed at the end.",
)
def run_demo(port: int, sandbox_port: int, data: Path | None) -> None:
    """Try everything on this machine: the app and stand-ins of Google, Microsoft and Resend.

    Nothing leaves this machine, and no account anywhere is needed.
    """
    process.run(demo.run(port=port, sandbox_port=sandbox_port, data=data))


@commands.command()
@click.option("--port", default=8025, show_default=True, help="The port to listen on.")
@click.option(
    "--app-url",
    default="http://localhost:8000",
    show_default=True,
    help="The app whose redirect URIs are registered.",
)
@click.option(
    "--ledger",
    type=click.Path(path_type=Path),
    help="Write each accepted message and CRM record here, as JSON lines.",
)
def sandbox(port: int, app_url: str, ledger: Path | None) -> None:
    """Run only the stand-ins of the providers, for development and tests.

    Prints the settings that point an app at them.
    """
    world = World(ledger_path=ledger)
    world.register_app(app_url)
    click.echo(f"# Mailboxes and faults: http://127.0.0.1:{port}/")
    for name, value in environment(f"http://127.0.0.1:{port}").items():
        click.echo(f"export {name}={shlex.quote(value)}")
    sandbox_server.serve(world, port=port)


@commands.command()
def migrate() -> None:
    """Bring the database to the present schema. `serve` and `worker` do so too."""
    needed = process.or_exit(lambda: schema.pending(_settings().database_url))
    _prepared()
    click.echo("The database was brought to the present schema." if needed else "The database is up to date.")


@commands.command()
def restored() -> None:
    """Hold what a database restored from an older copy has not ended, until its owners decide.

    `serve` and `worker` do so by themselves on a machine that has seen the newer database. Say it before
    they start where they cannot know: on a new machine, or when the data folder was restored, too.
    """

    async def hold(parts: App) -> None:
        held = await GoingBack(database=parts.database, folder=parts.settings.data_dir).hold()
        click.echo(
            f"{held.waiting} sends wait until their owners say whether they should still leave; of {held.unknown} "
            "nobody knows whether they left."
        )

    process.run(_with_parts(hold))


@commands.group()
def users() -> None:
    """The people who may sign in."""


@users.command(name="add")
@click.argument("email")
@click.option("--name", prompt=True, help="As recipients see it.")
@click.option("--admin", is_flag=True, help="May invite others.")
@click.password_option(help="Asked for when it is not given.")
def add_user(email: str, name: str, admin: bool, password: str) -> None:  # noqa: FBT001 - click passes flags so
    """Add a person with the address EMAIL."""

    async def add(parts: App) -> None:
        person = await parts.services.signing_in.add(
            email=email, name=name, password=password, is_admin=admin
        )
        click.echo(f"{person.email} can sign in now. For programs, the id is {person.id}")

    process.run(_with_parts(add))


@users.command(name="password")
@click.argument("email")
@click.password_option(help="Asked for when it is not given.")
def reset_password(email: str, password: str) -> None:
    """Give the person with the address EMAIL a new password; their sessions end."""

    async def reset(parts: App) -> None:
        await parts.services.signing_in.reset_password(email=email, password=password)
        click.echo(f"{email} has a new password.")

    process.run(_with_parts(reset))


@commands.group()
def keys() -> None:
    """The keys of the vault that holds the tokens."""


@keys.command()
def rotate() -> None:
    """Encrypt every stored secret again with the first key of ENCRYPTION_KEYS.

    Put the new key in front of the old one everywhere first, and take the old one away when this says that
    nothing needs it. Safe while the app runs, and after an interruption: just run it again.
    """
    settings = _prepared()
    database = Database.open(settings.database_url)
    try:
        report = rotation.rotate(database, vault=process.or_exit(lambda: app.open_vault(settings, database)))
    finally:
        database.close()
    for column in report.columns:
        click.echo(
            f"{column.table}.{column.column}: {column.done} encrypted again, "
            f"{column.remaining} still under another key, {len(column.failed)} cannot be opened"
        )
    if not report.complete:
        raise click.ClickException(
            "Some secrets still need an old key. Keep it, and look at the lines above."
        )
    click.echo(f"Everything is encrypted with the key “{report.key_id}”. Other keys are no longer needed.")


@commands.command()
def check() -> None:
    """Look at everything that can be wrong, and say for each problem what to do next."""
    sys.exit(0 if asyncio.run(checks.run(os.environ)) else 1)


def main() -> None:
    """The command ``replysequence``."""
    commands(prog_name="replysequence")


def _settings() -> Settings:
    settings = process.or_exit(lambda: read(os.environ))
    logs.set_up(settings.log_level)
    return settings


def _prepared() -> Settings:
    settings = _settings()
    try:
        process.or_exit(lambda: app.prepare(settings))
    except OSError as error:
        raise click.ClickException(
            f"The data folder {settings.data_dir} cannot be used: {error.strerror}. "
            "Let this account write there, or set REPLYSEQUENCE_DATA_DIR to another folder."
        ) from None
    return settings


async def _with_parts(work: Callable[[App], Awaitable[None]]) -> None:
    settings = _prepared()
    async with app.running(settings) as parts:
        await work(parts)


async def _greet(parts: App, *, listening: str) -> None:
    """What an operator sees at a start; on the very first one, the link that makes the first account."""
    url = parts.settings.public_url
    click.echo(f"ReplySequence {__version__} serves {url} (PUBLIC_URL), listening on {listening}")
    token = await parts.services.signing_in.setup_token()
    if token is not None:
        click.echo(f"\nMake the first account here, within 24 hours:\n\n    {url}/join/{token.reveal()}\n")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(2048)
    except OSError as error:
        sock.close()
        raise click.ClickException(f"Cannot listen on {host}:{port}: {error.strerror}.") from None
    return sock
