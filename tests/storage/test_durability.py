"""What a transaction returned from is there after the process was killed."""

import signal
import subprocess
import sys
from itertools import islice

import pytest
from sqlalchemy import Connection, text

from replysequence.storage.database import Database

WRITER = """
import asyncio, sys
from sqlalchemy import text
from replysequence.storage.database import Database

def put(connection, number):
    connection.execute(text("INSERT INTO notes (number) VALUES (:number)"), {"number": number})
    connection.execute(text("INSERT INTO copies (number) VALUES (:number)"), {"number": number})

async def write(database, numbers):
    for number in numbers:
        await database.transaction(put, number)
        print(number, flush=True)

async def main():
    database = Database.open(sys.argv[1])
    await asyncio.gather(*(write(database, range(start, 10**9, 20)) for start in range(20)))

asyncio.run(main())
"""


def make_tables(connection: Connection) -> None:
    for table in ("notes", "copies"):
        connection.execute(text(f"CREATE TABLE {table} (number integer)"))


def numbers(connection: Connection) -> dict[str, set[int]]:
    """Both tables in one statement: one state of the database, even if a last commit is still on its way."""
    both = "SELECT 'notes', number FROM notes UNION ALL SELECT 'copies', number FROM copies"
    found: dict[str, set[int]] = {"notes": set(), "copies": set()}
    for table, number in connection.execute(text(both)):
        found[table].add(number)
    return found


@pytest.mark.parametrize("lines", [1, 37, 400])
def test_nothing_that_was_confirmed_is_lost_and_nothing_is_there_by_half(
    empty_database_url: str, lines: int
) -> None:
    database = Database.open(empty_database_url)
    database.run(make_tables)
    database.close()
    command = [sys.executable, "-c", WRITER, empty_database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        confirmed = [int(line) for line in islice(process.stdout, lines)]
        process.send_signal(signal.SIGKILL)
        # A line that was cut off in the middle confirms nothing.
        confirmed += [int(line) for line in process.stdout if line.endswith("\n")]
    again = Database.open(empty_database_url)
    found = again.run(numbers)
    again.close()
    assert len(confirmed) >= lines
    assert set(confirmed) <= found["notes"]
    assert found["notes"] == found["copies"]
    assert len(found["notes"]) <= len(confirmed) + 20
