"""Which sends are due to be looked for, found through an index; and which messages are known as other sends."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

from replysequence.domain.looking import LOOKED_FOR_WITHIN, LOOKS_AFTER, looks_due, next_look
from replysequence.storage import looks
from replysequence.storage.database import Database
from replysequence.storage.looks import Cost

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SCOPES = {"gmail": "https://www.googleapis.com/auth/gmail.metadata", "outlook": "Mail.Read"}


def cost_of(via: str, email: str) -> Cost:
    raise AssertionError(f"nothing is due, {via} of {email} neither")


def test_a_look_is_due_at_each_planned_moment_and_none_after_the_last() -> None:
    for over, after in enumerate(LOOKS_AFTER):
        assert looks_due(unknown_since=AT, at=AT + after - SECOND) == over
        assert looks_due(unknown_since=AT, at=AT + after) == over + 1
        assert next_look(unknown_since=AT, looks=over, at=AT) == AT + after
    assert next_look(unknown_since=AT, looks=len(LOOKS_AFTER), at=AT) is None
    late = AT + LOOKED_FOR_WITHIN
    assert next_look(unknown_since=AT, looks=0, at=late - SECOND) == late - SECOND
    assert next_look(unknown_since=AT, looks=0, at=late) is None
    assert looks_due(unknown_since=AT, at=AT + LOOKED_FOR_WITHIN) == len(LOOKS_AFTER)


def test_what_is_due_is_found_through_the_index_of_unknown_sends(
    migrated_sqlite_file: Path, tmp_path: Path
) -> None:
    shutil.copyfile(migrated_sqlite_file, tmp_path / "plans.db")
    database = Database.open(f"sqlite:///{tmp_path}/plans.db")
    asked: list[tuple[str, Any]] = []

    @event.listens_for(database._engines[0], "before_cursor_execute")
    def note(_connection: object, _cursor: object, sql: str, parameters: object, *_: object) -> None:
        if sql.startswith("SELECT"):
            asked.append((sql, parameters))

    def explain(connection: Connection) -> list[str]:
        assert looks.claim(connection, scopes=SCOPES, cost_of=cost_of, limit=20, at=AT) == []
        [(sql, parameters)] = asked
        return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]

    plan = database.run(explain)
    database.close()
    assert any("ix_sends_unknown" in step for step in plan), plan
    assert all(step.startswith("SEARCH") for step in plan), plan


def test_without_a_provider_that_can_be_looked_into_nothing_is_asked(database: Database) -> None:
    assert database.run(looks.claim, scopes={}, cost_of=cost_of, limit=20, at=AT) == []
