"""A process breaks at every crash point, on PostgreSQL: nothing is lost, nothing doubled, every unknown explained.

`make soak` runs every case on every route.
"""

import pytest

from crash.bench import Bench
from crash.failpoints import Case, some_cases
from crash.trial import run

SOME = [pytest.param(case, via, id=f"{case.name}-{via}") for case, via in some_cases(first="outlook")]


@pytest.mark.parametrize(("case", "via"), SOME)
def test_a_send_survives_a_break(postgresql_bench: Bench, case: Case, via: str) -> None:
    run(postgresql_bench, case, via)
