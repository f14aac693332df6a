"""
Is a window cut only for what was lost, not for what was late?
"""

from __future__ import annotations

import pytest

from twisted_utp import UTPConfig
from twisted_utp.proto.constants import MAX_UNDONE_CUTS, UNDONE_CUT_INTERVAL
from twisted_utp.proto.scoreboard import Flight
from twisted_utp.proto.spurious_loss import SpuriousLossDetection
from twisted_utp.testing import Ends, Pair

DELAY = 1_000
END = 70


def flight(sent_at: int, transmissions: int = 1) -> Flight:
    """A packet that is declared lost."""
    return Flight(END - 1, 1, b"x", 0, 1, 1, sent_at, transmissions=transmissions)


# --- The tail-loss probe ---------------------------------------------------------------------------------------------


def test_the_first_answer_to_a_probe_decides_nothing() -> None:
    """RFC 8985 (7.4.2): SEG.ACK = TLP.end_seq may be the original's."""
    answers = SpuriousLossDetection()
    answers.on_probe_answered(END)
    assert not answers.is_probe_loss(END)
    assert answers.are_due


def test_an_answer_to_something_later_shows_the_loss_once() -> None:
    """RFC 8985 (7.4.2): SEG.ACK > TLP.end_seq, and no second answer came before."""
    answers = SpuriousLossDetection()
    answers.on_probe_answered(END)
    assert answers.is_probe_loss(END + 1)
    assert not answers.is_probe_loss(END + 2)
    assert not answers.are_due


def test_the_second_answer_shows_that_there_was_no_loss() -> None:
    """RFC 8985 (7.4.2): a duplicate acknowledgement at TLP.end_seq."""
    answers = SpuriousLossDetection()
    answers.on_probe_answered(END)
    answers.on_duplicate(END)
    assert not answers.is_probe_loss(END + 1)


def test_a_duplicate_of_something_else_says_nothing_about_the_probe() -> None:
    """It repeats an older acknowledgement."""
    answers = SpuriousLossDetection()
    answers.on_probe_answered(END)
    answers.on_duplicate(END - 1)
    assert answers.is_probe_loss(END + 1)


# --- Originals that come late ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("echoed", "expected"),
    [(99, False), (150, False), (200, True), (299, True), (300, False), (301, False)],
)
def test_which_echo_proves_that_the_original_came(echoed: int, expected: bool) -> None:
    """From the newest original's time on, and before anything was sent again (RFC 3522 (3.2) step 5)."""
    answers = SpuriousLossDetection()
    answers.on_declared([flight(100), flight(200)])
    answers.on_repeated(300)
    answers.on_repeated(310)
    assert answers.is_late_original(echoed) is expected
    assert not answers.is_late_original(200) or not expected, "said once"


def test_few_cuts_are_taken_back() -> None:
    """Nothing shows that the receiver tells the truth."""
    answers, now = SpuriousLossDetection(), 5_000_000_000
    assert [answers.may_undo(now) for _ in range(5)] == [True] * MAX_UNDONE_CUTS + [False] * (5 - MAX_UNDONE_CUTS)
    assert not answers.may_undo(now + UNDONE_CUT_INTERVAL - 1)
    assert answers.may_undo(now + UNDONE_CUT_INTERVAL)
    assert not answers.may_undo(now + UNDONE_CUT_INTERVAL + 1)


def test_a_packet_lost_twice_has_no_original_to_come() -> None:
    """Its first transmission is part of an event that is over."""
    answers = SpuriousLossDetection()
    answers.on_declared([flight(100, transmissions=2)])
    answers.on_repeated(300)
    assert not answers.is_late_original(150)


def test_before_anything_is_repeated_there_is_nothing_to_compare() -> None:
    """The scoreboard sees those (Acked.spurious)."""
    answers = SpuriousLossDetection()
    answers.on_declared([flight(100)])
    assert not answers.is_late_original(100)


# --- Connections -----------------------------------------------------------------------------------------------------


def warmed_up(congestion: str) -> tuple[Pair, Ends]:
    """A connection with a window that a cut would show in."""
    pair = Pair(seed=1, link={"delay": DELAY}, config=UTPConfig(congestion=congestion))
    ends = pair.connect()
    pair.transfer(ends, 2_000_000)
    ends.server.on_data = ends.client.on_event = None
    return pair, ends


@pytest.mark.parametrize("congestion", ["scavenger", "ledbat++", "ledbat", "cubic"])
@pytest.mark.parametrize("nbytes", [1_000, 3_000, 20_000])
def test_packets_that_come_late_once_cost_no_window(congestion: str, nbytes: int) -> None:
    """
    30 ms in place of 2: the probe overtakes them, is answered, and all of them are sent again.  They arrive
    nevertheless.
    """
    pair, ends = warmed_up(congestion)
    connection = ends.client.connection
    before = connection.stats()
    for _ in range(3):
        pair.up.delay = 30_000
        pair.client.write(ends.client, bytes(nbytes))
        pair.up.delay = DELAY
        pair.run_for(0.15)
    after = connection.stats()
    assert ends.server.connection.stats().packets_duplicate > 0, "the probe was not superfluous"
    assert after.cwnd == before.cwnd


@pytest.mark.parametrize("congestion", ["scavenger", "ledbat++", "ledbat", "cubic"])
def test_a_lost_tail_costs_the_window_once_something_later_is_acknowledged(congestion: str) -> None:
    """Only the probe showed that loss, and it counts like any other (RFC 8985 (7.4))."""
    pair, ends = warmed_up(congestion)
    connection = ends.client.connection
    before = connection.stats()
    pair.up.taps.append(lambda _: True)
    pair.client.write(ends.client, bytes(1_000))
    pair.run_for(0.005)
    pair.up.taps.clear()
    pair.run_for(0.1)
    assert connection.stats().tail_loss_probes == before.tail_loss_probes + 1
    assert connection.stats().cwnd == before.cwnd
    pair.client.write(ends.client, bytes(1_000))
    pair.run_for(0.1)
    assert connection.stats().cwnd < before.cwnd
    assert connection.stats().window_cuts == before.window_cuts + 1
