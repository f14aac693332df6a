"""
Is a connection on which nothing happens broken off, and no other?
"""

from __future__ import annotations

from twisted.internet.task import Clock

from twisted_utp.ucat.account import Account
from twisted_utp.ucat.exits import Exit
from twisted_utp.ucat.waiting import Waiting


def test_idle() -> None:
    """After so many seconds without a byte, with the reason; and once."""
    clock, said = Clock(), []
    account = Account(clock.seconds, "client")
    account.connected(None, "192.0.2.7:9000")
    Waiting(clock, 2.0, account, lambda: said.append(clock.seconds()))
    clock.pump([0.5] * 20)
    assert said == [2.0]
    assert account.code == Exit.TIMED_OUT
    assert account.cause == "192.0.2.7:9000: nothing sent or received for 2 s, see --wait"
    assert not clock.getDelayedCalls()


def test_bytes_put_it_off() -> None:
    """Those that were sent, and those that came."""
    clock, said = Clock(), []
    account = Account(clock.seconds, "client")
    Waiting(clock, 2.0, account, lambda: said.append(clock.seconds()))
    for number in range(8):
        clock.pump([0.5] * 3)
        (account.take if number % 2 else account.receive)(b"x")
    assert not said
    clock.pump([0.5] * 20)
    assert len(said) == 1 and 14.0 <= said[0] <= 14.5


def test_stop() -> None:
    """Nothing is left."""
    clock = Clock()
    waiting = Waiting(clock, 2.0, Account(clock.seconds, "client"), lambda: None)
    waiting.stop()
    assert not clock.getDelayedCalls()
