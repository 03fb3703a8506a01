"""Token buckets."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from replysequence.storage import tables as t
from replysequence.storage import throttles
from replysequence.storage.database import Database
from storage.test_people import move_back


def take(database: Database, key: str = "sign-in alice") -> float:
    return database.run(throttles.take, key=key, capacity=3, refill_seconds=90)


def test_a_bucket_gives_what_it_holds_and_then_says_how_long_to_wait(database: Database) -> None:
    assert [take(database) for _ in range(3)] == [0, 0, 0]
    assert take(database) == pytest.approx(90, abs=30)
    assert take(database, "sign-in bob") == 0, "every key has its own"


def test_a_bucket_fills_again_but_never_over_its_brim(database: Database) -> None:
    for _ in range(3):
        take(database)
    move_back(database, t.throttles, "updated_at", timedelta(seconds=91))
    assert take(database) == 0
    assert take(database) > 0
    move_back(database, t.throttles, "updated_at", timedelta(days=9))
    assert [take(database) == 0 for _ in range(4)] == [True, True, True, False]


def test_asking_in_vain_makes_nobody_wait_longer(database: Database) -> None:
    waits = [take(database) for _ in range(20)][3:]
    assert waits == sorted(waits, reverse=True)


def test_a_clock_that_was_set_back_neither_fills_nor_empties(database: Database) -> None:
    take(database)
    move_back(database, t.throttles, "updated_at", -timedelta(hours=1))
    assert [take(database) == 0 for _ in range(3)] == [True, True, False]


def test_many_at_once_take_no_more_than_there_is(database: Database) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: take(database) == 0, range(24))).count(True) == 3


def test_a_bucket_can_be_reset_and_an_idle_one_is_forgotten(database: Database) -> None:
    for _ in range(4):
        take(database)
    database.run(throttles.reset, key="sign-in alice")
    assert take(database) == 0
    assert database.run(throttles.forget_idle) == 0
    move_back(database, t.throttles, "updated_at", throttles.KEPT)
    assert database.run(throttles.forget_idle) == 1


def test_a_key_may_be_anything_a_stranger_types_and_is_not_kept_in_clear(database: Database) -> None:
    for key in ("x" * 10_000, "nul \0", "half \ud800", ""):
        assert take(database, key) == 0
    kept = database.run(lambda connection: list(connection.execute(select(t.throttles.c.key)).scalars()))
    assert len(kept) == 4
    assert all(len(key) == 64 for key in kept)
