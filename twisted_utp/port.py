"""
What C{listen} returns: a factory that listens on a UDP port, which it may share with others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import ILoggingContext, IProtocolFactory
from twisted.python import log
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp._isolation import guarded, log_prefix, name_of
from twisted_utp._settings_mixin import SettingsMixin
from twisted_utp.interfaces import IUTPListeningPort

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address

    from twisted_utp.proto.stats import PortStats
    from twisted_utp.protocol import UTPProtocol


@implementer(IUTPListeningPort, ILoggingContext)
class UTPPort(SettingsMixin):
    """
    One factory that listens on a L{UTPProtocol <twisted_utp.protocol.UTPProtocol>}.

    @ivar factory: the factory.
    @ivar protocol: the port it shares.
    @ivar listening: whether it is asked for protocols.
    @ivar reopen: opens the UDP port again once it has been closed; L{None} if that is for others to do.
    """

    _reopen: Callable[[], UTPProtocol] | None = None
    _was_listening = False

    def __init__(self, protocol: UTPProtocol, factory: IProtocolFactory) -> None:
        self.protocol = protocol
        self.factory = factory
        self.listening = False

    def __repr__(self) -> str:
        where = f"on {self.getHost().port}" if self.listening and self.protocol.is_open else "(not listening)"
        return f"<{type(self).__name__} of {type(self.factory).__name__} {where}>"

    @property
    def connected(self) -> bool:
        """
        The same as C{listening}; Twisted's ports call it so.
        """
        return self.listening

    @property
    def disconnected(self) -> bool:
        """
        Has it listened, and stopped?
        """
        return self._was_listening and not self.listening

    def startListening(self) -> None:
        """
        Accept connections; also again, after C{stopListening}.

        @raise CannotListenError: when the UDP port has been closed, and cannot be opened again.
        @raise Exception: what the factory's C{startFactory} raises; it does not listen then.
        """
        if self.listening:
            return
        if self._reopen is not None and (self.protocol._is_closing or not self.protocol.is_open):
            self.protocol = self._reopen()
        self.protocol._add_port(self)
        if vars(self.protocol).pop("logPrefix", None) is None:  # opened for another: its message did not name us
            log.msg(f"{log_prefix(self.factory)} starting on {self.getHost().port}")
        self.listening = self._was_listening = True
        try:
            self.factory.doStart()
        except BaseException:
            self.listening = False
            self.protocol._remove_port(self)
            raise

    def stopListening(self) -> Deferred[None]:
        """
        Accept no more connections.  Those that are established live on, and the UDP port with them.

        @return: fires when the UDP port is closed, or at once when established connections or other factories
            still need it.  Fails with what the factory's C{stopFactory} raises; it does not listen either way.
        """
        if not self.listening:
            return succeed(None)
        stopped = self._stop()
        try:
            self.factory.doStop()
        except BaseException:
            failure = Failure()
            stopped.addCallback(lambda _: failure)
        return stopped

    def _stop(self) -> Deferred[None]:
        log.msg(f"(uTP Port {self.getHost().port} Closed)")
        self.listening = False
        return self.protocol._remove_port(self)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Accept no more connections.  Twisted's reactors say so when they stop.

        @raise Exception: what the factory's C{stopFactory} raises.
        """
        if self.listening:
            self._stop()
            self.factory.doStop()

    def _port_closed(self) -> None:
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
