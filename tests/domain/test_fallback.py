"""A relay is for who has connected nothing, and for nobody else."""

from datetime import UTC, datetime

import pytest

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import Conflict, InvalidInput
from replysequence.domain.fallback import choose_route
from replysequence.domain.message import Address
from replysequence.domain.send import Route

ALICE = Address("Alice Archer", "alice@example.com")
RELAY = Address("ReplySequence", "follow-up@relay.example")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def a_connection(
    name: str, *, status: ConnectionStatus = ConnectionStatus.ACTIVE, is_default: bool = False
) -> Connection:
    return Connection(
        id=name,
        user_id="alice",
        provider="a-mailbox",
        issuer="https://issuer.example",
        subject=name,
        email=f"{name}@example.com",
        display_name="Alice",
        scopes=frozenset(),
        status=status,
        status_reason=None,
        problem=None,
        is_default=is_default,
        connected_at=NOW,
        access_token_expires_at=None,
        refresh_token_expires_at=None,
        token_generation=1,
    )


def route(*connections: Connection, wanted: str | None = None, relay: bool = True) -> Route:
    return choose_route(
        connections,
        wanted_connection_id=wanted,
        person=ALICE,
        relay="a-relay" if relay else None,
        relay_sender=RELAY if relay else None,
    )


def test_who_has_connected_nothing_is_relayed_under_their_name_with_replies_to_them() -> None:
    chosen = route()

    assert chosen == Route("a-relay", None, Address("Alice Archer", RELAY.email), reply_to=ALICE)
    assert chosen.id == "a-relay"


def test_without_a_relay_there_is_no_way_and_the_person_is_told_what_to_do() -> None:
    with pytest.raises(Conflict, match="Connect an account") as refused:
        route(relay=False)

    assert refused.value.code == "no_way_to_send"


def test_the_default_is_taken_when_the_draft_names_no_account() -> None:
    chosen = route(a_connection("first"), a_connection("second", is_default=True))

    assert (chosen.connection_id, chosen.sender.email, chosen.reply_to) == (
        "second",
        "second@example.com",
        None,
    )


def test_the_account_that_the_draft_names_is_taken_before_the_default() -> None:
    assert route(a_connection("first"), a_connection("second", is_default=True), wanted="first").id == "first"


def test_a_default_that_needs_reconnecting_keeps_its_sends() -> None:
    broken = a_connection("broken", status=ConnectionStatus.NEEDS_RECONNECT, is_default=True)

    assert route(broken, a_connection("well")).connection_id == "broken"


def test_an_account_that_needs_reconnecting_never_falls_through_to_the_relay() -> None:
    assert route(a_connection("broken", status=ConnectionStatus.NEEDS_RECONNECT)).connection_id == "broken"


def test_an_account_that_is_being_taken_down_does_not_count() -> None:
    leaving = a_connection("leaving", status=ConnectionStatus.DISCONNECTING)

    assert route(leaving).via == "a-relay"
    with pytest.raises(InvalidInput, match="no longer connected") as refused:
        route(leaving, wanted="leaving")
    assert refused.value.field == "connection_id"
