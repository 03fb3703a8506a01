"""``replysequence check``: settings, database, vault, each provider and the clock, with what to do next."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import click

from replysequence import app, logs
from replysequence.domain.errors import ReplySequenceError
from replysequence.providers.answers import http_date
from replysequence.providers.base import Connectable, Provider
from replysequence.providers.http import Deadlines, ExchangeFailed, HttpClient
from replysequence.providers.registry import Registry
from replysequence.settings import ConfigError, Settings, read
from replysequence.storage import schema
from replysequence.storage.database import Database, now
from replysequence.storage.vault import Vault

LARGEST_SKEW = 30.0
"""Seconds that our clock may differ from a provider's."""
_DEADLINES = Deadlines(connect=5, write=5, read=5, total=10)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. ``next_step`` is none when all is well."""

    subject: str
    found: str
    next_step: str | None = None


async def run(environ: Mapping[str, str]) -> bool:
    """Look at everything and print it; whether all is well."""
    logs.set_up("ERROR")
    well = True
    try:
        settings = read(environ)
    except ConfigError as error:
        for problem in error.problems:
            _show(Finding("Settings", problem, "Mend this variable and check again."))
        return False
    _show(Finding("Settings", f"{settings.public_url}, data in {settings.data_dir.absolute()}"))
    async for finding in _look(settings):
        _show(finding)
        well = well and finding.next_step is None
    return well


async def _look(settings: Settings) -> AsyncIterator[Finding]:
    for finding in _storage(settings):
        yield finding
    http = HttpClient()
    try:
        registry = Registry(settings.providers, http)
        for _, providers in registry.by_category():
            for provider in providers:
                for finding in await _provider(provider, settings=settings, http=http):
                    yield finding
    finally:
        await http.close()


def _storage(settings: Settings) -> Iterator[Finding]:
    """The database and the vault. Nothing is made or changed."""
    try:
        if schema.pending(settings.database_url):
            yield Finding(
                "Database",
                "not there yet, or of an older version",
                "Run: replysequence migrate; or start it, which does the same",
            )
            return
        database = Database.open(settings.database_url)
        try:
            skew = abs((datetime.now(UTC) - database.run(now)).total_seconds())
            yield Finding("Database", f"{database.kind}, present schema")
            if skew > LARGEST_SKEW:
                yield Finding("Clock", f"{skew:.0f} s off the database's", "Set this machine's clock (NTP).")
            yield _vault(settings, database)
        finally:
            database.close()
    except ReplySequenceError as error:
        yield Finding("Database", error.message, "See that DATABASE_URL is right and the server runs.")


def _vault(settings: Settings, database: Database) -> Finding:
    try:
        keys = app.given_keys(settings)
        if keys is None:
            return Finding("Vault", "no key yet; the first start makes one")
        opened = Vault(keys)
        database.run(opened.prove)
    except ReplySequenceError as error:
        return Finding(
            "Vault", error.message, "Put the right key back. A new key cannot open what is stored."
        )
    return Finding("Vault", f"opens with the keys {', '.join(opened.key_ids)}")


async def _provider(provider: Provider, *, settings: Settings, http: HttpClient) -> list[Finding]:
    missing = ", ".join(provider.missing)
    findings = [
        Finding(provider.title, f"not configured ({missing}); its card says so")
        if missing
        else await _reach(provider, http=http)
    ]
    if isinstance(provider, Connectable):
        uri = f"{settings.public_url}/api/auth/{provider.name}/callback"
        findings.append(Finding(provider.title, f"register this redirect URI, to the letter: {uri}"))
    return findings


async def _reach(provider: Provider, *, http: HttpClient) -> Finding:
    try:
        answer = await http.request(
            "GET", provider.reachable_url, headers={"Accept": "*/*"}, deadlines=_DEADLINES
        )
    except ExchangeFailed as failure:
        return Finding(
            provider.title,
            f"cannot be reached: {failure.reason}",
            "Let this machine open HTTPS connections there, or correct the provider's URL.",
        )
    theirs = http_date(answer.headers.get("date", ""))
    skew = (datetime.now(UTC) - theirs).total_seconds() if theirs else 0.0
    if abs(skew) > LARGEST_SKEW:
        return Finding(
            provider.title, f"its clock differs by {skew:.0f} s", "Set this machine's clock (NTP)."
        )
    return Finding(provider.title, "can be reached")


def _show(finding: Finding) -> None:
    mark = "ok  " if finding.next_step is None else "MEND"
    click.echo(f"{mark} {finding.subject}: {finding.found}")
    if finding.next_step is not None:
        click.echo(f"     → {finding.next_step}")
