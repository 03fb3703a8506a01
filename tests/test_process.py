"""How programs end: with a sentence for people, and a status for machines."""

import pytest

from replysequence import process
from replysequence.domain.errors import DatabaseUnavailable, InvalidInput, VaultKeyMissing
from replysequence.settings import ConfigError


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigError(["PUBLIC_URL is not a URL"]), 78),
        (VaultKeyMissing("The key is lost."), 78),
        (InvalidInput("DATABASE_URL", "This is not a database address."), 78),
        (InvalidInput("email", "This is not an address."), 1),
        (DatabaseUnavailable("The server is down.", may_have_committed=False), 1),
    ],
)
def test_what_is_wrong_ends_the_program_with_a_sentence(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        process.or_exit(fail)

    assert ended.value.code == status
    assert str(error).splitlines()[-1].split(": ")[-1] in capsys.readouterr().err


def test_a_mistake_of_ours_is_not_hidden_behind_a_sentence() -> None:
    def fail() -> None:
        raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        process.or_exit(fail)


def test_a_program_that_ends_well_has_nothing_to_complain_about() -> None:
    assert process.complaint_of("keyword") is None  # a module that does nothing


def test_a_program_that_fails_says_why() -> None:
    complaint = process.complaint_of("replysequence.working", PUBLIC_URL="nowhere")

    assert complaint is not None
    assert "PUBLIC_URL must be a full URL" in complaint
