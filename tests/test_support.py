"""The ground that the other tests stand on."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from sqlalchemy.pool import NullPool

from support.network import NetworkRefused
from support.postgresql import PostgreSQL
from support.programs import ProgramMissing, find_program


def open_and_close(host: str, *, port: int) -> None:
    with socket.socket() as sock:
        sock.connect((host, port))


def test_another_machine_cannot_be_reached(no_network_but_loopback: list[str]) -> None:
    with pytest.raises(NetworkRefused, match=r"192\.0\.2\.1"):
        open_and_close("192.0.2.1", port=80)
    with pytest.raises(NetworkRefused, match=r"mail\.example\.com"):
        socket.getaddrinfo("mail.example.com", 443)

    assert len(no_network_but_loopback) == 2
    no_network_but_loopback.clear()


async def test_a_coroutine_cannot_reach_another_machine(no_network_but_loopback: list[str]) -> None:
    for host in ("192.0.2.1", "mail.example.com"):
        with pytest.raises(NetworkRefused):
            await asyncio.open_connection(host, 80)

    no_network_but_loopback.clear()


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        open_and_close("127.0.0.1", port=server.getsockname()[1])


async def test_a_coroutine_test_runs_in_a_loop() -> None:
    await asyncio.sleep(0)
    assert asyncio.get_running_loop().is_running()


def test_a_failing_coroutine_test_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import asyncio

        async def test_fails(tmp_path):
            await asyncio.sleep(0)
            assert tmp_path is None

        async def test_leaves_an_exception_behind():
            asyncio.get_running_loop().call_soon(int, "x")
            await asyncio.sleep(0.01)
        """
    )
    pytester.runpytest("-p", "support.coroutines").assert_outcomes(failed=2)


def test_a_swallowed_refusal_still_fails_its_test(
    pytester: pytest.Pytester, no_network_but_loopback: list[str]
) -> None:
    pytester.makepyfile(
        """
        import socket

        def test_swallows():
            try:
                socket.getaddrinfo("mail.example.com", 443)
            except Exception:
                pass
        """
    )
    pytester.runpytest("-p", "support.network").assert_outcomes(passed=1, errors=1)
    no_network_but_loopback.clear()


def test_an_empty_database_is_empty_and_ones_own(empty_database_url: str, tmp_path: Path) -> None:
    if empty_database_url.startswith("sqlite:///"):
        assert Path(empty_database_url.removeprefix("sqlite:///")).parent == tmp_path
        return
    with psycopg.connect(empty_database_url) as connection:
        tables = connection.execute("SELECT 1 FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert tables == []
        connection.execute("CREATE TABLE mine ()")


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_migrated_database_has_tables_and_is_ones_own(database_url: str, turn: str) -> None:
    with sqlalchemy.create_engine(database_url, poolclass=NullPool).begin() as connection:
        assert "sends" in sqlalchemy.inspect(connection).get_table_names()
        connection.execute(sqlalchemy.text("CREATE TABLE mine (id integer)"))


def test_postgresql_listens_on_loopback_only(postgresql: PostgreSQL) -> None:
    with psycopg.connect(postgresql.url("postgres")) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW timezone").fetchone() == ("Asia/Kolkata",)


def test_a_dropped_database_throws_out_who_is_connected(postgresql: PostgreSQL) -> None:
    with contextlib.closing(psycopg.connect(postgresql.create("short_lived"))) as connection:
        postgresql.drop("short_lived")
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


@pytest.mark.parametrize("name", ["POSTGRESQL_BIN", "CHROMIUM"])
def test_a_missing_program_is_told_with_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"REPLYSEQUENCE_TEST_{name}", os.devnull)

    with pytest.raises(ProgramMissing, match="apt-get install"):
        find_program(name.removesuffix("_BIN").lower())
