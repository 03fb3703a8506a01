"""Which way a draft leaves. A relay is used only by who has connected nothing; nothing else ever falls
through to it.
"""

from collections.abc import Sequence

from replysequence.domain.connection import Connection, ConnectionStatus
from replysequence.domain.errors import Conflict, InvalidInput
from replysequence.domain.message import Address
from replysequence.domain.send import Route


def choose_route(
    connections: Sequence[Connection],
    *,
    wanted_connection_id: str | None,
    person: Address,
    relay: str | None,
    relay_sender: Address | None,
) -> Route:
    """Choose the route of a draft from its owner's ``connections``.

    ``wanted_connection_id`` is the From that the draft names, if any; ``person`` the owner's own name and
    address; ``relay`` and ``relay_sender`` the configured relay and its verified address, or none.
    A connection that needs reconnecting keeps its sends: they wait, they do not change their sender.
    Raises :class:`InvalidInput` when the wanted connection is not there, :class:`Conflict` when there is no
    way to send.
    """
    present = [c for c in connections if c.status is not ConnectionStatus.DISCONNECTING]
    if wanted_connection_id is not None:
        chosen = next((c for c in present if c.id == wanted_connection_id), None)
        if chosen is None:
            raise InvalidInput(
                "connection_id",
                "The e-mail account chosen for this draft is no longer connected. Choose another one.",
            )
        return _through(chosen)
    if present:
        return _through(next((c for c in present if c.is_default), present[0]))
    if relay is None or relay_sender is None:
        raise Conflict(
            "No e-mail account is connected, and no relay is set up. "
            "Connect an account under Settings → Integrations.",
            code="no_way_to_send",
        )
    return Route(
        via=relay,
        connection_id=None,
        sender=Address(name=person.name or relay_sender.name, email=relay_sender.email),
        reply_to=person,
    )


def _through(connection: Connection) -> Route:
    return Route(
        via=connection.provider,
        connection_id=connection.id,
        sender=Address(name=connection.display_name, email=connection.email),
    )
