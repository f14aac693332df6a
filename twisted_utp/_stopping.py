"""
Delivers what closed connections still have to send when the reactor stops.

A kernel goes on delivering for TCP when the process has ended; uTP ends with the process.  So the reactor's stop waits
for them, for a bounded time: the C{shutdown_timeout} of each.

It waits in the phase before C{disconnectAll} closes the sockets, beside the services of C{twist}, which stop in the
same phase, in any order.  What they close in the same turn is therefore looked for in the next.

A port that has begun to close is waited for as well: a reactor that has stopped makes no more delayed calls, so the
socket, or the proxy's association, would be left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from twisted.internet.defer import Deferred, DeferredList

from twisted_utp import _ports
from twisted_utp._sending import hand_over

if TYPE_CHECKING:
    from twisted_utp.proto.connection import Connection
    from twisted_utp.proto.multiplexer import Multiplexer
    from twisted_utp.protocol import UTPProtocol
    from twisted_utp.udp import ITrainPort
    from twisted_utp.udp.interfaces import SendFailed

# Seconds between two looks.
_INTERVAL = 0.01

# µs for a port that is being closed.  A turn of the reactor is enough, or, through a proxy, the fraction of a second in
# which it relays what it has (PARTING).  More would only delay the end beside a proxy that no longer closes.
_CLOSING = 1_000_000

_triggers: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def note_open(port: UTPProtocol) -> None:
    """
    It has been opened: be there when the reactor stops.
    """
    _ports.note_open(port)
    reactor = port.reactor
    add = getattr(reactor, "addSystemEventTrigger", None)  # reactors of tests may have no stop
    if add is not None and reactor not in _triggers:
        _triggers[reactor] = add("before", "shutdown", _stopping, reactor)


def note_closed(port: UTPProtocol) -> None:
    """
    It has been closed: after the last, nothing may be left in the reactor.
    """
    _ports.note_closed(port)
    _forget(port.reactor)


def note_closing(port: UTPProtocol) -> None:
    """
    It has begun to close, until L{note_gone}.
    """
    _ports.note_closing(port)


def note_gone(port: UTPProtocol) -> None:
    """
    Nothing of it is left in the reactor.
    """
    _ports.note_gone(port)
    _forget(port.reactor)


def _forget(reactor: Any) -> None:
    if reactor in _triggers and not _ports.ports_of(reactor) and not _ports.closing_ports_of(reactor):
        reactor.removeSystemEventTrigger(_triggers.pop(reactor))


def _stopping(reactor: Any) -> Deferred[None]:
    del _triggers[reactor]
    return ShutdownWait(reactor).is_over


def abort_connections(multiplexer: Multiplexer, port: ITrainPort, failed: SendFailed, now: int) -> None:
    """
    Nobody will answer the peers from now on, so tell them; those that we have said goodbye to know.

    @param now: µs.
    """
    for connection in multiplexer.table.all():
        if not connection.has_sent_fin():
            connection.abort(now=now)
    while trains := multiplexer.poll_transmits(now=now):
        hand_over(port, trains, failed)
    multiplexer.poll_events()


class ShutdownWait:
    """
    What the connections of one reactor still have to deliver.

    @ivar is_over: fires when there is nothing, or when the time for it is over.
    """

    def __init__(self, reactor: Any) -> None:
        self.is_over: Deferred[None] = Deferred()
        self._reactor = reactor
        self._began = {port: port.clock() for port in _ports.ports_of(reactor)}
        self._waiting: list[tuple[UTPProtocol, Connection]] = []
        reactor.callLater(0, self._look)

    def _look(self) -> None:
        """
        All are gone through only when none is left of those found before: there may be thousands.
        """
        self._waiting = [pair for pair in self._waiting if self._is_awaited(*pair)]
        if not self._waiting:
            self._waiting = [
                (port, connection)
                for port in self._began
                if port.is_open
                for connection in port.multiplexer.table.all()
                if self._is_awaited(port, connection)
            ]
        if self._waiting or self._is_any_closing():
            self._reactor.callLater(_INTERVAL, self._look)
        else:
            # A proxy drops what it has not yet relayed when we hang up, so that comes last.
            partings = [part() for port in self._began if (part := getattr(port._udp_port, "part", None)) is not None]
            DeferredList(partings).addBoth(lambda _: self.is_over.callback(None))

    def _is_any_closing(self) -> bool:
        for port in _ports.closing_ports_of(self._reactor):
            now = port.clock()
            if now - self._began.setdefault(port, now) < _CLOSING:
                return True
        return False

    def _is_awaited(self, port: UTPProtocol, connection: Connection) -> bool:
        limit = int(connection.config.shutdown_timeout * 1_000_000)
        if not port.is_open or port.clock() - self._began[port] >= limit:
            return False
        return connection.is_delivering() or getattr(connection.user_data, "_is_closing", False)
