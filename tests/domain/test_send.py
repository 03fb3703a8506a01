"""The states of a send and the moves between them, as DESIGN draws them."""

from replysequence.domain.send import CANCELLABLE, CLAIMABLE, FINAL, IN_HAND, MOVES, OUTCOME_SHOWN, State


def test_every_state_has_its_moves() -> None:
    assert MOVES.keys() == set(State)


def test_what_is_over_stays_over() -> None:
    assert {
        State.SENT,
        State.FAILED,
        State.CANCELLED,
        State.SETTLED_SENT,
        State.SETTLED_NOT_SENT,
    } == FINAL


def test_only_what_is_not_on_the_wire_can_be_cancelled() -> None:
    assert {State.QUEUED, State.WAITING, State.CLAIMED} == CANCELLABLE


def test_an_unknown_send_is_never_queued_again() -> None:
    assert MOVES[State.UNKNOWN].isdisjoint({State.QUEUED, State.WAITING, State.CLAIMED, State.SENDING})


def test_a_send_is_on_the_wire_only_after_it_was_claimed() -> None:
    assert {state for state in State if State.SENDING in MOVES[state]} == {State.CLAIMED}
    assert {state for state in State if State.CLAIMED in MOVES[state]} == CLAIMABLE
    assert MOVES[State.CLAIMED] & IN_HAND == {State.SENDING}
    assert IN_HAND.isdisjoint(CLAIMABLE | FINAL)


def test_sent_comes_from_the_wire_only_and_unknown_from_an_attempt() -> None:
    assert {state for state in State if State.SENT in MOVES[state]} == {State.SENDING, State.UNKNOWN}
    # From claimed too: a relay's earlier attempt was unknown, and can no longer be repeated under its key.
    assert {state for state in State if State.UNKNOWN in MOVES[state]} == {State.SENDING, State.CLAIMED}


def test_who_waits_for_an_outcome_is_told_of_an_unknown_one() -> None:
    assert {State.UNKNOWN} | FINAL == OUTCOME_SHOWN
