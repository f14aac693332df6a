"""
Connects a reactor and the sans-IO core on one UDP port.

A L{UTPProtocol} runs the core's loop: datagrams go in, events come out and are dispatched, trains are sent, and
one delayed call waits for the next deadline.  All that is asked of the core within one turn of the reactor goes out
in one flush, so that acknowledgements ride on data and small writes share packets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from errno import EADDRNOTAVAIL, EHOSTUNREACH, ENETUNREACH
from random import SystemRandom
from typing import TYPE_CHECKING, Any, TypeVar, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.error import CannotListenError, ConnectError, getConnectError
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp import _sharing
from twisted_utp._addresses import local_of, peer_of
from twisted_utp._arguments import (
    check_callable,
    check_config,
    check_datagram_protocol,
    check_dial,
    check_factory,
    check_no_socket_settings,
    check_random,
)
from twisted_utp._connecting import OutgoingConnection
from twisted_utp._isolation import PeerPolicy, Throttle, guarded, guarded_policy
from twisted_utp._lateness import read_if_late
from twisted_utp._moderation import Moderation
from twisted_utp._punching import Punches
from twisted_utp._refusals import Refusals
from twisted_utp._routes import NOT_OPEN, Route, route_to
from twisted_utp._sending import hand_over
from twisted_utp._settings_mixin import SettingsMixin
from twisted_utp._steady import SteadyTimer, monotonic_us, unwatch, watch
from twisted_utp._stopping import abort_connections, note_closed, note_closing, note_gone, note_open
from twisted_utp._tracing import PortTracing
from twisted_utp._turns import NextTurn
from twisted_utp.errors import port_end
from twisted_utp.port import UTPPort
from twisted_utp.proto.config import UTPConfig
from twisted_utp.proto.events import Connected
from twisted_utp.proto.multiplexer import Multiplexer
from twisted_utp.proto.runs import runs_of
from twisted_utp.proto.values import Datagram, Obstacle, ReturnedDatagram, Transmit
from twisted_utp.transport import UTPTransport
from twisted_utp.udp import DatagramTooBig, ITrainPort, ITrainReceiver, receive_room, train_port

if TYPE_CHECKING:
    from random import Random

    from twisted_utp.proto.connection import Connection
    from twisted_utp.proto.stats import PortStats
    from twisted_utp.proto.trace import Tracer

_log = Logger()

_Told = TypeVar("_Told")

# Rounds of sending and dispatching in one flush, before the rest of the reactor has its turn.
_ROUNDS = 8

# Trains that are asked for at once.
_TRAINS = 64

# Seconds until a socket that was full is tried again.
_RETRY = 0.001

# Seconds between two messages about datagrams that could not be sent.
_ERROR_INTERVAL = 60

# Seconds between two messages about errors for which no connection is to blame, and seconds until the wheel is turned
# again after one: should it come each time, neither the log nor the processor is flooded.
_FAULT_INTERVAL = 1
_REST = 0.1

# An attempt to connect that meets one of these need not wait for its timeout.
_UNREACHABLE = frozenset((ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL))


@implementer(ITrainReceiver)
class UTPProtocol(SettingsMixin, DatagramProtocol):
    """
    All uTP connections on one UDP port: any number of factories that listen, and of outgoing connections.

    Give it to C{reactor.listenUDP}, on any reactor, or let the endpoints do so::

        protocol = UTPProtocol(reactor)
        reactor.listenUDP(9000, protocol)
        protocol.listen(factory)
        protocol.connect(other_factory, "192.0.2.7", 9000)

    @ivar reactor: the reactor.
    @ivar multiplexer: the core.
    @ivar clock: returns the time in µs, monotonic.
    @ivar other: gets the datagrams that are not uTP: a DHT node's, say.  See L{share_with}.
    @ivar closes_when_idle: close the UDP port when neither a factory nor a connection needs it any more.
    """

    noisy = False
    is_for_dialling = False  # see ITrainReceiver
    _expects_dial = False  # a connection has ended, whose owner may dial again at once

    def __init__(
        self,
        reactor: Any,
        config: UTPConfig | None = None,
        *,
        clock: Callable[[], int] | None = None,
        rng: Random | None = None,
        tracer: Tracer | None = None,
        other: DatagramProtocol | None = None,
        closes_when_idle: bool = False,
    ) -> None:
        """
        @param config: settings of connections that have none of their own.
        @param clock: the time in µs, monotonic; that of a reactor in virtual time, which has C{microseconds}, or
            else L{monotonic_us}.
        @param rng: for connection ids; predictable ones are for tests.  Without it the system's, or the
            C{random} of a simulated reactor.
        @param tracer: told what the core does; it replaces the traces that settings and the environment ask for.
        @param other: see L{share_with}.
        @raise TypeError: naming the argument that is of the wrong type.
        """
        check_config("config", config)
        check_callable("clock", clock, "a function that returns the time in µs")
        check_random("rng", rng)
        check_callable("tracer", tracer, "a Tracer, or None")
        check_datagram_protocol("other", other)
        self.reactor = reactor
        if clock is None:
            clock = getattr(reactor, "microseconds", monotonic_us)
        self.clock: Callable[[], int] = clock
        self.other = other
        self.closes_when_idle = closes_when_idle
        # On a SimulatedReactor the same must happen again, so what is random comes from there.
        rng = rng or getattr(reactor, "random", None) or SystemRandom()
        self.multiplexer = Multiplexer(config, rng=rng, tracer=tracer)
        self._tracing = PortTracing(tracer, self._unix_epoch)
        self.multiplexer.tracer = self._tracing.tracer_for(self.multiplexer.config)
        self._accept_policy: PeerPolicy | None = None
        self._port: ITrainPort | None = None
        self._host: IPv4Address | IPv6Address | None = None
        self._ports: list[UTPPort] = []
        self._transports: dict[UTPTransport, None] = {}
        self._attempts: dict[OutgoingConnection, None] = {}
        self._punches = Punches()
        self._closing = False
        self._closed_waiters: list[Deferred[None]] = []
        self._stop_waiters: list[Deferred[None]] = []
        self._batch: list[Datagram] = []
        self._batch_received_at = 0
        self._unsent: list[Transmit] = []
        self._resumed: list[UTPTransport] = []
        self._watchers: dict[UTPTransport, None] = {}
        self._turns = NextTurn(reactor, self._turn_began)
        self._in_flush = False  # what is asked of the core during a flush is served before that ends
        self._flush_call: IDelayedCall | None = None
        self._timer = SteadyTimer(reactor, clock, self._wake, is_exact=False)  # for the deadlines of all connections
        self._moderation = Moderation(clock)
        self._errors = Throttle(_ERROR_INTERVAL, clock)
        self._refusals = Refusals()
        self._faults = Throttle(_FAULT_INTERVAL, monotonic_us)  # our own clock may be what fails

    # --- What applications ask ---------------------------------------------------------------------------------

    def listen(self, factory: IProtocolFactory, config: UTPConfig | None = None) -> UTPPort:
        """
        Let a factory serve incoming connections.  Several may: they are asked in the order in which they began to
        listen, and the first whose C{buildProtocol} returns a protocol gets the connection; when none does it is
        reset.  Once the first stops, the next takes over.

        @param config: replaces the settings of connections accepted from now on.
        @raise CannotListenError: when the UDP port has not been opened yet, or has been closed.
        @raise TypeError: naming the argument that is of the wrong type.
        """
        check_factory("factory", factory)
        check_config("config", config)
        if config is not None:
            self._use(config)
        port = UTPPort(self, factory)
        port.startListening()
        return port

    def connect(
        self, factory: IProtocolFactory, host: str, port: int, config: UTPConfig | None = None, *, bindAddress: str = ""
    ) -> Deferred[IProtocol]:
        """
        Connect from this UDP port.

        @param host: a numeric address.
        @param config: settings of this connection.
        @param bindAddress: the address of ours to connect from, when the port is bound to several; the system's choice
            unless it is given.
        @return: fires with the protocol, or fails with C{ConnectionRefusedError}, C{TimeoutError},
            C{NoRouteError}, C{ConnectingCancelledError}, another C{ConnectError} that says why nothing can be sent
            there, or what the factory raised.
        @raise TypeError: naming the argument that is of the wrong type.
        @raise ValueError: when an address is a name, or the port out of range.
        """
        check_dial(factory, host, port, config, bindAddress)
        return self._connect_to(factory, host, port, config, bindAddress)

    def _connect_to(
        self, factory: IProtocolFactory, host: str, port: int, config: UTPConfig | None, source: str
    ) -> Deferred[IProtocol]:
        """
        L{connect}, with arguments that were checked.
        """
        route = route_to(None if self._closing else self._port, host, port, source)
        if isinstance(route, ConnectError):
            self._request_flush()  # the port may have been opened for this
            return fail(route)
        return self._connect_by(route, factory, config)

    def _connect_by(self, route: Route, factory: IProtocolFactory, config: UTPConfig | None) -> Deferred[IProtocol]:
        """
        Connect by a way that L{route_to <twisted_utp._routes.route_to>} has found; see L{connect}.
        """
        return self._dial(factory, route, config).result

    def _dial(
        self, factory: IProtocolFactory, route: Route, config: UTPConfig | None, *, is_punching: bool = False
    ) -> OutgoingConnection:
        attempt, own = OutgoingConnection(self, factory, route.peer), self.multiplexer.config

        def dial() -> Connection:
            return self.multiplexer.connect(
                route.address,
                now=self.clock(),
                config=config,
                tracer=None if config is None or config is own else self._tracing.tracer_for(config),
                is_punching=is_punching,
            )

        if attempt.start(dial):
            self._attempts[attempt] = None
            self._request_flush()
        return attempt

    def punch(
        self, factory: IProtocolFactory, host: str, port: int, config: UTPConfig | None = None, *, any_port: bool = True
    ) -> Deferred[IProtocol]:
        """
        Connect to a peer that connects to us at the same time, through the NATs of both (BEP 55).  A third party that
        both are connected to tells each the other's address, as it sees it; both then call this, from the port by which
        they are connected to it, within the connect timeout.  One connection comes out, at both ends.

        If the peer's connection came in before the call, and so went to a factory that listens, this fires with the
        protocol that it has there.

        @param host: a numeric address.
        @param config: settings of this connection, if it is by our SYN that it comes about.
        @param any_port: take a connection from another port of that host as well; behind a symmetric NAT, the peer has
            another one for us than for the third party.  Others behind the same NAT may be mistaken for the peer, so
            what is spoken over the connection should tell who the peer is.
        @return: see L{connect}.  Two symmetric NATs, or one that faces a port-restricted one, let nothing through:
            C{TimeoutError}.
        @raise TypeError: see L{connect}.
        @raise ValueError: see L{connect}.
        """
        check_dial(factory, host, port, config)
        route = route_to(None if self._closing else self._port, host, port)
        if isinstance(route, ConnectError):
            return fail(route)
        found = self._punches.find(self._transports, route.address, any_port, self.clock())
        if found is not None:
            return succeed(found)
        attempt = self._dial(factory, route, config, is_punching=True)
        if any_port and attempt in self._attempts:
            self._punches.add(attempt)
        return attempt.result

    def share_with(self, other: DatagramProtocol) -> None:
        """
        Hand the datagrams that are not uTP to another protocol, which may also send through the port: its
        C{transport} is the reactor's UDP port.  It keeps the port open, is started at once when that is open, and
        is stopped with it.

        @raise RuntimeError: when there is one already.
        @raise TypeError: when it is none.
        @raise Exception: what its C{startProtocol} raises; it does not share the port then.
        """
        check_datagram_protocol("other", other, optional=False)
        if self.other is not None:
            raise RuntimeError(f"the UDP port is shared with {self.other!r} already")
        self.other = other
        if self._port is not None and self.transport is not None:
            try:
                other.makeConnection(self.transport)
            except BaseException:
                self.other = None
                raise

    def stop_sharing(self) -> None:
        """
        Stop the protocol of L{share_with}.  Nothing happens when there is none.
        """
        other, self.other = self.other, None
        if other is not None:
            _sharing.stop(other)
        self._request_flush()  # the port may be closed now

    def stats(self) -> PortStats:
        """
        See L{IUTPListeningPort.stats <twisted_utp.interfaces.IUTPListeningPort.stats>}.
        """
        port = self._port
        stats = self.multiplexer.snapshot(
            reads=getattr(port, "reads", None),
            writes=getattr(port, "writes", None),
            truncated=getattr(port, "truncated", 0),
        )
        return replace(stats, proxy_dropped=getattr(port, "dropped", 0))

    def change_settings(self, **changes: Any) -> None:
        """
        See L{IUTPListeningPort.change_settings <twisted_utp.interfaces.IUTPListeningPort.change_settings>}.
        """
        check_no_socket_settings(changes)
        self._use(self.multiplexer.config.replace(**changes))
        self._request_flush()  # the port may have more to give to connections that wait

    def _use(self, config: UTPConfig) -> None:
        self.multiplexer.config = config
        self.multiplexer.tracer = self._tracing.tracer_for(config)

    @property
    def accept_policy(self) -> PeerPolicy | None:
        """
        Asked whether a SYN may open a connection, before anything is kept of it: called with the peer's address and a
        L{PortLoad <twisted_utp.proto.acceptance.PortLoad>}, it returns a L{Verdict
        <twisted_utp.proto.acceptance.Verdict>}, or C{True} or C{False}.  What it raises is logged, and the SYN left
        unanswered.  May be set, and set to L{None}, at any time.

        @raise TypeError: when it cannot be called.
        """
        return self._accept_policy

    @accept_policy.setter
    def accept_policy(self, policy: PeerPolicy | None) -> None:
        check_callable("accept_policy", policy, "a function of an address and a PortLoad, or None")
        self._accept_policy = policy
        self.multiplexer.gate.policy = None if policy is None else guarded_policy(policy)

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        Where the UDP port is bound.

        @raise RuntimeError: when there is none.
        """
        if self._port is None:
            raise RuntimeError(NOT_OPEN)
        return cast("IPv4Address | IPv6Address", self._port.getHost())

    @property
    def _udp_port(self) -> ITrainPort | None:
        """
        The UDP port, if there is one.
        """
        return self._port

    @property
    def is_open(self) -> bool:
        """
        Is there a UDP port?
        """
        return self._port is not None

    @property
    def _is_closing(self) -> bool:
        """
        Is the UDP port being closed, though the socket is still there?
        """
        return self._closing

    @property
    def is_listening(self) -> bool:
        """
        Does any factory listen?
        """
        return bool(self._ports)

    def when_closed(self) -> Deferred[None]:
        """
        Fires once the UDP port is closed.
        """
        waiter: Deferred[None] = Deferred()
        self._closed_waiters.append(waiter)
        return waiter

    # --- From the reactor and its UDP port ------------------------------------------------------------------

    def startProtocol(self) -> None:
        """
        The UDP port is open.
        """
        self._port = train_port(self.transport)
        self.multiplexer.receive_room = receive_room(self.transport)
        self._moderation.start(self._port)
        self._host = None
        self._closing = False
        note_open(self)
        watch(self.reactor, self._timer)
        if self.other is not None and self.transport is not None:
            _sharing.start(self.other, self.transport)
        self._request_flush()

    def stopProtocol(self) -> None:
        """
        The UDP port closes under us, or because nobody needs it.
        """
        was_ours, self._closing = self._closing, True
        self._moderation.stop()
        self._cancel_calls()
        unwatch(self.reactor, self._timer)
        read = None if was_ours else getattr(self._port, "doRead", None)
        if read is not None:
            guarded("reading what came before the end", read)
        guarded(
            "closing the UDP port", abort_connections, self.multiplexer, self._port, self._send_failed, self.clock()
        )
        lost, failed = port_end(getattr(self._port, "ended", None))
        self._port = None
        note_closed(self)
        reason = Failure(lost)
        for transport in list(self._transports):
            guarded(f"the end of {transport!r}", transport._port_lost, reason)
        for attempt in list(self._attempts):
            attempt.fail(Failure(failed))
        for port in list(self._ports):
            port._port_closed()
        self._ports.clear()
        self._batch.clear()
        self._unsent.clear()
        self._resumed.clear()
        self._watchers.clear()
        self._tracing.close()
        self._cancel_calls()
        if self.other is not None:
            _sharing.stop(self.other)
        self._closing = was_ours
        if not was_ours:
            self._tell_closed()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        One datagram; served with those that are read in the same turn of the reactor.
        """
        assert self._port is not None
        if not self._batch:
            # The first of a batch tells when the kernel woke us; reading the rest is our own delay, not the path's.
            self._batch_received_at = self.clock()
        received_at = getattr(self._port, "received_at", 0) or self._batch_received_at
        self._batch.append(Datagram(datagram, self._port.full_address(addr), 0, received_at))
        self._request_flush()

    def datagrams_received(self, datagrams: list[Datagram]) -> None:
        """
        See L{ITrainReceiver.datagrams_received}.  They are served at once.
        """
        try:
            now = self.clock()
            if len(datagrams) == 1 and not (
                self._in_flush or self._batch or self._flush_call or self._unsent or self._moderation.due
            ):
                taken = self.multiplexer.receive_single(datagrams[0], now)
                if taken is not None:
                    self._moderation.talked_at = now
                    self._answer(*taken)
                    return
            self._batch.extend(datagrams)
            if not self._in_flush:
                self._flush(now)
        except BaseException:
            self._turn_failed()

    def port_writable(self) -> None:
        """
        See L{ITrainReceiver.port_writable}.
        """
        if self._unsent and not self._in_flush:
            self._flush()

    def datagrams_returned(self, returned: list[ReturnedDatagram]) -> None:
        """
        See L{ITrainReceiver.datagrams_returned}.
        """
        if self._port is None:
            return
        try:
            for datagram in returned:
                datagram.address = self._port.full_address(datagram.address)
            self.multiplexer.receive_returned(returned, now=self.clock())
            self._request_flush()
        except BaseException:
            self._turn_failed()

    def connectionRefused(self) -> None:
        """
        An ICMP message that does not say what it is about.  Anyone can forge it, so the peer's own answer, or silence,
        decides.
        """

    # --- From transports, ports and attempts -------------------------------------------------------------------

    def _request_flush(self) -> None:
        """
        The core was asked for something: turn its wheel once this turn of the reactor is over.
        """
        if not self._in_flush and self._flush_call is None and self._port is not None:
            self._flush_call = self.reactor.callLater(0, self._flush)

    def _watch(self, transport: UTPTransport) -> None:
        """
        Call its C{_sending_progressed} after each round of sending, until that returns False.
        """
        self._watchers[transport] = None

    def _reading_resumed(self, transport: UTPTransport) -> None:
        """
        It may hold events to be delivered.
        """
        self._resumed.append(transport)
        self._request_flush()

    def _attach(
        self,
        connection: Connection,
        protocol: IProtocol,
        peer: IPv4Address | IPv6Address,
        lost: Callable[[], object] | None = None,
    ) -> Failure | None:
        """
        Give a connection that is established to a protocol.

        @param lost: called after C{connectionLost}.
        @return: what C{connectionMade} raised.
        """
        if self._host is None:
            # Asked for once: it is a system call, and an object for each connection.
            self._host = self.getHost()
        host = local_of(connection.address, peer, self._host)
        transport = UTPTransport(self, connection, protocol, host=host, peer=peer, lost=lost)
        self._transports[transport] = None
        if connection.incoming:
            self._punches.came_in(transport, self.clock())
        self._turns.new.append(transport)
        return transport._start()

    def _detach(self, transport: UTPTransport) -> None:
        """
        Its C{connectionLost} has been called.
        """
        self._transports.pop(transport, None)
        self._expects_dial = self.is_for_dialling
        self._punches.left(transport)
        self._watchers.pop(transport, None)
        self._request_flush()

    def _attempt_ended(self, attempt: OutgoingConnection) -> None:
        """
        It is connected, or has failed.
        """
        self._attempts.pop(attempt, None)
        self._punches.discard(attempt)
        self._request_flush()

    def _add_port(self, port: UTPPort) -> None:
        """
        Let its factory be asked.

        @raise CannotListenError: when the UDP port is not open.
        """
        if self._closing:
            raise CannotListenError("", 0, OSError("the UDP port is closed"))
        if self._port is None:
            raise CannotListenError("", 0, OSError(NOT_OPEN))
        self._ports.append(port)
        self.multiplexer.accepting = True
        _fire(self._stop_waiters)  # the port will not close now

    def _remove_port(self, port: UTPPort) -> Deferred[None]:
        """
        Ask its factory no more.

        @return: see L{UTPPort.stopListening}.
        """
        if port in self._ports:
            self._ports.remove(port)
        self.multiplexer.accepting = bool(self._ports)
        if not self.is_open or not self.closes_when_idle or self._is_needed():
            return succeed(None)
        # Connections that have ended for their applications may still see to it that the peer gets everything.
        # Waiting for them leaves nothing behind in the reactor; it ends as they end.
        self._request_flush()
        stopped: Deferred[None] = Deferred()
        self._stop_waiters.append(stopped)
        return stopped

    # --- One turn of the wheel ---------------------------------------------------------------------------------

    def _wake(self) -> None:
        """
        A deadline is due, or a port that is held is to be read.
        """
        try:
            served = self._moderation.poll() or read_if_late(self._port, self.multiplexer.poll_timeout(), self.clock())
        except BaseException:
            self._turn_failed()
            return
        if not served and self._is_early():
            self._arm_timer()  # a port that is held had nothing to read
        elif not served or self._batch:
            self._flush()

    def _is_early(self) -> bool:
        """
        Is nothing to be done yet?
        """
        due = self.multiplexer.poll_timeout()
        return not (self._batch or self._unsent) and (due is None or due > self.clock())

    def _flush(self, now: int | None = None, *, may_wait: bool = True) -> None:
        """
        A whole turn.  The time is read once more whenever an application has been called: what that took is no part of
        the path's delay.

        @param now: when it began, µs.
        @param may_wait: send in the next turn if that has something to say.
        """
        if self._flush_call is not None:
            self._drop_flush_call()
        if self._port is None:
            return
        self._in_flush = True
        try:
            if now is None:
                now = self.clock()
            self._receive(now)
            if self._dispatch():
                now = self.clock()
            # What is to be said in the next turn is answered in that, and one packet acknowledges it.
            waits = may_wait and self._turns.new and self._turns.settle()
            busy = not waits and self._exchange(now)
            if self._turns.new:
                self._turns.settle()
        except BaseException:
            self._in_flush = False
            self._turns.schedule()
            self._turn_failed()
            return
        self._in_flush = False
        if self._port is None:
            return  # an application closed it
        if self._turns.waiting:
            self._turns.schedule()
        if busy:
            self._request_flush()
        self._arm_timer()
        if self.closes_when_idle and not (self._transports or self._ports):
            self._close_if_idle()

    def _tell_in_next_turn(self, transport: UTPTransport) -> None:
        """
        Call its C{_turn_began} then.
        """
        self._turns.waiting.append(transport)
        if not self._in_flush:
            self._turns.schedule()

    def _turn_began(self, transports: list[UTPTransport]) -> None:
        self._in_flush = True
        for transport in transports:
            self._tell(transport, transport._turn_began)
        self._in_flush = False
        self._flush(may_wait=False)  # each turn may bring another connection

    def _answer(self, connection: Connection, data: bytes) -> None:
        """
        A whole turn for one packet that brought data, and one that the application answers with, if it does.

        The time is read once more, when the application has returned: what it took is no part of the path's delay.
        """
        transmit, port = None, self._port
        self._in_flush = True
        try:
            receiver = connection.user_data
            if receiver is not None:
                receiver._data_received(data)
            if not self._resumed and port is not None and port is self._port:
                transmit = self.multiplexer.poll_single(connection, self.clock())
                if transmit is not None:
                    try:
                        self._unsent = port.send([transmit], self._send_failed)
                    except Exception as error:
                        self._send_failed(transmit, error)
        except BaseException:
            self._connection_failed(connection)
        self._in_flush = False
        if self._turns.waiting:
            self._turns.schedule()
        if transmit is None or self._unsent or self._watchers or not self._transports:
            self._flush()
            return
        pending = self._timer.due
        if pending is None or connection.scheduled_at < pending:
            self._arm_timer()

    def _turn_failed(self) -> None:
        """
        Something that belongs to no connection was raised: a clock, a reactor, a fault of ours.  The port goes on, in
        a moment, whatever it was.  To be called while it is handled.
        """
        if self._faults.allows():
            _log.failure("uTP: unhandled error that belongs to no connection")
        if self._port is not None:
            self._timer.clear()
            self._timer.arm(int(_REST * 1_000_000), 0)  # whatever the time is

    def _log_faults(self) -> None:
        faults, self.multiplexer.faults = self.multiplexer.faults, []
        if self._faults.allows():
            _log.failure("uTP: unhandled error, the peer is refused", Failure(faults[0]))

    def _connection_failed(self, connection: Connection) -> None:
        """
        What was raised is one connection's, and ends that one.  To be called while it is handled.
        """
        failure = Failure()
        receiver = connection.user_data
        if receiver is not None:
            guarded(f"the end of {receiver!r}", receiver._failed, failure)
        else:
            _log.failure("uTP: unhandled error, the connection is dropped", failure)
            guarded("aborting", connection.abort, now=self.clock())

    def _receive(self, now: int) -> None:
        multiplexer = self.multiplexer
        if self._batch:
            batch, self._batch = self._batch, []
            runs = runs_of(batch)
            self._moderation.on_batch(*runs, multiplexer, now)
            foreign = multiplexer.receive_datagrams(batch, now=now, runs=runs)
            if foreign and self.other is not None:
                _sharing.pass_on(foreign, self.other)
        pending = self._timer.due  # never later than the earliest deadline
        if pending is None or pending <= now:
            due = multiplexer.poll_timeout()
            if due is not None and due <= now:
                multiplexer.handle_timeout(now=now)

    def _exchange(self, now: int) -> bool:
        """
        Send, and see what the applications make of it, until there is nothing to do.

        @return: whether there is.
        """
        for _ in range(_ROUNDS):
            more = self._send(now)
            if self._watchers:
                self._tell_watchers()
            self._dispatch()
            if not (more or self.multiplexer.wants_to_send):
                return False
            now = self.clock()
        return True

    def _dispatch(self) -> bool:
        """
        Tell everyone what happened to their connections.

        @return: there was something to tell.
        """
        multiplexer, has_told = self.multiplexer, False
        while True:
            events, resumed = multiplexer.poll_events(), self._resumed
            if not (events or resumed or multiplexer.faults):
                return has_told
            has_told = True
            if multiplexer.faults:
                self._log_faults()
            if resumed:
                self._resumed = []
                for transport in resumed:
                    self._tell(transport, transport._deliver_held)
            for connection, event in events:
                receiver = connection.user_data
                try:
                    if receiver is None:
                        if type(event) is Connected and event.incoming:
                            self._accept(connection)
                    elif type(event) is bytes:
                        receiver._data_received(event)
                    else:
                        receiver._event_received(event)
                except BaseException:
                    self._connection_failed(connection)

    @staticmethod
    def _tell(transport: UTPTransport, what: Callable[[], _Told]) -> _Told | None:
        try:
            return what()
        except BaseException:
            guarded(f"the end of {transport!r}", transport._failed, Failure())
            return None

    def _accept(self, connection: Connection) -> None:
        punch = self._punches.take(connection.address[0])
        if punch is not None:
            punch.adopt(connection)
            return
        peer = peer_of(connection.address)
        for port in list(self._ports):
            try:
                protocol = port.factory.buildProtocol(peer)
            except BaseException:
                _log.failure("{prefix}: unhandled error in buildProtocol", prefix=port.logPrefix())
                continue
            if protocol is not None:
                self._attach(connection, protocol, peer)
                return
        connection.abort(now=self.clock())

    def _send(self, now: int) -> bool:
        """
        @return: whether there may be more to send.  When there is not, it takes somebody who asks for it.
        """
        port = self._port
        if port is None:
            return False
        if self._unsent:
            self._unsent = hand_over(port, self._unsent, self._send_failed)
            return not self._unsent
        trains = self.multiplexer.poll_transmits(
            now=now, max_transmits=_TRAINS, max_segments=port.max_segments, max_bytes=port.max_bytes
        )
        if not trains:
            return False
        if self._moderation.due is not None:
            self._moderation.on_sent(trains)
        self._unsent = hand_over(port, trains, self._send_failed)
        # Fewer than were asked for are all that there were.
        return len(trains) >= _TRAINS and not self._unsent

    def _tell_watchers(self) -> None:
        watchers, self._watchers = self._watchers, {}
        for transport in watchers:
            if self._tell(transport, transport._sending_progressed):
                self._watchers[transport] = None

    def _send_failed(self, transmit: Transmit, error: Exception) -> None:
        """
        The kernel will not take it.  That is loss; but whoever is only trying to connect need not wait.
        """
        if isinstance(error, DatagramTooBig):  # an MTU probe: to find that out is what it is for
            self.datagrams_returned(
                [ReturnedDatagram(transmit.address, transmit.payload, Obstacle.TOO_BIG, error.size)]
            )
            return
        if not isinstance(error, OSError) or error.errno in _UNREACHABLE:
            hopeless = [attempt for attempt in self._attempts if attempt.address == transmit.address]
            for attempt in hopeless:
                attempt.fail(Failure(getConnectError(error) if isinstance(error, OSError) else error))
            if hopeless:
                return
        self._refusals.note(transmit.address, error, self.clock())
        if self._errors.allows():
            _log.warn("uTP: cannot send to {peer[0]}:{peer[1]}: {error}", peer=transmit.address, error=error)

    # --- Time --------------------------------------------------------------------------------------------------

    def _arm_timer(self) -> None:
        """
        One that is too early stays: it wakes us in vain, which happens once in a round trip.
        """
        now, read_due = self.clock(), self._moderation.due
        due = now + int(_RETRY * 1_000_000) if self._unsent else self.multiplexer.poll_timeout()
        self._timer.arm(due if read_due is None or (due is not None and due < read_due) else read_due, now)

    def _unix_epoch(self) -> int:
        """
        What added to L{clock} makes it the time of day, µs since 1970.
        """
        time_of_day: float = self.reactor.seconds()
        return round(time_of_day * 1_000_000) - self.clock()

    def _drop_flush_call(self) -> None:
        call, self._flush_call = self._flush_call, None
        if call is not None and call.active():
            call.cancel()

    def _cancel_calls(self) -> None:
        self._drop_flush_call()
        self._turns.clear()
        self._timer.clear()

    # --- The end -----------------------------------------------------------------------------------------------

    def _is_needed(self) -> bool:
        return bool(self._ports or self._transports or self._attempts or self.other is not None)

    def _close_if_idle(self) -> None:
        if not self.closes_when_idle or self._closing or self._is_needed() or self._unsent or self._batch:
            return
        if self.multiplexer.is_idle():
            assert self._port is not None
            if self._expects_dial:
                # Who dials one connection after the other does it now, and another socket costs more than a connection.
                self._expects_dial = False
                self._request_flush()
                return
            self._closing = True
            note_closing(self)
            # At once, where that is possible: see ErrorReportingPort.close.
            close = getattr(self._port, "close", self._port.stopListening)
            maybeDeferred(close).addBoth(lambda _: self._tell_closed())

    def _tell_closed(self) -> None:
        note_gone(self)
        _fire(self._closed_waiters)
        _fire(self._stop_waiters)


def _fire(waiters: list[Deferred[None]]) -> None:
    fired = waiters[:]
    waiters.clear()
    for waiter in fired:
        waiter.callback(None)
