"""What `replysequence check` says, of settings that only a test would have."""

import asyncio
from pathlib import Path

import pytest

from replysequence.cli import checks


def test_the_redirect_uri_to_register_is_printed_before_there_is_a_client_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"REPLYSEQUENCE_DATA_DIR": str(tmp_path), "PUBLIC_URL": "https://mail.example.com"}

    asyncio.run(checks.run(environ))

    printed = capsys.readouterr().out
    assert "Gmail: not configured (GOOGLE_CLIENT_ID, GOOGLE_CLIENT_SECRET)" in printed
    for provider in ("gmail", "outlook"):
        assert f"https://mail.example.com/api/auth/{provider}/callback" in printed
