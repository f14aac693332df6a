"""
Keeps the order of calls in which a TCP connection's events come, where ours come in one batch.

A reactor reads a TCP socket once in a turn.  So what an application asks it to call later, with no delay, from
C{connectionMade} or C{dataReceived}, it calls before the next bytes, and before C{connectionLost}.  Programs count on
that; Twisted's own FTP server does.  Ours may come together: a SYN's proof, the first bytes and the FIN in one batch.
So what TCP would say in another turn is said in another turn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from twisted_utp.transport import UTPTransport


class NextTurn:
    """
    The connections of one port to which something is to be said in the reactor's next turn, after the delayed calls
    that have been made by now.  One delayed call serves all of a flush.  It is made at the end of that: what any of
    them asked for in it comes before.

    @ivar new: those whose C{connectionMade} has been called in this turn.
    @ivar waiting: those for which there is no delayed call yet.
    """

    def __init__(self, reactor: Any, begun: Callable[[list[UTPTransport]], object]) -> None:
        """
        @param begun: called in that turn with those that were added, to tell them and to send what they make of it.
        """
        self._reactor = reactor
        self._begun = begun
        self._calls: list[IDelayedCall] = []
        self.waiting: list[UTPTransport] = []
        self.new: list[UTPTransport] = []

    def schedule(self) -> None:
        """
        Have those that wait told.
        """
        if self.waiting:
            transports, self.waiting = self.waiting, []
            self._calls.append(self._reactor.callLater(0, self._begin, transports))

    def settle(self) -> bool:
        """
        The batch that opened the new ones has been dispatched.

        @return: for some, more has come with it, which waits for the next turn.
        """
        new, self.new = self.new, []
        return any([transport._settle_start() for transport in new])

    def clear(self) -> None:
        """
        The port closes.
        """
        self.waiting, self.new = [], []
        calls, self._calls = self._calls, []
        for call in calls:
            if call.active():
                call.cancel()

    def _begin(self, transports: list[UTPTransport]) -> None:
        self._calls = [call for call in self._calls if call.active()]
        self._begun(transports)
