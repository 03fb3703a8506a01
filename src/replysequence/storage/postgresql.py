"""PostgreSQL: how we connect."""

from sqlalchemy import URL, Engine, create_engine

WRITERS = 8
READERS = 2

_PARAMETERS = {
    "application_name": "replysequence",
    "connect_timeout": "10",
    # A server that vanished without a word is noticed within half a minute, not after hours (libpq, milliseconds).
    "keepalives_idle": "30",
    "tcp_user_timeout": "30000",
}


def postgresql_engine(url: URL) -> Engine:
    """An engine with a connection for each thread, in READ COMMITTED. What ``url`` says itself is kept.

    For those that read: ``.execution_options(isolation_level="AUTOCOMMIT")``; in READ COMMITTED every statement sees a
    state of its own anyway, so BEGIN and COMMIT would only be two more round trips.
    """
    missing = {name: value for name, value in _PARAMETERS.items() if name not in url.query}
    return create_engine(
        url.update_query_dict(missing),
        pool_size=WRITERS + READERS,
        max_overflow=0,
        hide_parameters=True,  # errors end up in logs
        isolation_level="READ COMMITTED",
    )
