"""Every mutant can still be made, and the tests that must kill it exist. `make soak` runs them against each other."""

import ast

import pytest

from mutants.catalogue import MUTANTS, NAMED, Mutant
from mutants.trial import PACKAGE, ROOT


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_python_and_another_program(mutant: Mutant) -> None:
    source = (PACKAGE / mutant.file).read_text(encoding="utf-8")
    mutated = mutant.applied(source)

    assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_killers_of_a_mutant_exist(mutant: Mutant) -> None:
    assert mutant.killers
    for killer in mutant.killers:
        file, _, name = killer.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8")


def test_a_mistake_that_cannot_be_made_any_more_is_noticed() -> None:
    with pytest.raises(ValueError, match=MUTANTS[0].file):
        MUTANTS[0].applied("another text")


def test_the_twelve_have_names_of_their_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) > NAMED
