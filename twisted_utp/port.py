"""
What does C{listen} give an application, when its factory shares the UDP port with others?
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import ILoggingContext, IProtocolFactory
from zope.interface import implementer

from twisted_utp._isolation import guarded, name_of
from twisted_utp._settable import Settable
from twisted_utp.interfaces import IUTPListeningPort

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address

    from twisted_utp.proto.stats import PortStats
    from twisted_utp.protocol import UTPProtocol


@implementer(IUTPListeningPort, ILoggingContext)
class UTPPort(Settable):
    """
    One factory that listens on a L{UTPProtocol <twisted_utp.protocol.UTPProtocol>}.

    @ivar factory: the factory.
    @ivar protocol: the port it shares.
    @ivar listening: whether it is asked for protocols.
    """

    def __init__(self, protocol: UTPProtocol, factory: IProtocolFactory) -> None:
        self.protocol = protocol
        self.factory = factory
        self.listening = False

    def __repr__(self) -> str:
        where = f"on {self.getHost().port}" if self.protocol.is_open else "(closed)"
        return f"<{type(self).__name__} of {type(self.factory).__name__} {where}>"

    def startListening(self) -> None:
        """
        Accept connections; also again, after C{stopListening}, as long as the UDP port is open.

        @raise CannotListenError: when the UDP port has been closed.
        @raise Exception: what the factory's C{startFactory} raises; it does not listen then.
        """
        if not self.listening:
            self.protocol.add_port(self)
            self.listening = True
            try:
                self.factory.doStart()
            except BaseException:
                self.listening = False
                self.protocol.remove_port(self)
                raise

    def stopListening(self) -> Deferred[None]:
        """
        Accept no more connections.  Those that are established live on, and the UDP port with them.

        @return: fires when the UDP port is closed, or at once when established connections or other factories
            still need it.
        """
        if not self.listening:
            return succeed(None)
        self.port_closed()
        return self.protocol.remove_port(self)

    def port_closed(self) -> None:
        """
        It is over: tell the factory.
        """
        if self.listening:
            self.listening = False
            guarded(f"stopFactory of {name_of(self.factory)}", self.factory.doStop)

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        Where it listens, an address of type C{"UDP"}.
        """
        return self.protocol.getHost()

    def stats(self) -> PortStats:
        """
        See L{IUTPListeningPort.stats}.
        """
        return self.protocol.stats()

    def change_settings(self, **changes: Any) -> None:
        """
        See L{IUTPListeningPort.change_settings}.
        """
        self.protocol.change_settings(**changes)

    def logPrefix(self) -> str:
        """
        Whose messages are these in the log?
        """
        return f"{name_of(self.factory)} (uTP)"
