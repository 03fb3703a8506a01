"""What people see of the logging in their CRMs, and what they choose about it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import InvalidInput, NotFound
from replysequence.domain.report import CrmOptions, LogParts, Report, ReportState
from replysequence.providers.registry import Registry
from replysequence.services.page import Page
from replysequence.storage import connections, platforms, reports
from replysequence.storage.database import Database, Transaction, now
from replysequence.storage.reports import CRM, Counts, Cursor


class Logbook:
    """The verbs of a person about reports and the CRMs that they go to."""

    def __init__(self, *, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def list(
        self,
        user_id: str,
        *,
        before: str | None = None,
        limit: int = 50,
        send_id: str | None = None,
        connection_id: str | None = None,
        states: Sequence[ReportState] = (),
    ) -> Page[Report]:
        """A person's reports, those that came to be logged last first. ``before`` is the ``next`` of the page before.
        Raises :class:`InvalidInput` when it is not.
        """
        found = await self._database.read(
            reports.page,
            user_id=user_id,
            before=None if before is None else _cursor(before),
            limit=limit + 1,
            send_id=send_id,
            connection_id=connection_id,
            states=states,
        )
        shown = found[:limit]
        return Page(items=shown, next=_after(shown[-1]) if len(found) > limit else None)

    async def again(self, user_id: str, *, send_id: str, connection_id: str) -> Report:
        """Log anew what failed or was skipped; what an earlier attempt may have written is looked for first. Returns
        the report. Raises :class:`NotFound`, and ``Conflict`` when it is neither or its CRM is disconnected.
        """
        settling = {crm.name: timedelta(seconds=crm.settling_seconds) for crm in self._registry.crms()}
        return await self._database.transaction(
            _again, user_id=user_id, send_id=send_id, connection_id=connection_id, settling=settling
        )

    async def choose(
        self,
        user_id: str,
        *,
        connection_id: str,
        create_contacts: bool | None = None,
        parts: LogParts | None = None,
        senders: Sequence[str] | None = None,
    ) -> Connection:
        """Change what of a person's mail a CRM is told; what is none stays. No ``senders`` means all of them, also
        those to come.

        Raises :class:`NotFound` when it is no CRM of theirs, and :class:`InvalidInput` for a sender that is not.
        """
        return await self._database.transaction(
            _choose,
            user_id=user_id,
            connection_id=connection_id,
            create_contacts=create_contacts,
            parts=parts,
            senders=senders,
        )

    async def counts(self, user_id: str) -> dict[str, Counts]:
        """By connection: how many reports wait at a person's CRMs, and how many failed."""
        return await self._database.read(reports.counts, user_id=user_id)

    async def broken(self, user_id: str) -> Sequence[Connection]:
        """A person's platforms, not only CRMs, that need them to connect again."""
        mine = await self._database.read(platforms.list_for_user, user_id=user_id)
        return [each for each in mine if each.status is ConnectionStatus.NEEDS_RECONNECT]


def _again(
    transaction: Transaction,
    *,
    user_id: str,
    send_id: str,
    connection_id: str,
    settling: dict[str, timedelta],
) -> Report:
    this = reports.get(transaction, user_id=user_id, send_id=send_id, connection_id=connection_id)
    reports.again(
        transaction,
        user_id=user_id,
        send_id=send_id,
        connection_id=connection_id,
        settling=settling.get(this.provider, timedelta()),
        at=now(transaction),
    )
    return reports.get(transaction, user_id=user_id, send_id=send_id, connection_id=connection_id)


def _choose(
    transaction: Transaction,
    *,
    user_id: str,
    connection_id: str,
    create_contacts: bool | None,
    parts: LogParts | None,
    senders: Sequence[str] | None,
) -> Connection:
    crm = platforms.get(transaction, user_id=user_id, connection_id=connection_id)
    if crm.category != CRM:
        raise NotFound("connection")
    chosen = CrmOptions.of(crm.options)
    if create_contacts is not None:
        chosen = replace(chosen, create_contacts=create_contacts)
    if parts is not None:
        chosen = replace(chosen, parts=parts)
    if senders is not None:
        chosen = replace(chosen, senders=_theirs(transaction, senders, user_id=user_id, before=chosen))
    platforms.choose(transaction, user_id=user_id, connection_id=connection_id, options=chosen.as_json())
    return platforms.get(transaction, user_id=user_id, connection_id=connection_id)


def _theirs(
    transaction: Transaction, senders: Sequence[str], *, user_id: str, before: CrmOptions
) -> tuple[str, ...]:
    """``senders`` as we write them. One that was chosen may stay although its account is gone."""
    mine = [each.email for each in connections.list_for_user(transaction, user_id=user_id)]
    known = {email.casefold(): email for email in (*before.senders, *mine)}
    for at, sender in enumerate(senders):
        if sender.casefold() not in known:
            raise InvalidInput(
                f"senders.{at}", "This is not an address of an account that you have connected."
            )
    return tuple(dict.fromkeys(known[sender.casefold()] for sender in senders))


def _after(last: Report) -> str:
    return f"{last.created_at.isoformat()}_{last.send_id}_{last.connection_id}"


def _cursor(text: str) -> Cursor:
    try:
        moment, send_id, connection_id = text.split("_")
        at = datetime.fromisoformat(moment)
        if at.tzinfo is not None:
            return at.astimezone(UTC), str(UUID(send_id)), str(UUID(connection_id))
    except (ValueError, OverflowError):
        pass
    raise InvalidInput("before", "This is not the cursor of a page.")
