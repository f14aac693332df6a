"""
A Twisted reactor in virtual time, for whole applications.

A L{SimulatedReactor} stands for one process on one simulated host: delayed calls, UDP ports and name resolution,
all from the simulator.  Several reactors on one network are several machines; letting the simulator run lets them
all run.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from errno import EADDRINUSE, EADDRNOTAVAIL
from ipaddress import ip_address
from typing import Any, TypeVar

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, DeferredList, fail, maybeDeferred, succeed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHostnameResolver,
    IHostResolution,
    IListeningPort,
    IReactorCore,
    IReactorFromThreads,
    IReactorPluggableNameResolver,
    IReactorTime,
    IReactorUDP,
    IResolutionReceiver,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp.proto.values import host_and_port
from twisted_utp.testing.network import AddressInUse, Host, UDPPort
from twisted_utp.testing.not_simulated import NotSimulated
from twisted_utp.testing.packet import Packet
from twisted_utp.testing.simulator import SECOND, ScheduledCall, SimulationDidNotEnd

_log = Logger()
_T = TypeVar("_T")

MAX_UDP_PAYLOAD = 65_507
ANY_ADDRESS = {"": False, "0.0.0.0": False, "::": True}
"""Interfaces that mean "all", and whether they are IPv6."""


def address_of(host: str, port: int) -> IPv4Address | IPv6Address:
    """
    Twisted's form of a UDP address.
    """
    return IPv6Address("UDP", host, port) if ":" in host else IPv4Address("UDP", host, port)


@implementer(IListeningPort, IUDPTransport)
class SimulatedUDPPort:
    """
    What C{listenUDP} returns: a UDP port on a simulated host.

    @ivar protocol: the application.
    @ivar sent: datagrams written.
    @ivar received: datagrams handed to the protocol.
    """

    maxThroughput = 256 * 1024

    def __init__(
        self, reactor: SimulatedReactor, port: int, protocol: DatagramProtocol, interface: str, maxPacketSize: int
    ) -> None:
        self.reactor = reactor
        self.protocol = protocol
        self.interface = interface
        self.maxPacketSize = maxPacketSize
        self.sent = 0
        self.received = 0
        self._requested = port
        self._port: UDPPort | None = None
        self._is_closing = False
        self._waiters: list[Deferred[None]] = []
        self._connected: tuple[str, int] | None = None
        self._broadcast = False

    def startListening(self) -> None:
        """
        Bind.

        @raise error.CannotListenError: when the port is taken or the interface is not this host's.
        """
        host = self.reactor.host
        try:
            self._port = host.bind(self._receive, self._requested, address=self._own_address())
        except (AddressInUse, ValueError) as reason:
            # Applications look at the number, as real sockets have one.
            number = EADDRINUSE if isinstance(reason, AddressInUse) else EADDRNOTAVAIL
            raise error.CannotListenError(self.interface, self._requested, OSError(number, str(reason))) from None
        self.reactor._ports.append(self)
        self.protocol.makeConnection(self)

    def _own_address(self) -> str:
        if self.interface not in ANY_ADDRESS:
            return self.interface
        wants_ipv6 = ANY_ADDRESS[self.interface]
        for address in self.reactor.host.addresses:
            if (":" in address) == wants_ipv6:
                return address
        raise ValueError(f"no {'IPv6' if wants_ipv6 else 'IPv4'} address on this host")

    def stopListening(self) -> Deferred[None]:
        """
        Close.  The protocol hears of it in the next turn, and may send until then.

        @return: fires after that.
        """
        if self._port is None:
            return succeed(None)
        if not self._is_closing:
            self._is_closing = True
            self._port.close()
            self.reactor._ports.remove(self)
            self.reactor.callLater(0, self._stopped)
        waiter: Deferred[None] = Deferred()
        self._waiters.append(waiter)
        return waiter

    # Twisted's own port has this name for it, and its own protocols call it.
    loseConnection = stopListening

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Close at once: the reactor stops.
        """
        if self._port is not None and not self._is_closing:
            self._is_closing = True
            self._port.close()
            self.reactor._ports.remove(self)
            self._stopped()

    def _stopped(self) -> None:
        try:
            self.protocol.doStop()
        except Exception:
            _log.failure("stopping {protocol}", protocol=self.protocol)
        self._port = None
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.callback(None)

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        Where it is bound.
        """
        address = self._port.address if self._port is not None else (self.interface, self._requested)
        return address_of(address[0], address[1])

    def write(self, datagram: bytes, addr: tuple[str, int] | None = None) -> None:
        """
        Send one datagram.

        @raise error.MessageLengthError: when it is longer than UDP allows.
        """
        if self._port is None:
            return
        destination = self._destination(addr)
        if len(datagram) > MAX_UDP_PAYLOAD:
            raise error.MessageLengthError("message too long")
        self.sent += 1
        self._port.send(bytes(datagram), destination)

    def writeSequence(self, seq: Sequence[bytes], addr: tuple[str, int] | None = None) -> None:
        """
        Send the pieces as one datagram.
        """
        self.write(b"".join(seq), addr)

    def _destination(self, addr: tuple[str, int] | None) -> tuple[str, int]:
        if self._connected is not None:
            if addr not in (None, self._connected):
                raise ValueError(f"addr={addr!r}: connected to {self._connected!r}")
            return self._connected
        if addr is None:
            raise ValueError("addr=None: expected an address, the port is not connected")
        host, port = addr[:2]
        try:
            ip_address(host)
        except ValueError:
            raise error.InvalidAddressError(host, "write() only accepts IP addresses, not hostnames") from None
        return host, port

    def connect(self, host: str, port: int) -> None:
        """
        Only exchange datagrams with one peer.
        """
        if self._connected is not None:
            raise RuntimeError("already connected, reconnecting is not currently supported")
        self._connected = (host, port)

    def getBroadcastAllowed(self) -> bool:
        """
        May it send to broadcast addresses?  (There are none here.)
        """
        return self._broadcast

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """
        Allow it.
        """
        self._broadcast = enabled

    def _receive(self, packets: list[Packet]) -> None:
        for packet in packets:
            if self._port is None or self._is_closing:
                return
            if self._connected not in (None, packet.source):
                continue
            self.received += 1
            try:
                self.protocol.datagramReceived(packet.data[: self.maxPacketSize], host_and_port(packet.source))
            except Exception:
                _log.failure("datagramReceived of {protocol}", protocol=self.protocol)


@implementer(IHostResolution)
class _Resolution:
    """
    A name that is being looked up.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.call: IDelayedCall | None = None

    def cancel(self) -> None:
        """
        Stop looking.
        """
        if self.call is not None and self.call.active():
            self.call.cancel()


@implementer(IHostnameResolver)
class HostsTable:
    """
    Resolves numeric addresses to themselves, and names by a table, in the next turn of the reactor.
    """

    def __init__(self, reactor: SimulatedReactor, names: Mapping[str, Sequence[str]]) -> None:
        self._reactor = reactor
        self.names = dict(names)

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """
        Look a name up.
        """
        wanted = tuple(addressTypes) if addressTypes is not None else (IPv4Address, IPv6Address)
        resolution = _Resolution(hostName)

        def tell() -> None:
            for literal in self.lookup(hostName):
                kind: Any = IPv6Address if ":" in literal else IPv4Address
                if kind in wanted:
                    resolutionReceiver.addressResolved(kind(transportSemantics, literal, portNumber))
            resolutionReceiver.resolutionComplete()

        resolutionReceiver.resolutionBegan(resolution)
        resolution.call = self._reactor.callLater(0, tell)
        return resolution

    def lookup(self, name: str) -> Sequence[str]:
        """
        The numeric addresses of a name; none when it is unknown.
        """
        try:
            return [str(ip_address(name))]
        except ValueError:
            return self.names.get(name, ())


@implementer(IReactorCore, IReactorTime, IReactorUDP, IReactorPluggableNameResolver, IReactorFromThreads)
class SimulatedReactor(NotSimulated):
    """
    A reactor on a simulated host: UDP, delayed calls and names.  What else a reactor may have, TCP for one, it refuses
    with a sentence that says what to use instead.

    @ivar host: the host.
    @ivar nameResolver: a L{HostsTable} unless another was installed.
    @ivar random: the simulator's randomness, for whoever must not have any of its own.
    @ivar running: always true between L{run}'s begin and end, and before: there is nothing to wait for.
    """

    def __init__(self, host: Host, *, names: Mapping[str, Sequence[str]] | None = None) -> None:
        """
        @param names: numeric addresses of host names.
        """
        self.host = host
        self.simulator = host.network.simulator
        self.random = self.simulator.random
        self.running = True
        self._is_stopping = False
        self.nameResolver: Any = HostsTable(self, {"localhost": ("127.0.0.1",), **(names or {})})
        self._calls: dict[DelayedCall, ScheduledCall] = {}
        self._ports: list[SimulatedUDPPort] = []
        self._triggers: dict[tuple[str, str], list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]] = {}

    # --- IReactorTime -----------------------------------------------------------------------------------------

    def seconds(self) -> float:
        """
        The host's clock in seconds.
        """
        return self.host.clock.now() / SECOND

    def microseconds(self) -> int:
        """
        The host's clock in whole µs: what to give C{UTPProtocol} as its C{clock}.
        """
        return self.host.clock.now()

    def callLater(self, delay: float, callable: Callable[..., Any], *args: object, **kw: object) -> DelayedCall:
        """
        Call something in C{delay} seconds.
        """
        if delay < 0:
            raise ValueError(f"delay={delay!r}: expected 0 seconds or more")
        call = DelayedCall(self.seconds() + delay, callable, args, kw, self._cancelled, self._moved, self.seconds)
        self._schedule(call)
        return call

    def getDelayedCalls(self) -> list[IDelayedCall]:
        """
        What is to come.
        """
        calls: list[IDelayedCall] = [*self._calls]
        return sorted(calls, key=lambda call: call.getTime())

    def _schedule(self, call: DelayedCall) -> None:
        # Half a microsecond less, so that a time that went through a float is not a whole one late.
        reading = -int(-(call.getTime() * SECOND - 0.5) // 1)
        self._calls[call] = self.simulator.call_at(self.host.clock.when(reading), self._fire, call)

    def _cancelled(self, call: DelayedCall) -> None:
        self._calls.pop(call).cancel()

    def _moved(self, call: DelayedCall) -> None:
        self._calls.pop(call).cancel()
        self._schedule(call)

    def _fire(self, call: DelayedCall) -> None:
        del self._calls[call]
        if call.delayed_time > 0:
            call.activate_delay()
            self._schedule(call)
            return
        call.called = 1
        try:
            call.func(*call.args, **call.kw)
        except Exception:
            _log.failure("in a delayed call: {call}", call=call)

    # --- IReactorUDP ------------------------------------------------------------------------------------------

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> SimulatedUDPPort:
        """
        Bind a UDP port of the host.

        @param interface: one of the host's addresses; C{""} is the first IPv4 one, C{"::"} the first IPv6 one.
        """
        listening = SimulatedUDPPort(self, port, protocol, interface, maxPacketSize)
        listening.startListening()
        return listening

    def getReaders(self) -> list[SimulatedUDPPort]:
        """
        The ports that are open: what a test looks at for leaks.
        """
        return list(self._ports)

    # --- IReactorPluggableNameResolver, IReactorFromThreads ---------------------------------------------------

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:
        """
        Replace the resolver.

        @return: the one before.
        """
        before: IHostnameResolver = self.nameResolver
        self.nameResolver = resolver
        return before

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """
        Call something in the next turn.  There are no threads.
        """
        self.callLater(0, callable, *args, **kwargs)

    # --- IReactorCore -----------------------------------------------------------------------------------------

    def resolve(self, name: str, timeout: Sequence[int] = (1, 3, 11, 45)) -> Deferred[str]:
        """
        The first address of a name.
        """
        found = self.nameResolver.lookup(name) if isinstance(self.nameResolver, HostsTable) else ()
        return succeed(found[0]) if found else fail(error.DNSLookupError(name))

    def run(self, *args: object, **kwargs: object) -> None:
        """
        Run until L{stop}, or until nothing is left to happen.
        """
        self.running = True
        while self.running and self.simulator.step():
            pass

    def stop(self) -> None:
        """
        End L{run}, after the shutdown triggers, and close all ports, as C{disconnectAll} of Twisted's reactors does.
        """
        if not self.running or self._is_stopping:
            raise error.ReactorNotRunning("Can't stop reactor that isn't running.")
        self._is_stopping = True
        self.addSystemEventTrigger("during", "shutdown", self._stopped)
        self.fireSystemEvent("shutdown")

    def _stopped(self) -> None:
        self.running = self._is_stopping = False
        for port in list(self._ports):
            port.connectionLost()

    def crash(self) -> None:
        """
        End L{run} at once.
        """
        self.running = False

    def iterate(self, delay: float = 0) -> None:
        """
        Let C{delay} seconds pass.
        """
        self.advance(delay)

    def fireSystemEvent(self, eventType: str) -> None:
        """
        Call the triggers of an event, phase by phase.  The phases after C{"before"} wait for its Deferreds.
        """
        waits = DeferredList(self._fire_phase("before", eventType))
        waits.addCallback(lambda _: [self._fire_phase(phase, eventType) for phase in ("during", "after")])

    def _fire_phase(self, phase: str, event: str) -> list[Deferred[Any]]:
        triggers = self._triggers.pop((phase, event), [])
        return [maybeDeferred(what, *args, **kw).addErrback(self._log_trigger) for what, args, kw in triggers]

    @staticmethod
    def _log_trigger(reason: Failure) -> None:
        _log.failure("in a system event trigger", failure=reason)

    def addSystemEventTrigger(
        self, phase: str, eventType: str, callable: Callable[..., Any], *args: object, **kw: object
    ) -> Any:
        """
        Call something at an event.
        """
        trigger = (callable, args, kw)
        self._triggers.setdefault((phase, eventType), []).append(trigger)
        return (phase, eventType), trigger

    def removeSystemEventTrigger(self, triggerID: Any) -> None:
        """
        Do not.
        """
        key, trigger = triggerID
        self._triggers[key].remove(trigger)

    def callWhenRunning(self, callable: Callable[..., Any], *args: object, **kw: object) -> None:
        """
        Call something at once: the reactor runs.
        """
        callable(*args, **kw)

    # --- For tests --------------------------------------------------------------------------------------------

    def advance(self, seconds: float) -> None:
        """
        Let time pass, on the whole network.
        """
        self.simulator.run_for(round(seconds * SECOND))

    def wait_for(self, awaitable: Deferred[_T] | Coroutine[Any, Any, _T], *, limit: float = 600.0) -> _T:
        """
        Run the whole network until a L{Deferred} has fired, or a coroutine that awaits Deferreds has returned.

        @param limit: seconds of virtual time.
        @return: its result.
        @raise Exception: its failure.
        @raise SimulationDidNotEnd: when it does not fire.
        """
        results: list[Any] = []
        deferred = awaitable if isinstance(awaitable, Deferred) else Deferred.fromCoroutine(awaitable)
        deferred.addBoth(results.append)
        try:
            self.simulator.run(lambda: bool(results), limit=round(limit * SECOND))
        except SimulationDidNotEnd as why:
            raise SimulationDidNotEnd(f"what is waited for has no result: {why}") from None
        if isinstance(results[0], Failure):
            results[0].raiseException()
        result: _T = results[0]
        return result
