"""Try every mutant, or those whose names hold one of the words given: `PYTHONPATH=tests python -m mutants [word…]`.

Ends with 1 when one survived.
"""

import sys

from mutants.catalogue import MUTANTS
from mutants.trial import try_all


def main(words: list[str]) -> int:
    """Print a line for each mutant and killer."""
    wanted = [each for each in MUTANTS if not words or any(word in each.name for word in words)]
    survived = 0
    for death in try_all(wanted):
        survived += not death.killed
        print(
            f"{'killed  ' if death.killed else 'SURVIVED'}  {death.mutant.name:30} {death.killer}", flush=True
        )
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
