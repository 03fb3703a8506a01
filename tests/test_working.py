"""A worker alone holds in memory only what sending takes."""

import subprocess
import sys
from importlib.util import find_spec

NOT_FOR_SENDING = {"alembic", "click", "fastapi", "jinja2", "psycopg", "pydantic", "starlette", "uvicorn"}
LOOK = "import sys, replysequence.working; print(*sys.modules)"


def test_a_worker_imports_neither_web_nor_command_line_nor_migrations() -> None:
    looked = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    imported = set(looked.stdout.split())

    assert "sqlalchemy" in imported
    assert NOT_FOR_SENDING & imported == set()
    assert {
        name for name in imported if name.startswith(("replysequence.web", "replysequence.sandbox"))
    } == set()


def test_what_a_worker_does_without_is_installed() -> None:
    assert [name for name in NOT_FOR_SENDING if find_spec(name) is None] == []
