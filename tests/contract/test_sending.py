"""What holds for sending through every mailbox and relay, whatever it answers and however its connection
breaks.
"""

from collections.abc import Mapping
from dataclasses import replace
from traceback import format_exception
from typing import Any

import pytest

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
from replysequence.domain.message import Attachment
from replysequence.domain.secret import Secret
from replysequence.providers.base import Mailbox, Prepared, Provider, Receipt, Relay
from replysequence.providers.http import Answer, Deadlines, HttpClient, Phase
from replysequence.providers.registry import Registry
from support.answering import Answering, Says
from support.faulty_server import FAULTS, Fault, FaultyServer
from support.messages import a_message
from support.registry_entries import ENTRIES, SENDERS, settings_at

MESSAGE = a_message(send_id="0193b2c4-0000-7000-8000-000000000001")
SOON = Deadlines(connect=1, write=0.3, read=0.3, total=3)
TOKEN = Secret("canary-access-token")

every_sender = pytest.mark.parametrize("entry", SENDERS, ids=lambda entry: entry.name)


class Impatient(HttpClient):
    """Does not wait for minutes."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        deadlines: Deadlines = SOON,
        max_body: int = 1 << 20,
    ) -> Answer:
        del deadlines
        return await super().request(
            method, url, headers=headers, body=body, deadlines=SOON, max_body=max_body
        )


def sender_at(entry: type[Provider], url: str, http: HttpClient) -> Mailbox | Relay:
    provider = Registry(settings_at(entry, url), http, providers=ENTRIES).provider(entry.name)
    assert isinstance(provider, Mailbox | Relay)
    return provider


def prepare(sender: Mailbox | Relay) -> Prepared:
    return sender.prepare(MESSAGE) if isinstance(sender, Relay) else sender.prepare(MESSAGE, thread_id=None)


async def attempt(sender: Mailbox | Relay, prepared: Prepared) -> Receipt | ProviderError:
    """One send. An exception that is no ProviderError is not caught: it fails the test."""
    try:
        if isinstance(sender, Relay):
            return await sender.send(prepared, key="the-send-id")
        return await sender.send(prepared, access_token=TOKEN)
    except ProviderError as caught:
        error = caught
    texts = "".join([*format_exception(error), repr(error), repr(error.details)])
    assert "canary" not in texts
    assert error.message.endswith(".")
    return error


HOSTILE: tuple[Any, ...] = (
    {},
    b"",
    b"<html>canary-access-token</html>",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    {"error": "canary-access-token"},
    {"error": {"errors": "canary", "details": 7, "status": ["canary"], "message": {"canary": 1}, "code": []}},
    {"error": {"code": "x" * 100_000, "innerError": {"innerError": {"innerError": []}}}},
    {"name": ["canary"], "message": None, "statusCode": "canary"},
)

REFUSALS = (Rejected, TryLater, ReconnectNeeded, Misconfigured, NeverSent)


def expected(entry: type[Provider], status: int) -> tuple[type[ProviderError], ...]:
    """What a status may mean when nothing in the body tells more."""
    if status in (408, 499) or not 400 <= status < 500:
        return (OutcomeUnknown,)
    if status == 401:
        return (Misconfigured,) if issubclass(entry, Relay) else (AccessTokenRejected,)
    return (TryLater,) if status in (425, 429) else REFUSALS


@every_sender
async def test_every_status_is_a_receipt_or_a_decision(*, entry: type[Provider]) -> None:
    http = HttpClient()
    accepted = set()
    async with Answering(lambda _: Says()) as server:
        sender = sender_at(entry, server.url, http)
        prepared = prepare(sender)
        for status in range(200, 600):
            says = Says(status, HOSTILE[status % len(HOSTILE)])
            server.answer = lambda _, says=says: says  # type: ignore[misc]
            outcome = await attempt(sender, prepared)
            if isinstance(outcome, Receipt):
                accepted.add(status)
            else:
                assert type(outcome) in expected(entry, status), (status, outcome)
                assert outcome.status == status
        await http.close()
        assert len(server.asked) == 400

    assert len(accepted) == 1
    assert accepted <= {200, 201, 202}


@every_sender
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_no_body_brings_anything_but_a_decision(*, entry: type[Provider], body: Any) -> None:
    http = HttpClient()
    async with Answering(lambda _: Says()) as server:
        sender = sender_at(entry, server.url, http)
        for status in (200, 201, 202, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503):
            says = Says(
                status, body, {"Retry-After": "canary", "request-id": "canary/é".encode().decode("latin-1")}
            )
            server.answer = lambda _, says=says: says  # type: ignore[misc]
            outcome = await attempt(sender, prepare(sender))
            assert isinstance(outcome, Receipt) or type(outcome) in expected(entry, status)
        await http.close()


BREAKS = [fault for fault in FAULTS if not fault.tls_only and fault.host == "127.0.0.1"]


@every_sender
@pytest.mark.parametrize("fault", BREAKS, ids=str)
async def test_a_broken_connection_is_never_called_more_certain_than_it_is(
    *, entry: type[Provider], fault: Fault
) -> None:
    http = Impatient()
    async with FaultyServer.of(fault, tls=False) as server:
        if not fault.listening:
            await server.stop_listening()
        sender = sender_at(entry, f"http://127.0.0.1:{server.port}", http)
        outcome = await attempt(sender, prepare(sender))
        await http.close()
        await server.settle()

    if isinstance(outcome, NeverSent):
        assert min(fault.small) < Phase.BODY_SENT
        assert server.whole == 0
    elif isinstance(outcome, OutcomeUnknown):
        assert max(fault.small) >= Phase.BODY_SENT
    elif isinstance(outcome, Receipt):
        assert Phase.STATUS_RECEIVED in fault.small
        assert server.whole == 1
    else:
        assert Phase.STATUS_RECEIVED in fault.small
        assert type(outcome) in REFUSALS


@every_sender
async def test_a_message_is_prepared_to_the_byte_the_same_every_time(*, entry: type[Provider]) -> None:
    http = HttpClient()
    sender = sender_at(entry, "http://127.0.0.1:1", http)

    assert prepare(sender) == prepare(sender_at(entry, "http://127.0.0.1:1", HttpClient()))
    assert "canary" not in f"{prepare(sender)!r} {prepare(sender).headers}"
    await http.close()


@every_sender
async def test_what_the_check_lets_through_can_be_prepared(*, entry: type[Provider]) -> None:
    http = HttpClient()
    sender = sender_at(entry, "http://127.0.0.1:1", http)
    for size in (0, 1_000, 2_000_000, 5_000_000):
        file = Attachment("offer.pdf", "application/pdf", bytes(size))
        message = replace(MESSAGE, attachments=(file,))
        checked = (
            sender.check(message) if isinstance(sender, Relay) else sender.check(message, thread_id=None)
        )
        if not checked:
            prepared = (
                sender.prepare(message)
                if isinstance(sender, Relay)
                else sender.prepare(message, thread_id=None)
            )
            assert len(prepared.body) > size
    await http.close()


@every_sender
async def test_its_limits_are_told(*, entry: type[Provider]) -> None:
    http = HttpClient()
    registry = Registry({}, http, providers=ENTRIES)
    sender = sender_at(entry, "http://127.0.0.1:1", http)
    pace = registry.pace(entry.name, "alice@acme.example" if isinstance(sender, Mailbox) else None)

    assert entry.name in registry.senders()
    assert pace.concurrency >= 1
    assert 0 < pace.rate.interval.total_seconds() <= 10
    assert sender.limits.recipients >= 1
    await http.close()


async def test_a_relay_may_be_repeated_for_less_than_its_keys_live() -> None:
    http = HttpClient()
    windows = Registry({}, http, providers=ENTRIES).repeatable()

    assert windows.keys() == {entry.name for entry in ENTRIES if issubclass(entry, Relay)}
    assert all(0 < window.total_seconds() < 24 * 3600 for window in windows.values())
    await http.close()
