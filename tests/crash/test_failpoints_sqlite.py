"""A process breaks at every crash point, on SQLite: nothing is lost, nothing doubled, every unknown explained.

`make soak` runs every case on every route.
"""

import pytest

from crash.bench import Bench
from crash.failpoints import Case, some_cases
from crash.trial import run

SOME = [pytest.param(case, via, id=f"{case.name}-{via}") for case, via in some_cases(first="gmail")]


@pytest.mark.parametrize(("case", "via"), SOME)
def test_a_send_survives_a_break(sqlite_bench: Bench, case: Case, via: str) -> None:
    run(sqlite_bench, case, via)
