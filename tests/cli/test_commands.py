"""The command line, run as an operator runs it: in a process of its own."""

import base64
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "replysequence")


def environment(database_url: str, folder: Path, **more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE_", "RESEND_"))}
    return {**own, "DATABASE_URL": database_url, "REPLYSEQUENCE_DATA_DIR": str(folder), **more}


def run(*arguments: str, env: Mapping[str, str], typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (*COMMAND, *arguments), env=env, input=typed, capture_output=True, text=True, timeout=60, check=False
    )


def a_free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@contextmanager
def running(*arguments: str, env: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        (*COMMAND, *arguments), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def read_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The first match in what the process prints; fails when it ends before."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if found := re.search(pattern, printed):
            return found
    raise AssertionError(f"it ended with {process.wait()} after printing: {printed}")


def status(url: str) -> int:
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                code: int = answer.status
                return code
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")


def test_a_first_start_prints_a_link_that_makes_the_first_account(
    empty_database_url: str, tmp_path: Path
) -> None:
    port = a_free_port()
    env = environment(empty_database_url, tmp_path, PUBLIC_URL=f"http://localhost:{port}")

    with running("serve", "--port", str(port), env=env) as process:
        link = read_until(process, rf"http://localhost:{port}/join/\S+")[0]
        assert status(link) == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0

    assert (tmp_path / "encryption.keys").stat().st_mode & 0o777 == 0o600


def test_the_link_is_not_offered_once_somebody_has_an_account(database_url: str, tmp_path: Path) -> None:
    port = a_free_port()
    env = environment(database_url, tmp_path, PUBLIC_URL=f"http://localhost:{port}")
    added = run(
        "users", "add", "alice@example.com", "--name", "Alice", "--password", "a long password", env=env
    )
    assert added.returncode == 0, added.stderr

    with running("serve", "--port", str(port), "--no-worker", env=env) as process:
        read_until(process, "serves")
        assert status(f"http://localhost:{port}/healthz") == 200
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=30)

    assert "/join/" not in printed


def test_a_worker_stops_politely(database_url: str, tmp_path: Path) -> None:
    with running("worker", env=environment(database_url, tmp_path, LOG_LEVEL="DEBUG")) as process:
        assert process.stderr is not None
        while "worker.started" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=30) == 0


def test_a_shell_can_read_the_settings_that_the_sandbox_prints(tmp_path: Path) -> None:
    port = a_free_port()
    with running("sandbox", "--port", str(port), env=dict(os.environ)) as process:
        printed = read_until(process, r"(?s).*export RESEND_API_URL=\S+\n")[0]
    read = subprocess.run(
        ["sh", "-ec", f"{printed}\necho $RESEND_FROM"], capture_output=True, text=True, check=True
    )

    assert read.stdout == "ReplySequence <follow-up@replysequence.example>\n"


def test_bad_settings_stop_the_start_with_every_problem_named(tmp_path: Path) -> None:
    env = environment("mysql://nowhere", tmp_path, PUBLIC_URL="http://mail.example.com", LOG_LEVEL="LOUD")

    refused = run("serve", env=env)

    assert refused.returncode == 78
    for name in ("DATABASE_URL", "PUBLIC_URL", "LOG_LEVEL"):
        assert name in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_lost_key_stops_the_start_and_makes_no_new_one(database_url: str, tmp_path: Path) -> None:
    first = base64.b64encode(secrets.token_bytes(32)).decode()
    other = base64.b64encode(secrets.token_bytes(32)).decode()
    people = ("users", "add", "alice@example.com", "--name", "Alice", "--password", "a long password")
    assert (
        run(*people, env=environment(database_url, tmp_path, ENCRYPTION_KEYS=f"k1:{first}")).returncode == 0
    )

    wrong = run("worker", env=environment(database_url, tmp_path, ENCRYPTION_KEYS=f"k1:{other}"))

    assert wrong.returncode == 78
    assert "k1" in wrong.stderr
    assert first not in wrong.stderr
    assert other not in wrong.stderr


def test_keys_are_rotated_and_the_old_one_is_then_not_needed(database_url: str, tmp_path: Path) -> None:
    old, new = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    migrated = run("migrate", env=environment(database_url, tmp_path, ENCRYPTION_KEYS=f"old:{old}"))
    assert migrated.returncode == 0

    rotated = run(
        "keys", "rotate", env=environment(database_url, tmp_path, ENCRYPTION_KEYS=f"new:{new},old:{old}")
    )

    assert rotated.returncode == 0, rotated.stderr
    assert "new" in rotated.stdout
    assert old not in rotated.stdout + rotated.stderr


def test_check_names_what_is_not_there_and_what_to_do(empty_database_url: str, tmp_path: Path) -> None:
    before = run("check", env=environment(empty_database_url, tmp_path))
    assert before.returncode == 1
    assert "replysequence migrate" in before.stdout

    assert run("migrate", env=environment(empty_database_url, tmp_path)).returncode == 0
    after = run("check", env=environment(empty_database_url, tmp_path))

    assert after.returncode == 0, after.stdout
    assert "GOOGLE_CLIENT_ID" in after.stdout
    assert not (tmp_path / "encryption.keys").exists()


@pytest.mark.parametrize("command", ["serve", "migrate", "check"])
def test_a_database_server_that_is_not_there_is_said_in_a_sentence(command: str, tmp_path: Path) -> None:
    refused = run(command, env=environment("postgresql://nobody@127.0.0.1:1/none", tmp_path))

    assert refused.returncode == 1
    assert "The database cannot be used" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_data_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")

    refused = run("serve", env=environment("", tmp_path / "data"))

    assert refused.returncode == 1
    assert "REPLYSEQUENCE_DATA_DIR" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_check_commits_nobody_to_a_key(database_url: str, tmp_path: Path) -> None:
    mistyped, right = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2))
    looked = run("check", env=environment(database_url, tmp_path, ENCRYPTION_KEYS=f"k1:{mistyped}"))
    assert "opens with the keys k1" in looked.stdout

    alice = ("users", "add", "alice@example.com", "--name", "Alice", "--password", "a long password")
    started = run(*alice, env=environment(database_url, tmp_path, ENCRYPTION_KEYS=f"k1:{right}"))

    assert started.returncode == 0, started.stderr


def test_a_port_that_is_taken_is_said_in_a_sentence(database_url: str, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        refused = run("serve", "--port", str(port), env=environment(database_url, tmp_path))

    assert refused.returncode == 1
    assert f"127.0.0.1:{port}" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.parametrize(
    "command", ["serve", "worker", "demo", "sandbox", "migrate", "users", "keys", "check"]
)
def test_every_command_explains_itself(command: str) -> None:
    explained = run(command, "--help", env=dict(os.environ))

    assert explained.returncode == 0
    assert len(explained.stdout.splitlines()) > 4
