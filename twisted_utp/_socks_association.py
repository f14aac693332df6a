"""
Opens and ends a UDP port whose datagrams go through a SOCKS5 proxy.

It takes a TCP connection to the proxy, on which L{Negotiation <twisted_utp._socks_negotiation.Negotiation>} speaks.
The proxy relays for as long as that connection lasts (RFC 1928 (6)), so each of the two ends with the other.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import connectProtocol
from twisted.internet.interfaces import IDelayedCall, ITCPTransport
from twisted.internet.protocol import DatagramProtocol, Protocol
from twisted.python.failure import Failure

from twisted_utp._socks_negotiation import Negotiation, SocksRefused
from twisted_utp._steady import SteadyTimer, steady_clock, unwatch, watch
from twisted_utp.errors import UTPProxyError, UTPProxyTimedOut
from twisted_utp.socks import SOCKS5Proxy
from twisted_utp.udp import listen_udp
from twisted_utp.udp.addresses import ANY_IPV4, ANY_IPV6, is_numeric
from twisted_utp.udp.settings import AS_IT_IS, SocketSettings
from twisted_utp.udp.socks_port import ProxiedName, SocksPort

# Seconds between the last datagram and the end of the control connection.  Dante drops what it has not yet relayed when
# that ends, and with it the last acknowledgement, for which the peer would then wait until it gives up.  More delays
# the end of programs; less may be shorter than the time by which the ways of both to the proxy differ.
PARTING = 0.2


class _Control(Protocol):
    """
    The control connection.
    """

    def __init__(self, association: Association, negotiation: Negotiation) -> None:
        self._association = association
        self._negotiation = negotiation
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """
        Speak first.
        """
        transport: Any = self.transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
            transport.setTcpKeepAlive(True)  # nothing is said from now on, and NATs forget
        transport.write(self._negotiation.begin(getattr(transport.getPeer(), "host", None) or ""))

    def dataReceived(self, data: bytes) -> None:
        """
        The proxy's turn.
        """
        if self._negotiation.relay is not None:
            return
        transport: Any = self.transport
        try:
            answer = self._negotiation.receive(data)
        except SocksRefused as refusal:
            self._association.refused(refusal)
            return
        if answer:
            transport.write(answer)
        if self._negotiation.relay is not None:
            self._association.granted(*self._negotiation.relay)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """
        The end of the association.
        """
        self._association.control_lost(reason)
        self.lost.callback(None)


class Association:
    """
    A UDP port with its control connection.
    """

    def __init__(
        self,
        reactor: Any,
        proxy: SOCKS5Proxy,
        protocol: DatagramProtocol,
        interface: str = "",
        name: ProxiedName | None = None,
        settings: SocketSettings = AS_IT_IS,
    ) -> None:
        """
        @param protocol: for whom the UDP port is.
        @param interface: our address, toward the proxy; C{""} for any.
        @param name: see L{SocksPort}.
        @param settings: of the UDP socket.
        """
        self._reactor = reactor
        self._proxy = proxy
        self._interface = interface
        self._settings = settings
        self._port = SocksPort(protocol, name)
        self._port.closing = self._hang_up
        self._port.part = self._part
        self._control = _Control(self, Negotiation(*proxy._login))
        self._connecting: Deferred[Any] | None = None
        self._is_over = False
        self._parting: IDelayedCall | None = None
        self._result: Deferred[None] = Deferred(self._cancelled)
        self._timer = SteadyTimer(reactor, steady_clock(reactor), self._timed_out)

    def start(self, timeout: float) -> Deferred[None]:
        """
        Connect.

        @param timeout: seconds that all of it may take.
        @return: fires once the UDP port is open, or fails.
        """
        now = steady_clock(self._reactor)()
        watch(self._reactor, self._timer)
        self._timer.arm(now + round(timeout * 1_000_000), now)
        endpoint = self._proxy._control_endpoint(self._reactor, self._interface, timeout)
        self._connecting = connectProtocol(endpoint, self._control)
        self._connecting.addErrback(self._not_connected)
        return self._result

    # --- What comes of it --------------------------------------------------------------------------------------

    def granted(self, host: str, port: int) -> None:
        """
        The proxy relays.

        @param host: its relay's; C{0.0.0.0} or C{::} when it is the proxy's own.
        """
        if host in (ANY_IPV4, ANY_IPV6):
            transport: Any = self._control.transport
            host = getattr(transport.getPeer(), "host", None) or self._proxy.host
        try:
            if not is_numeric(host):
                raise OSError(f"the relay is at the address of the proxy, and {host} is not an IP address")
            interface = self._interface or (ANY_IPV6 if ":" in host else "")
            listen_udp(self._reactor, 0, self._port, interface, settings=self._settings)
            self._port.connect_to(host, port)
        except OSError as reason:
            self._fail(self._error(f"cannot reach its relay, {host}: {reason.strerror or reason}"))
        except BaseException:  # the port is not ours to open, or the protocol did not start
            self._fail(Failure())
        else:
            self._stop_timer()
            self._result.callback(None)

    def refused(self, refusal: SocksRefused) -> None:
        """
        The proxy does not.
        """
        self._fail(self._error(str(refusal), refusal.code))

    def control_lost(self, reason: Failure) -> None:
        """
        The control connection has ended, and with it what it stood for.
        """
        if self._parting is not None and self._parting.active():
            self._parting.cancel()
        said = "it closed the control connection" if reason.check(error.ConnectionDone) else reason.getErrorMessage()
        if self._result.called:
            self._port.end(self._error(said))
        self._fail(self._error(said))

    def _not_connected(self, reason: Failure) -> None:
        said = f"cannot connect to it: {reason.getErrorMessage()}"
        if reason.check(error.TimeoutError):
            self._timed_out()
        self._fail(self._error(said, number=getattr(reason.value, "osError", None)))

    def _timed_out(self) -> None:
        self._fail(UTPProxyTimedOut(str(self._proxy), "no answer in time"))

    def _cancelled(self, result: Deferred[None]) -> None:
        self._fail(None)  # Deferred.cancel fails it itself

    def _error(self, reason: str, code: int = 0, number: Any = None) -> UTPProxyError:
        return UTPProxyError(str(self._proxy), reason, code, number)

    # --- The end -----------------------------------------------------------------------------------------------

    def _fail(self, reason: Exception | Failure | None) -> None:
        """
        There will be no association; nothing happens when that was known, or when there has been one.
        """
        if self._is_over or self._result.called:
            return
        self._is_over = True
        self._stop_timer()
        if reason is not None:
            self._result.errback(reason)
        if self._connecting is not None:
            self._connecting.cancel()  # no harm when it is connected
        if self._port.transport is not None:
            self._port.stopListening()
        else:
            self._hang_up()

    def _stop_timer(self) -> None:
        self._timer.clear()
        unwatch(self._reactor, self._timer)

    def _part(self) -> Deferred[Any]:
        """
        The reactor stops.  Proxies lose packets in bursts that a network would not, also our last acknowledgement, and
        there is no one to repeat it when we have gone; so go on for a moment, in which peers can ask for it.
        """
        waited: Deferred[Any] = Deferred()
        self._reactor.callLater(PARTING, waited.callback, None)
        return waited.addCallback(lambda _: self._port.stopListening())

    def _hang_up(self) -> Deferred[None]:
        """
        Close the control connection, at once if there has been no association.

        @return: fires once it is closed.
        """
        control, transport = self._control, self._control.transport
        if transport is None or control.lost.called:
            return succeed(None)
        if self._is_over:
            # It may have something buffered that the proxy never takes.
            abort: Any = getattr(transport, "abortConnection", transport.loseConnection)
            abort()
        elif self._parting is None:
            self._parting = self._reactor.callLater(PARTING, transport.loseConnection)
        waiter: Deferred[None] = Deferred()
        control.lost.chainDeferred(waiter)
        return waiter
