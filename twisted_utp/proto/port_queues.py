"""
Queues in which a connection leaves what its port is to do.

It does not call it.  What it has for others it leaves on the port's desk, in queues that the port looks through when it
has asked a connection something, or when its owner comes by: whose turn it is to send, what users are to hear, packets
that belong to no window.  What changes the port's own books is a L{Notice}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted_utp.proto.deadlines import Deadlines
from twisted_utp.proto.keepalive import UnansweredKeepalives
from twisted_utp.proto.outbox import Outbox
from twisted_utp.proto.port_rates import PortRates
from twisted_utp.proto.receive_budget import ReceiveBudget
from twisted_utp.proto.stats import PortCounters

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection
    from twisted_utp.proto.events import Event


class Notice:
    """
    What a connection's port has to note: bits of an C{int}, as C{IntFlag}'s arithmetic is written in Python.
    """

    SYN_DUE: Final = 1  # the next SYN is to leave, perhaps with another id
    OPENED: Final = 2  # it is open, on its recv_id
    CONFIRMED: Final = 4  # an accepted connection's peer has been heard of again
    DONE: Final = 8  # its user has been told the last
    CLOSED: Final = 16  # forget it
    LINGERING: Final = 32  # both directions are done


class PortQueues:
    """
    One port's.

    @ivar ready: connections that may have something to send, in the order in which they have their turn.
    @ivar events: what their users are to hear, in order: see L{Event
        <twisted_utp.proto.events.Event>}.
    @ivar outbox: packets that no window holds back.
    @ivar deadlines: when connections want to be woken.
    @ivar unanswered_keepalives: idle connections whose peers were asked whether they are there.
    @ivar rates: limits that all connections share.
    @ivar budget: the socket's room, which they share when its owner is behind.
    @ivar noticed: connections with C{notices}.
    @ivar counters: what the port counts.
    """

    __slots__ = (
        "budget",
        "counters",
        "deadlines",
        "events",
        "noticed",
        "outbox",
        "rates",
        "ready",
        "unanswered_keepalives",
    )

    def __init__(self) -> None:
        self.counters = PortCounters()
        self.ready: dict[Connection, None] = {}
        self.events: list[tuple[Connection, Event]] = []
        self.outbox = Outbox(self.counters)
        self.deadlines = Deadlines()
        self.unanswered_keepalives = UnansweredKeepalives()
        self.rates = PortRates()
        self.budget = ReceiveBudget()
        self.noticed: list[Connection] = []
