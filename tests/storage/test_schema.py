"""Whether a database has the present schema, asked without Alembic: the two must agree."""

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from replysequence.domain.errors import Conflict
from replysequence.storage.database import Database
from replysequence.storage.migrations import alembic_config
from replysequence.storage.schema import pending, revisions


def set_revision(database_url: str, revision: str) -> None:
    database = Database.open(database_url)
    database.run(
        lambda connection: connection.execute(
            text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision}
        )
    )
    database.close()


def test_the_revisions_are_those_of_alembic_in_its_order() -> None:
    scripts = ScriptDirectory.from_config(alembic_config(None))

    assert revisions() == [script.revision for script in scripts.walk_revisions()][::-1]


def test_a_database_of_an_earlier_version_is_pending(database_url: str) -> None:
    assert not pending(database_url)
    set_revision(database_url, revisions()[0])

    assert pending(database_url)


def test_a_database_of_a_newer_version_is_refused_with_advice(database_url: str) -> None:
    set_revision(database_url, "9999")

    with pytest.raises(Conflict, match="newer") as refused:
        pending(database_url)

    assert refused.value.code == "database_newer"
