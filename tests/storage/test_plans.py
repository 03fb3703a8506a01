"""What people look at often is found through an index, in its order: it costs the same in a large table."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event

from replysequence.storage import (
    alerts,
    connection_tokens,
    deciding,
    drafts,
    events,
    reports,
    sends,
    sessions,
)
from replysequence.storage.database import Database
from replysequence.storage.ids import new_id

AT = datetime(2026, 11, 22, tzinfo=UTC)
ID = new_id()

QUESTIONS: dict[str, Callable[[Connection], object]] = {
    "drafts": partial(drafts.list_for_user, user_id=ID),
    "the next page of drafts": partial(drafts.list_for_user, user_id=ID, before=(AT, ID)),
    "events": partial(events.list_for_user, user_id=ID),
    "the next page of events": partial(events.list_for_user, user_id=ID, before=7),
    "the events of a send": partial(events.of_send, user_id=ID, send_id=ID),
    "the events of a draft": partial(events.list_for_user, user_id=ID, draft_id=ID),
    "a session": partial(sessions.find, token_hash="x"),
    "what waits for a word, by mailbox": partial(deciding.counts, user_id=ID),
    "what waits for a mailbox": partial(sends.held, user_id=ID, connection_id=ID, limit=100),
    "from whom it waits": partial(deciding.sender, user_id=ID, connection_id=ID),
    "reports": partial(reports.page, user_id=ID),
    "the next page of reports": partial(reports.page, user_id=ID, before=(AT, ID, ID)),
    "the reports of a send": partial(reports.of_send, user_id=ID, send_id=ID),
    "mails that are due": alerts.something_due,
    "tokens": partial(connection_tokens.sealed_tokens, connection_id=ID),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_an_index_answers_and_nothing_is_sorted(
    name: str, migrated_sqlite_file: Path, tmp_path: Path
) -> None:
    shutil.copyfile(migrated_sqlite_file, tmp_path / "plans.db")
    database = Database.open(f"sqlite:///{tmp_path}/plans.db")
    asked: list[tuple[str, Any]] = []

    @event.listens_for(database._engines[0], "before_cursor_execute")
    def note(_connection: object, _cursor: object, sql: str, parameters: object, *_: object) -> None:
        if sql.startswith("SELECT"):
            asked.append((sql, parameters))

    def explain(connection: Connection) -> list[str]:
        QUESTIONS[name](connection)
        [(sql, parameters)] = asked
        return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)]

    plan = database.run(explain)
    database.close()
    assert plan
    assert all(step.startswith("SEARCH") and " INDEX " in step for step in plan), plan
