"""Mistakes that somebody could make in the source, each with the tests that must notice it.

The first twelve break what the promise rests on, one thing each; those after them are the usual ways in which other
systems double or lose a mail. `PYTHONPATH=tests python -m mutants` makes each mistake in a copy of the source.
"""

from dataclasses import dataclass

DISPATCHING = "tests/services/test_dispatching.py"
CLAIMS = "tests/storage/test_claims.py"
CONTRACT = "tests/contract/test_sending.py"
CONNECTING = "tests/services/test_connecting.py"
RACES = "tests/crash/test_races_of_processes.py"


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mistake: in `file` of the package, `old` becomes `new` wherever it stands. `killers` are pytest node ids
    without parameters; each must notice it alone.
    """

    name: str
    breaks: str
    """What would become of the promise, in words that complete "With it, …"."""
    file: str
    old: str
    new: str
    killers: tuple[str, ...]

    def applied(self, source: str) -> str:
        """`source` with the mistake in it. Raises ValueError when there is nothing to change."""
        if self.old not in source:
            raise ValueError(f"{self.file} has no {self.old!r} any more")
        return source.replace(self.old, self.new)


MUTANTS = (
    Mutant(
        name="retry on read timeout",
        breaks="a message that the provider took without answering in time is sent again",
        file="providers/answers.py",
        old="    if whole:\n",
        new='    if whole and "timed out" not in reason:\n',
        killers=(f"{CONTRACT}::test_a_broken_connection_is_never_called_more_certain_than_it_is",),
    ),
    Mutant(
        name="sending not committed first",
        breaks="bytes leave before the disk knows of it, and a crash sends them twice",
        file="services/dispatching.py",
        old="await self._beginnings.write(claimed)",
        new="self._beginning = asyncio.create_task(self._beginnings.write(claimed))",
        killers=(DISPATCHING,),
    ),
    Mutant(
        name="no attempt fence",
        breaks="a late verdict of an older attempt ends the present one",
        file="storage/endings.py",
        old="_S.attempt == given.c.attempt",
        new="_S.attempt >= given.c.attempt",
        killers=(f"{CLAIMS}::test_a_late_verdict_of_an_older_attempt_changes_nothing",),
    ),
    Mutant(
        name="absent means resend",
        breaks="what does not lie in the Sent folder yet is sent again",
        file="services/looking_up.py",
        old="    if found is None:\n        return looks.note(",
        new=(
            "    if found is None and problem is None:\n"
            "        transaction.exec_driver_sql(\n"
            "            f\"UPDATE sends SET state = 'queued', next_at = updated_at WHERE id = '{look.send_id}'\"\n"
            "        )\n"
            "        return True\n"
            "    if found is None:\n        return looks.note("
        ),
        killers=(
            "tests/services/test_looking_up.py::test_what_is_not_found_is_never_settled_and_never_sent_again",
        ),
    ),
    Mutant(
        name="AAD off",
        breaks="a stored token opens in another person's row",
        file="storage/vault.py",
        old='    return b"".join([_LENGTH.pack(len(part)) + part for part in parts])\n',
        new="    return parts[0]\n",
        killers=(
            "tests/storage/test_vault.py::test_a_text_opens_in_no_other_cell",
            "tests/storage/test_connection_tokens.py::test_tokens_in_another_row_do_not_open",
        ),
    ),
    Mutant(
        name="state check off",
        breaks="an OAuth callback is taken whatever its state says",
        file="storage/oauth_attempts.py",
        old="            _O.state_hash == state_hash,\n",
        new="",
        killers=(
            "tests/storage/test_oauth_attempts.py::test_an_attempt_is_of_one_person_one_browser_and_one_provider",
        ),
    ),
    Mutant(
        name="owner filter off",
        breaks="everybody reads everybody's sends",
        file="storage/sends.py",
        old='_GET = _LISTED.where(sends.c.user_id == bindparam("user_id"), sends.c.id == bindparam("send_id"))',
        new='_GET = _LISTED.where(sends.c.id == bindparam("send_id"))',
        killers=("tests/web/test_routes.py::test_what_alice_owns_is_not_there_for_bob_and_charlie",),
    ),
    Mutant(
        name="lease without swap",
        breaks="tokens that came too late replace newer ones",
        file="storage/connection_tokens.py",
        old="            _C.token_generation == seen.generation,\n",
        new="",
        killers=("tests/storage/test_connection_tokens.py::test_tokens_that_came_too_late_are_thrown_away",),
    ),
    Mutant(
        name="cleartext accepted",
        breaks="a token that somebody wrote into the database in the clear is used",
        file="storage/vault.py",
        old="        key_id, sealed = _parse(text)\n",
        new=(
            '        if not text.startswith(f"{FORMAT}."):\n'
            "            return Secret(text)\n"
            "        key_id, sealed = _parse(text)\n"
        ),
        killers=("tests/storage/test_vault.py::test_what_does_not_parse_is_an_error_and_never_cleartext",),
    ),
    Mutant(
        name="redaction off",
        breaks="a token shows itself in a log line",
        file="domain/secret.py",
        old="        return MASK\n",
        new="        return self._value\n",
        killers=("tests/domain/test_secret.py::test_no_text_form_shows_it",),
    ),
    Mutant(
        name="default without lock",
        breaks="two requests at once leave somebody without a default account, or fail",
        file="storage/connections.py",
        old="    users.lock(connection, user_id=user_id)\n",
        new="",
        killers=(f"{RACES}::test_there_is_one_default_account_whatever_eight_threads_do_to_them",),
    ),
    Mutant(
        name="build check off",
        breaks="a message whose bytes do not say what was written leaves all the same",
        file="domain/mime.py",
        old="    verify(raw, message, include_bcc=include_bcc)\n",
        new="",
        killers=("tests/domain/test_mime.py::test_a_base64_that_breaks_the_lines_otherwise_is_refused",),
    ),
    Mutant(
        name="state of another browser",
        breaks="an attacker's consent is finished in the victim's browser",
        file="storage/oauth_attempts.py",
        old="            _O.session_hash == session_hash,\n",
        new="",
        killers=(f"{CONNECTING}::test_another_browser_or_another_person_cannot_finish_what_alice_began",),
    ),
    Mutant(
        name="a 503 is retried",
        breaks="a message that was taken behind a 503 is sent again",
        file="providers/meanings.py",
        old="            OutcomeUnknown,\n",
        new="            TryLater,\n",
        killers=(f"{DISPATCHING}::test_what_may_have_been_accepted_is_unknown_and_never_repeated",),
    ),
    Mutant(
        name="a dead process's exchange is repeated",
        breaks="what was on the wire when its process died is sent again",
        file="storage/endings.py",
        old="    if window is not None and claimed.first_attempt_at is not None",
        new="    window = window or timedelta(hours=24)\n    if claimed.first_attempt_at is not None",
        killers=(f"{CLAIMS}::test_a_send_that_a_dead_process_had_on_the_wire_is_unknown",),
    ),
    Mutant(
        name="any process takes over",
        breaks="a living process is taken for dead, and what it has in hand is sent by another one too",
        file="services/dispatching.py",
        old="    if not incarnations.is_dead(transaction, incarnation=owner):\n        return {}\n",
        new="",
        killers=("tests/services/test_taking_over.py",),
    ),
    Mutant(
        name="broken account falls back",
        breaks="a send changes its sender because an account needs reconnecting",
        file="domain/fallback.py",
        old="if c.status is not ConnectionStatus.DISCONNECTING]",
        new="if c.status is ConnectionStatus.ACTIVE]",
        killers=("tests/domain/test_fallback.py",),
    ),
    Mutant(
        name="verdict dropped",
        breaks="a verdict that comes while the database is away is forgotten",
        file="services/dispatching.py",
        old="                pause = min(pause * 2, _LONGEST_RETRY)\n",
        new="                return\n",
        killers=(f"{DISPATCHING}::test_a_verdict_outlives_a_database_that_is_away",),
    ),
)

NAMED = 12
"""So many of them, from the first, are those that the suite must kill whatever becomes of the rest."""
