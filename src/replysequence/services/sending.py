"""Accepting a send: on disk before anybody is told so. What a worker then does with it is in
``dispatching.py``.
"""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.draft import Draft
from replysequence.domain.errors import Conflict, InvalidInput, NotFound
from replysequence.domain.fallback import choose_route
from replysequence.domain.message import Address, Attachment, Problem
from replysequence.domain.send import GIVE_UP_AFTER, WAITED_FOR, Route, Send, State
from replysequence.providers.registry import Registry
from replysequence.services.composing import composed
from replysequence.services.departing import departing
from replysequence.services.outcomes import Outcomes
from replysequence.services.page import Page
from replysequence.storage import (
    accepting,
    attachments,
    connections,
    drafts,
    frozen,
    routes,
    scheduling,
    sends,
)
from replysequence.storage.accepting import NewSend
from replysequence.storage.database import Database, Transaction, notify, now
from replysequence.storage.ids import new_id

FURTHEST_AHEAD = timedelta(days=365)
SENDS_CHANNEL = "sends"
"""Where workers hear that there is something to claim."""


@dataclass(frozen=True, slots=True)
class Material:
    """All that a route and a message are made of, read in one go."""

    draft: Draft
    files: tuple[Attachment, ...]
    connections: tuple[Connection, ...]
    person: Address
    at: datetime


def read_material(transaction: Transaction, *, user_id: str, draft_id: str) -> Material:
    """Read a draft and what its sending depends on. Raises :class:`NotFound`."""
    draft, person, at = drafts.get_to_send(transaction, user_id=user_id, draft_id=draft_id)
    ids = [file.id for file in draft.attachments]
    files = attachments.load(transaction, user_id=user_id, attachment_ids=ids) if ids else {}
    return Material(
        draft=draft,
        files=tuple(files[each] for each in ids),
        connections=tuple(connections.list_for_user(transaction, user_id=user_id)),
        person=person,
        at=at,
    )


def route_of(material: Material, *, registry: Registry) -> Route:
    """The route of a draft as things stand. Raises :class:`InvalidInput` or :class:`Conflict` when there is
    none.
    """
    relay = registry.relay()
    return choose_route(
        material.connections,
        wanted_connection_id=material.draft.content.connection_id,
        person=material.person,
        relay=relay.name if relay else None,
        relay_sender=relay.sender if relay else None,
    )


class Sending:
    """Accept, show, wait for and cancel sends."""

    def __init__(self, *, database: Database, registry: Registry, outcomes: Outcomes) -> None:
        self._database = database
        self._registry = registry
        self._outcomes = outcomes

    async def accept(
        self,
        user_id: str,
        *,
        draft_id: str,
        version: int | None = None,
        send_at: datetime | None = None,
        undo_seconds: int = 0,
        idempotency_key: str | None = None,
        previous_send_id: str | None = None,
    ) -> tuple[Send, bool]:
        """Freeze a draft into a send; it is on disk when this returns.

        With ``undo_seconds`` it waits for so long before it leaves, unless it waits for ``send_at`` anyway.
        Returns the send, and False when ``idempotency_key`` had already made it. Raises :class:`NotFound`,
        :class:`InvalidInput` (a blocker, with its field, or a key used for something else) and
        :class:`Conflict` (another version, already sent, no way to send).
        """
        request_hash = (
            _hash(draft_id=draft_id, version=version, send_at=send_at)
            if idempotency_key is not None
            else None
        )
        found = await self._database.read(
            _look, user_id=user_id, draft_id=draft_id, key=idempotency_key, request_hash=request_hash
        )
        if isinstance(found, Send):
            return found, False
        new = await self._freeze(
            found,
            version=version,
            send_at=send_at,
            undo=timedelta(seconds=undo_seconds),
            idempotency_key=idempotency_key,
            request_hash=request_hash,
            previous_send_id=previous_send_id,
        )
        send = await self._database.transaction(write, new)
        if send is not None:
            return send, True
        first = await self._database.read(
            _made_by, user_id=user_id, key=idempotency_key, request_hash=request_hash
        )
        if first is None:
            raise NotFound("send")
        return first, False

    async def freeze(
        self,
        user_id: str,
        *,
        draft_id: str,
        version: int | None = None,
        send_at: datetime | None = None,
        previous_send_id: str | None = None,
        connection_id: str | None = None,
    ) -> NewSend:
        """A draft as the send that it would be, ready for :func:`write`; from the account ``connection_id``, whatever
        the draft says, when that is given. Raises as :meth:`accept` does.
        """
        material = await self._database.read(read_material, user_id=user_id, draft_id=draft_id)
        if connection_id is not None:
            material = _from_account(material, connection_id=connection_id)
        return await self._freeze(
            material, version=version, send_at=send_at, previous_send_id=previous_send_id
        )

    async def _freeze(
        self,
        material: Material,
        *,
        version: int | None,
        send_at: datetime | None,
        previous_send_id: str | None,
        undo: timedelta = timedelta(),
        idempotency_key: str | None = None,
        request_hash: str | None = None,
    ) -> NewSend:
        draft = material.draft
        _require_version(draft, version=version)
        _require_time(send_at, at=material.at)
        route = route_of(material, registry=self._registry)
        send_id = new_id()
        # A time that has passed means now.
        leaves_at = send_at if send_at and send_at > material.at else material.at + undo
        message, problems = await composed(
            draft,
            route=route,
            files=material.files,
            send_id=send_id,
            date=leaves_at,
            registry=self._registry,
        )
        _require_no_blocker(problems)
        return NewSend(
            id=send_id,
            user_id=draft.user_id,
            draft_id=draft.id,
            draft_version=draft.version,
            route=route,
            envelope=frozen.freeze_envelope(message),
            message=frozen.freeze(message, attachment_ids=[file.id for file in draft.attachments]),
            subject=message.subject,
            message_id=message.message_id,
            thread_id=draft.content.thread_id if route.connection_id else None,
            idempotency_key=idempotency_key,
            request_hash=request_hash,
            send_at=send_at,
            give_up_at=message.date + GIVE_UP_AFTER,
            held=None,
            previous_send_id=previous_send_id,
            undo=undo,
        )

    async def get(self, user_id: str, *, send_id: str) -> Send:
        """One send with attempts and events. Raises :class:`NotFound`."""
        return await self._database.read(_get, user_id=user_id, send_id=send_id, registry=self._registry)

    async def list(
        self,
        user_id: str,
        *,
        before: str | None = None,
        limit: int = 50,
        states: tuple[State, ...] = (),
        draft_id: str | None = None,
    ) -> Page[Send]:
        """An owner's sends, newest first, without attempts and events."""
        found = await self._database.read(
            _page,
            user_id=user_id,
            before=before,
            limit=limit + 1,
            states=states,
            draft_id=draft_id,
            registry=self._registry,
        )
        return Page(items=found[:limit], next=found[limit - 1].id if len(found) > limit else None)

    async def wait_for_outcome(self, user_id: str, *, send_id: str, seconds: float) -> Send:
        """The send once its outcome is there, or as it is after ``seconds``, or when :meth:`let_one_go` chose it; one
        that waits for its time or for a person is not waited for. Raises :class:`NotFound`.
        """

        async def look() -> Send | None:
            return await self._database.read(_settled, user_id=user_id, send_id=send_id)

        found = await self._outcomes.wait(send_id, look=look, seconds=seconds)
        return found or await self.get(user_id, send_id=send_id)

    def let_one_go(self) -> bool:
        """End the wait of who has waited longest for an outcome; False when nobody waits."""
        return self._outcomes.let_one_go()

    async def cancel(self, user_id: str, *, send_id: str) -> Send:
        """Take a send back. Raises :class:`NotFound`, and :class:`Conflict` once it is on the wire or
        over.
        """
        await self._database.transaction(_cancel, user_id=user_id, send_id=send_id)
        self._outcomes.announce(send_id)
        return await self.get(user_id, send_id=send_id)

    async def change_time(self, user_id: str, *, send_id: str, send_at: datetime | None) -> Send:
        """Let a scheduled send leave at another time: at once without one, or at one that has passed.

        Raises :class:`NotFound`, :class:`InvalidInput` for a time that cannot be used, and :class:`Conflict`
        when it does not wait for its time (any more).
        """
        await self._database.transaction(_change_time, user_id=user_id, send_id=send_id, send_at=send_at)
        return await self.get(user_id, send_id=send_id)


def _look(
    transaction: Transaction, *, user_id: str, draft_id: str, key: str | None, request_hash: str | None
) -> Send | Material:
    """The send that ``key`` has already made, else what a new one is made of."""
    made = _made_by(transaction, user_id=user_id, key=key, request_hash=request_hash)
    return made or read_material(transaction, user_id=user_id, draft_id=draft_id)


def _made_by(
    transaction: Transaction, *, user_id: str, key: str | None, request_hash: str | None
) -> Send | None:
    use = sends.by_key(transaction, user_id=user_id, key=key) if key is not None else None
    if use is None:
        return None
    if use.request_hash != request_hash:
        raise InvalidInput(
            "Idempotency-Key",
            "This key was already used for another send. Use a new key for a new send.",
            details={"send_id": use.send_id},
        )
    return sends.get(transaction, user_id=user_id, send_id=use.send_id)


def _get(transaction: Transaction, *, user_id: str, send_id: str, registry: Registry) -> Send:
    send = sends.get(transaction, user_id=user_id, send_id=send_id)
    return departing(transaction, [send], registry=registry)[0]


def _page(transaction: Transaction, /, *, registry: Registry, **wanted: Any) -> list[Send]:
    return departing(transaction, sends.page(transaction, **wanted), registry=registry)


def _settled(transaction: Transaction, *, user_id: str, send_id: str) -> Send | None:
    """The send, if there is nothing more to wait for."""
    state = sends.state_of(transaction, user_id=user_id, send_id=send_id)
    if state in WAITED_FOR:
        return None
    return sends.get(transaction, user_id=user_id, send_id=send_id)


def _from_account(material: Material, *, connection_id: str) -> Material:
    """The same, to leave from that account. A thread id has a meaning in one mailbox only."""
    content = replace(material.draft.content, connection_id=connection_id, thread_id=None)
    return replace(material, draft=replace(material.draft, content=content))


def _hash(*, draft_id: str, version: int | None, send_at: datetime | None) -> str:
    request = [draft_id, version, send_at.isoformat() if send_at else None]
    return hashlib.sha256(json.dumps(request).encode()).hexdigest()


def _require_version(draft: Draft, *, version: int | None) -> None:
    if version is not None and draft.version != version:
        raise Conflict(
            f"The draft has changed since version {version}. Look at it again before sending it.",
            code="version_conflict",
            details={"version": draft.version},
        )


def _require_time(send_at: datetime | None, *, at: datetime) -> None:
    if send_at is None:
        return
    if send_at.tzinfo is None:
        raise InvalidInput("send_at", "The time needs its offset, such as 2026-12-01T09:00:00+01:00.")
    if send_at > at + FURTHEST_AHEAD:
        raise InvalidInput("send_at", "The time is more than a year ahead.")
    try:
        send_at.astimezone(UTC)
    except OverflowError:
        raise InvalidInput("send_at", "This time lies before the first day of the calendar.") from None


def _require_no_blocker(problems: list[Problem]) -> None:
    blockers = [problem for problem in problems if problem.severity == "blocker"]
    if blockers:
        raise InvalidInput(
            blockers[0].field,
            blockers[0].message,
            details={"fields": [{"field": p.field, "message": p.message} for p in blockers]},
        )


def write(transaction: Transaction, new: NewSend) -> Send | None:
    """Write the send, unless what it was made of has changed since it was read: then :class:`Conflict`.

    None when a simultaneous request with the same idempotency key was first.
    """
    route = new.route
    routes.take(transaction, route_id=route.id, via=route.via, connection_id=route.connection_id)
    found = accepting.standing(transaction, new)
    if found.version != new.draft_version:
        raise Conflict(
            "The draft was changed while it was being sent. Look at it again before sending it.",
            code="version_conflict",
            details={"version": found.version},
        )
    if route.connection_id is not None and found.status in {None, ConnectionStatus.DISCONNECTING}:
        raise Conflict(
            "This e-mail account was just disconnected. Choose another one.", code="no_way_to_send"
        )
    held = None
    if found.status is ConnectionStatus.NEEDS_RECONNECT:
        held = (
            found.status_reason or "reconnect_needed",
            found.problem or "Connect this account again.",
        )
    send = accepting.accept(transaction, new.holding(held), at=found.at, pause=found.pause)
    if send is not None and send.next_at is not None and send.next_at <= found.at:
        notify(transaction, SENDS_CHANNEL)
    return send


def _change_time(transaction: Transaction, *, user_id: str, send_id: str, send_at: datetime | None) -> None:
    at = now(transaction)
    _require_time(send_at, at=at)
    due = max(send_at, at) if send_at else at
    scheduling.change_time(
        transaction, user_id=user_id, send_id=send_id, send_at=due, give_up_at=due + GIVE_UP_AFTER, at=at
    )
    notify(transaction, SENDS_CHANNEL)


def _cancel(transaction: Transaction, *, user_id: str, send_id: str) -> None:
    sends.cancel(transaction, user_id=user_id, send_id=send_id, at=now(transaction))
