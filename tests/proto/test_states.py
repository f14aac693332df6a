"""
Is the table of states closed, live and what the protocol says?
"""

from __future__ import annotations

import pytest

from twisted_utp.proto.states import GUARDS, TRANSITIONS, Input, State

STARTS = {State.SYN_SENT, State.SYN_RECEIVED}
ENDING = {Input.RESET, Input.ABORT, Input.GIVE_UP}


def reachable(*starts: State) -> set[State]:
    """All states that inputs can lead to."""
    found: set[State] = set()
    waiting = list(starts)
    while waiting:
        state = waiting.pop()
        if state not in found:
            found.add(state)
            waiting += TRANSITIONS[state].values()
    return found


def test_every_state_has_its_row() -> None:
    """No state is missing, and rows lead to states only."""
    assert set(TRANSITIONS) == set(State)
    assert all(isinstance(state, State) for row in TRANSITIONS.values() for state in row.values())


def test_every_state_is_reachable() -> None:
    """From a SYN sent or a SYN received, all states come about."""
    assert reachable(*STARTS) == set(State)


def test_every_input_matters_somewhere() -> None:
    """No input is without effect everywhere."""
    assert {what for row in TRANSITIONS.values() for what in row} == set(Input)


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_every_state_can_be_ended_at_once(state: State) -> None:
    """A RESET, an abort and a silent peer close from anywhere."""
    assert {TRANSITIONS[state].get(what) for what in ENDING} == {State.CLOSED}


def test_closed_is_the_end() -> None:
    """Nothing leads out of CLOSED."""
    assert TRANSITIONS[State.CLOSED] == {}


def test_nothing_leads_back() -> None:
    """A connection passes through no state twice."""
    for state in State:
        assert state not in reachable(*TRANSITIONS[state].values()), state


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        (
            [Input.PEER_CONFIRMED, Input.FIN_SENT, Input.FIN_ACKED, Input.PEER_FIN, Input.EXPIRED],
            ["ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "LINGERING", "CLOSED"],
        ),
        (
            [Input.PEER_CONFIRMED, Input.PEER_FIN, Input.FIN_SENT, Input.FIN_ACKED, Input.EXPIRED],
            ["ESTABLISHED", "CLOSE_WAIT", "LAST_ACK", "LINGERING", "CLOSED"],
        ),
        (
            [Input.PEER_CONFIRMED, Input.FIN_SENT, Input.PEER_FIN, Input.FIN_ACKED],
            ["ESTABLISHED", "FIN_WAIT_1", "CLOSING", "LINGERING"],
        ),
        (
            [Input.PEER_CONFIRMED, Input.FIN_SENT, Input.FIN_ACKED, Input.EXPIRED],
            ["ESTABLISHED", "FIN_WAIT_1", "FIN_WAIT_2", "CLOSED"],
        ),
    ],
    ids=["we close first", "the peer closes first", "both at once", "the peer never closes"],
)
def test_ways_to_close(inputs: list[Input], path: list[str]) -> None:
    """The paths of RFC 9293 (3.3.2), with names of uTP."""
    for start in STARTS:
        state, seen = start, []
        for what in inputs:
            state = TRANSITIONS[state][what]
            seen.append(state.name)
        assert seen == path


def test_fin_may_be_sent_before_the_peer_confirmed() -> None:
    """An acceptor may close at once; an initiator's FIN waits for the SYN-ACK."""
    assert TRANSITIONS[State.SYN_RECEIVED][Input.FIN_SENT] is State.FIN_WAIT_1
    assert Input.FIN_SENT not in TRANSITIONS[State.SYN_SENT]


def test_fin_is_sent_and_acknowledged_once() -> None:
    """After FIN_SENT there is no second; FIN_ACKED follows only where a FIN is out."""
    for state, row in TRANSITIONS.items():
        if Input.FIN_SENT in row:
            later = reachable(row[Input.FIN_SENT])
            assert not any(Input.FIN_SENT in TRANSITIONS[after] for after in later), state
        if Input.FIN_ACKED in row:
            assert state in (State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK)


def test_no_state_is_without_a_timer() -> None:
    """Whatever does not come, each state ends; what connections really do is compared with it in each test."""
    assert set(GUARDS) == set(State)
    assert {state for state in State if not GUARDS[state]} == {State.CLOSED}
