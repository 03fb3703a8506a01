"""The environment is read once, and everything that is wrong with it is told at once."""

from base64 import b64encode
from pathlib import Path

import pytest

from replysequence import settings
from replysequence.settings import ConfigError

KEY = f"k1:{b64encode(bytes(range(32))).decode()}"


def problems(**environ: str) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        settings.read(environ)
    return refused.value.problems


def test_without_any_variable_everything_has_its_default() -> None:
    read = settings.read({})
    assert read.public_url == "http://localhost:8000"
    assert read.database_url.startswith("sqlite:////")
    assert read.database_url.endswith("data/replysequence.db")
    assert read.key_file == Path("data/encryption.keys")
    assert not read.secure_cookies
    assert read.encryption_keys is None


def test_every_problem_is_reported_together() -> None:
    told = problems(
        PUBLIC_URL="http://mail.example.com",
        DATABASE_URL="mysql://host/name",
        ENCRYPTION_KEYS="k1:c2hvcnQ=",
        LOG_LEVEL="LOUD",
        RESEND_FROM="nobody",
        GMAIL_API_URL="gmail",
        GOOGLE_CLIENT_SECRET="a",
        GOOGLE_CLIENT_SECRET_FILE="b",
        RESEND_API_KEY_FILE="/no/such/file",
    )
    named = {problem.split()[0].rstrip(":") for problem in told}
    assert named == {
        "PUBLIC_URL",
        "DATABASE_URL",
        "ENCRYPTION_KEYS",
        "LOG_LEVEL",
        "RESEND_FROM",
        "GMAIL_API_URL",
        "GOOGLE_CLIENT_SECRET",
        "RESEND_API_KEY_FILE",
    }
    assert all(problem in str(ConfigError(told)) for problem in told)


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("  from-a-file\n")
    read = settings.read({"GOOGLE_CLIENT_SECRET_FILE": str(file), "ENCRYPTION_KEYS": KEY})
    assert read.providers["GOOGLE_CLIENT_SECRET"] == "from-a-file"
    assert read.encryption_keys is not None


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.1", "http://[::1]:9", "https://a.example/"]
)
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    read = settings.read({"PUBLIC_URL": url})
    assert read.public_url == url.rstrip("/")
    assert read.secure_cookies == url.startswith("https")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1",
        "http://localhost.example.com",
        "ftp://localhost",
        "https://",
        "https://user:password@mail.example",
        "https://mail.example/?a=b",
        "https://mail.example/followups",
        "https://mail.example:nonsense",
        "//mail.example",
        "https://[::1",
    ],
)
def test_an_address_that_cannot_be_used_is_refused(url: str) -> None:
    (problem,) = problems(PUBLIC_URL=url)
    assert problem.startswith("PUBLIC_URL ")


@pytest.mark.parametrize(
    "environ",
    [
        {"ENCRYPTION_KEYS": "k1:Y2FuYXJ5LXNlY3JldA=="},
        {"DATABASE_URL": "mysql://user:canary-secret@host/name"},
        {"PUBLIC_URL": "https://user:canary-secret@mail.example"},
    ],
)
def test_no_problem_shows_the_value(environ: dict[str, str]) -> None:
    told = " ".join(problems(**environ))
    assert "canary" not in told
    assert "Y2FuYXJ5" not in told


def test_the_text_form_shows_no_secret() -> None:
    read = settings.read(
        {
            "ENCRYPTION_KEYS": KEY,
            "DATABASE_URL": "postgresql://user:canary@localhost/name",
            "RESEND_API_KEY": "canary",
        }
    )
    assert "canary" not in repr(read)
    assert KEY not in repr(read)


def test_every_variable_is_there_once_and_says_what_it_is_for() -> None:
    variables = settings.all_variables()
    names = [variable.name for variable in variables]
    assert len(names) == len(set(names))
    assert all(variable.meaning.endswith(".") for variable in variables)
