"""Nothing is lost and nothing goes out twice while processes are killed and providers fail.

A short version of what `make soak` does with 10,000 sends for each provider and database.
"""

from pathlib import Path

from crash.fleet import fleet
from crash.sellers import campaign
from crash.storm import Storm, blow, loosen

FLEETS = {"sqlite": (2, 2), "postgresql": (3, 3)}
"""Web processes and workers, by database."""
QUICK = {"GMAIL_MAILBOX_SENDS_PER_MINUTE": "600", "OUTLOOK_MAILBOX_SENDS_PER_MINUTE": "600"}
"""So that a few mailboxes do for a short run."""


def test_every_send_ends_as_what_the_providers_say_it_is(
    database_kind: str, database_url: str, tmp_path: Path
) -> None:
    web, workers = FLEETS[database_kind]
    with fleet(database_url, tmp_path / "fleet", web=web, workers=workers, environ=QUICK) as ships:
        loosen(ships.providers, send_latency_seconds=0.15)
        orders = campaign(ships, mailboxes={"gmail": 8, "outlook": 8}, each=9, relayed=40)
        aftermath = blow(ships, orders, Storm(kills=web + workers, per_second=22))
    verdict = aftermath.verdict

    assert verdict.faults == {}
    assert verdict.sends == verdict.ok + verdict.open == len(orders)
    assert aftermath.bad_answers == {}
    assert set(aftermath.kills.values()) == {1}, "not every process was killed"
    # Nobody knows only of what a killed worker had on the wire, and of what the network swallowed.
    assert verdict.open_because("worker_died") <= aftermath.in_flight
    assert verdict.open <= aftermath.most_unknown
    # A relay that drops the second copy of a key is simply asked again.
    assert verdict.open_at("resend") == 0
