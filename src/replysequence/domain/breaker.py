"""When a provider counts as down: what is asked of it fails for many at once, and nothing that it says is well.

Seen are exchanges, each of one *party*: a mailbox, or one send of a relay. They end well (the provider decided about
the message), in trouble (no answer, or one that decides nothing), or as neither (a refusal of one mailbox: its quota,
its grant). What ended in trouble is evidence when it began after the last one that ended well; what has not ended is,
when nothing that began after it has ended well.
"""

from collections import Counter
from dataclasses import dataclass

ENOUGH = 5
"""Pieces of evidence that make a provider count as down. Where one exchange in a hundred fails by chance, five follow
each other once in ten thousand million; where one in two fails, within a minute of modest traffic."""
OF_ONE_PARTY = 3
"""At most so many are one party's: its own trouble, however lasting, is not the provider's. So a single mailbox never
makes a provider down (its sends back off), and two can."""
STUCK_AFTER = 20.0
"""Seconds after which an exchange that has not ended is evidence. An answer is waited for up to 120 seconds, and sends
take one to three as a rule; only large files on a slow line take as long."""
FORGOTTEN_AFTER = 300.0
"""Seconds that evidence counts: more than two answers that never come, one after the other, take. So a provider that
swallows all of two mailboxes is noticed too."""


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """One that began at ``began_at``, in seconds of a clock that never steps."""

    party: str
    began_at: float


class Watch:
    """The exchanges of one provider, as one process sees them. Times are seconds of a clock that never steps."""

    def __init__(self) -> None:
        self._under_way: set[Exchange] = set()
        self._failed: list[Exchange] = []
        self._well_at = self._well_from = float("-inf")

    def begin(self, party: str, *, at: float) -> Exchange:
        """An exchange of ``party`` begins."""
        exchange = Exchange(party, at)
        self._under_way.add(exchange)
        return exchange

    def end(self, exchange: Exchange) -> None:
        """It ended. That alone shows nothing."""
        self._under_way.discard(exchange)

    def trouble(self, exchange: Exchange) -> None:
        """It shows that the provider may be down."""
        self._failed.append(exchange)

    def well(self, exchange: Exchange, *, at: float) -> None:
        """It shows that the provider works."""
        self._well_at = at
        self._well_from = max(self._well_from, exchange.began_at)
        self._failed.clear()

    def forget(self, *, at: float) -> None:
        """The provider was seen to work elsewhere: what began before ``at`` is no evidence any more."""
        self._well_at = self._well_from = at
        self._failed.clear()

    def was_well_since(self, moment: float) -> bool:
        """Whether it was seen to work after ``moment``."""
        return self._well_at > moment

    def is_down(self, *, at: float) -> bool:
        """Whether the provider is to be left alone."""
        since = max(self._well_at, at - FORGOTTEN_AFTER)
        self._failed = [each for each in self._failed if each.began_at >= since]
        stuck = [each for each in self._under_way if self._well_from <= each.began_at <= at - STUCK_AFTER]
        parties = Counter(each.party for each in (*self._failed, *stuck))
        return sum(min(count, OF_ONE_PARTY) for count in parties.values()) >= ENOUGH
