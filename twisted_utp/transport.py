"""
A uTP connection as an application sees it.

It looks like a TCP connection of Twisted: same methods, same order of calls, same moments.  Where the two could
differ, this file does what C{twisted.internet.tcp} and C{abstract.FileDescriptor} do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    ILoggingContext,
    IProducer,
    IProtocol,
    IPushProducer,
)
from twisted.logger import Logger
from twisted.python import context, log
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_utp._addresses import udp_address
from twisted_utp._arguments import check_integer, check_no_socket_settings
from twisted_utp._isolation import guarded, log_prefix
from twisted_utp._settings_mixin import SettingsMixin
from twisted_utp._tls import start_tls
from twisted_utp.errors import loss_exception
from twisted_utp.interfaces import IUTPTransport
from twisted_utp.proto.constants import DEFAULT_KEEPALIVE
from twisted_utp.proto.events import ConnectionLost, EndOfStream, Event, LossReason, Writable
from twisted_utp.proto.reconfiguration import reconfigure
from twisted_utp.proto.states import State
from twisted_utp.proto.stats import ConnectionStats

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address

    from twisted_utp.proto.config import UTPConfig
    from twisted_utp.proto.connection import Connection
    from twisted_utp.protocol import UTPProtocol

_log = Logger()

_LOG_CONTEXT = log.ILogContext

# A pull producer is asked for so many pieces before others have their turn.
_PULLS_IN_A_ROW = 16

# Our FIN has not left yet.
_WRITE_SIDE_OPEN = frozenset((State.SYN_SENT, State.SYN_RECEIVED, State.ESTABLISHED, State.CLOSE_WAIT))


@implementer(IUTPTransport, IConsumer, IPushProducer, ILoggingContext)
class UTPTransport(SettingsMixin):
    """
    One uTP connection, as L{IUTPTransport} and everything that Twisted programs use of a TCP transport.

    @ivar protocol: whom the connection serves.  An application may put another protocol in its place at any time.
        L{None} once the connection is lost.
    @ivar reactor: the reactor.
    @ivar connected: C{connectionLost} has not been called.
    @ivar disconnecting: C{loseConnection} has been called.
    @ivar disconnected: C{connectionLost} has been called.
    @ivar producer: who is registered by C{registerProducer}, if anyone.
    @ivar streamingProducer: it is a push producer.
    @ivar producerPaused: it has been paused because the send buffer was full.
    @ivar TLS: C{startTLS} has been called.
    """

    connected: bool = True
    disconnecting: bool = False
    disconnected: bool = False
    producer: IProducer | None = None
    streamingProducer: bool = False
    producerPaused: bool = False
    TLS: bool = False

    _aborting = False
    _reading_paused = False
    _write_closing = False  # loseWriteConnection was called
    _fin_seen = False  # ... and our FIN has left
    _write_closed = False  # ... and writeConnectionLost has returned
    _wants_pull = False
    _awaits_write = False  # the producer was told to go on and has not written since
    _buffer_size: int | None = None

    # When is the application told?
    #
    # Bytes, the end of the stream, a clean end of the connection: at once while C{_held} is None.  It is a list while
    # they have to wait, in their order: until the turn after connectionMade, and until reading is resumed.
    #
    # What TCP would tell in a later turn: from C{_next}, one in each turn of the reactor, in order.  What was held for
    # connectionMade is the first there, and connectionLost the last.
    #
    # An abort empties both; only connectionLost follows.  A reset does not wait for reading to be resumed.
    _held: list[Event] | None = None
    _next: list[Callable[[], object]] | None = None
    _is_new = False  # the turn after connectionMade has yet to come
    _is_lost = False  # connectionLost is in C{_next}

    def __init__(
        self,
        owner: UTPProtocol,
        connection: Connection,
        protocol: IProtocol,
        *,
        host: IPv4Address | IPv6Address,
        peer: IPv4Address | IPv6Address,
        lost: Callable[[], object] | None = None,
    ) -> None:
        """
        @param owner: the port that carries the connection.
        @param host: our address.
        @param peer: the other one.
        @param lost: called after C{connectionLost}, and after C{owner._detach}.
        """
        self.protocol: IProtocol | None = protocol
        self.reactor = owner.reactor
        self._owner = owner
        self._connection = connection
        self._host = host
        self._peer = peer
        self._lost = lost
        self._no_delay = connection.config.no_delay
        self._keepalive = connection.config.keepalive > 0
        self._log_prefix = self._make_log_prefix(protocol)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._log_prefix} {self._host.host}:{self._host.port}>"

    def _make_log_prefix(self, protocol: IProtocol) -> str:
        name = log_prefix(protocol)
        role = "" if self._connection.incoming else ",client"
        return f"{name}{role},{self._peer.host}:{self._peer.port}"

    # --- From the port -----------------------------------------------------------------------------------------

    def _start(self) -> Failure | None:
        """
        Tell the protocol that it is connected.

        @return: what its C{connectionMade} raised.
        """
        self._connection.user_data = self
        self._is_new, self._held = True, []
        return self._call(self._make_connection)

    def _settle_start(self) -> bool:
        """
        The batch that opened the connection has been dispatched.

        @return: it has brought more.
        """
        if not self._held:
            self._is_new, self._held = False, None
            return False
        is_waiting = bool(self._next)
        self._next = [self._begin_reading, *(self._next or ())]
        if not is_waiting:
            self._owner._tell_in_next_turn(self)
        return True

    def _begin_reading(self) -> None:
        """
        C{connectionMade} was a turn ago.
        """
        if self._is_new:
            self._is_new = False
            self._deliver_held()

    def _make_connection(self) -> None:
        assert self.protocol is not None
        self.protocol.makeConnection(self)

    def _data_received(self, data: bytes) -> None:
        """
        The next bytes of the stream are there.
        """
        if self._reading_paused or self._held is not None:
            self._hold(data)
        elif not (self.disconnected or self._aborting or self.disconnecting):  # TCP does not read on either
            self._tell_data(data)

    def _tell_data(self, data: bytes) -> None:
        """
        L{_call}, for what is called most.
        """
        stack: list[Any] = context.theContextTracker.currentContext().contexts
        stack.append({_LOG_CONTEXT: {"system": self._log_prefix}})
        try:
            self.protocol.dataReceived(data)  # type: ignore[union-attr]
        except BaseException:
            self._failed(Failure())
        finally:
            stack.pop()

    def _event_received(self, event: Event) -> None:
        """
        Something happened to the connection.
        """
        if isinstance(event, ConnectionLost):
            self._core_lost(event)
        elif isinstance(event, Writable):
            self._call(self._buffer_drained)
        elif self._reading_paused or self._held is not None:
            self._hold(event)
        else:
            self._deliver(event)

    def _hold(self, event: Event) -> None:
        if self._held is None:
            self._held = []
        self._held.append(event)

    def _deliver_held(self) -> None:
        """
        Deliver what has waited, unless it has to wait on.
        """
        if self._is_new:
            return
        while self._held and not self._reading_paused:
            self._deliver(self._held.pop(0))
        if not self._held:
            self._held = None

    def _in_next_turn(self, what: Callable[[], object]) -> None:
        if self._next:
            self._next.append(what)
            return
        self._next = [what]
        self._owner._tell_in_next_turn(self)

    def _turn_began(self) -> None:
        """
        Call what was to wait for this turn of the reactor.
        """
        if self._next:
            self._next.pop(0)()
            if self._next:
                self._owner._tell_in_next_turn(self)

    def _sending_progressed(self) -> bool:
        """
        Trains have left.  Called after each round of sending for those who asked for it by C{owner._watch}.

        @return: whether to be called again.
        """
        self._look_for_fin()
        if not self._aborting and self._connection.unsent_bytes * 2 <= self.bufferSize:
            self._call(self._buffer_drained)
        return self.connected and self._is_waiting()

    def _is_from(self, host: str, port: int | None = None) -> bool:
        """
        Has the peer opened the connection, from that host, and is it in use?

        @param port: the peer's; L{None} for any.
        """
        connection = self._connection
        theirs = connection.address
        return connection.incoming and theirs[0] == host and port in (None, theirs[1]) and not self.disconnecting

    @property
    def _is_closing(self) -> bool:
        """
        Has the application closed, and does it wait for the end, or for that of a protocol in between, TLS for one?
        """
        is_closing = self.disconnecting or getattr(self.protocol, "disconnecting", False)
        return bool(is_closing) and self.connected and not self._aborting

    def _failed(self, failure: Failure) -> None:
        """
        Something that is not ours has raised: that ends this connection, and no other.
        """
        _log.failure("{prefix}: unhandled error, the connection is dropped", failure, prefix=self._log_prefix)
        guarded("aborting", self._abort)
        self._connection_lost(failure)

    def _port_lost(self, reason: Failure) -> None:
        """
        The UDP port is no more.  Who has closed, and whose FIN has left, has no more to do with it, as with TCP.
        """
        self._begin_reading()  # there may be no next turn
        while self._next and self.connected:
            self._next.pop(0)()
        if self.disconnecting and self._connection.sender.fin_seq is not None:
            self._lose_cleanly()
        else:
            self._connection_lost(reason)

    def _is_waiting(self) -> bool:
        if self._awaits_fin():
            return True
        # When the core's limit was hit, a Writable event will come; the application's own limit is ours to watch.
        return (self.producerPaused or self._wants_pull) and not self._connection.is_write_full()

    # --- Events ------------------------------------------------------------------------------------------------

    def _deliver(self, event: Event) -> None:
        if isinstance(event, ConnectionLost):
            self._lose_in_next_turn(Failure(loss_exception(event)))
        elif self.disconnected or self._aborting:
            return
        elif isinstance(event, EndOfStream):
            self._end_of_stream()
        elif isinstance(event, bytes) and not self.disconnecting:  # TCP does not read on either
            self._tell_data(event)

    def _end_of_stream(self) -> None:
        """
        The peer has closed, or half closed; the two look alike.
        """
        if self.disconnecting:  # what is left to deliver is delivered, as by TCP, which does not read any more
            return
        half_closeable = IHalfCloseableProtocol(self.protocol, None)
        if half_closeable is not None:
            self._in_next_turn(lambda: self._read_connection_lost(half_closeable))
            return
        # As with TCP the application is done at once.  What it wrote, and our FIN, the core delivers on its own.
        self._close_cleanly()

    def _read_connection_lost(self, protocol: IHalfCloseableProtocol) -> None:
        if not self.disconnecting:
            self._call(protocol.readConnectionLost)

    def _core_lost(self, event: Event) -> None:
        assert isinstance(event, ConnectionLost)
        if event.fault is not None:
            self._failed(Failure(event.fault))
            return
        if event.reason is LossReason.DONE and not self._aborting:
            if self._held is not None:
                self._held.append(event)  # a clean end comes after the data
                return
            if not self.disconnecting and IHalfCloseableProtocol(self.protocol, None) is not None:
                return  # both directions are closed, and the application has yet to say that it knows
        if not self._is_new:
            self._held = None
        loss = self._owner._refusals.explain(self._connection, loss_exception(event))
        self._lose_in_next_turn(Failure(loss))

    # --- Our FIN -----------------------------------------------------------------------------------------------

    def _settle_end(self) -> None:
        """
        The application has closed, or half closed: may our FIN leave once all that was written has?

        C{abstract.FileDescriptor.doWrite} has the rule.  It closes when its buffer is empty, but for a producer that
        is paused, or is asked for each piece: that is told to go on instead, and the next write decides.
        """
        if not (self.disconnecting or self._write_closing) or self._aborting or self._has_fin_left():
            return
        now = self._owner.clock()
        if self.producer is not None and (not self.streamingProducer or self.producerPaused or self._awaits_write):
            self._connection.write_eof(now=now, is_due=False)
            return
        if self.disconnecting:
            self._connection.close(now=now)
        else:
            self._connection.write_eof(now=now)
        self._owner._watch(self)
        self._owner._request_flush()

    def _has_fin_left(self) -> bool:
        return self._connection.state not in _WRITE_SIDE_OPEN

    def _awaits_fin(self) -> bool:
        """
        Is C{writeConnectionLost} to be called when our FIN leaves?
        """
        return self._write_closing and not self._fin_seen and not self.disconnecting

    def _look_for_fin(self) -> None:
        """
        Tell the application, if our FIN has left.

        TCP says C{connectionLost} then, as the kernel sees to what is on its way.  We end with the process, so that
        has to arrive first; but when nothing is, the FIN needs no acknowledgement.  Otherwise the core says when all
        has arrived: to look at each round would let peers that take nothing cost time at each.
        """
        if self.disconnecting:
            if self._connection.has_all_arrived() and not self._is_lost:
                self._close_cleanly()
        elif self._awaits_fin() and self._has_fin_left():
            self._fin_seen = True
            half_closeable = IHalfCloseableProtocol(self.protocol, None)
            if half_closeable is None:
                self._write_closed = True
            else:
                self._in_next_turn(lambda: self._write_connection_lost(half_closeable))

    def _write_connection_lost(self, protocol: IHalfCloseableProtocol) -> None:
        if not self.disconnecting:
            self._call(protocol.writeConnectionLost)
        self._write_closed = True

    def _lose_cleanly(self) -> None:
        """
        For the application it is over.  What it wrote, and our FIN, the core delivers on its own, as a kernel does.
        """
        self._connection_lost(self._clean_end())

    def _close_cleanly(self) -> None:
        """
        The same, but the application is told in the next turn.
        """
        self._lose_in_next_turn(self._clean_end())

    def _clean_end(self) -> Failure:
        self._connection.close(now=self._owner.clock())
        self._owner._request_flush()
        return Failure(loss_exception(ConnectionLost(LossReason.DONE, self._connection.peer_close_code)))

    def _lose_in_next_turn(self, reason: Failure) -> None:
        self._is_lost = True
        self._in_next_turn(lambda: self._connection_lost(reason))

    def _call(self, what: Callable[..., object], *args: Any) -> Failure | None:
        """
        Call the application.  What it raises is logged and ends this connection, and no other.
        """
        if self.disconnected:
            return None
        failure = self._in_log_context(what, *args)
        if failure is not None:
            self._failed(failure)
        return failure

    def _in_log_context(self, what: Callable[..., object], *args: Any) -> Failure | None:
        """
        What is called logs in this connection's name, as by C{context.call}, which takes four times as many functions.

        @return: what it raised.
        """
        stack: list[Any] = context.theContextTracker.currentContext().contexts
        stack.append({_LOG_CONTEXT: {"system": self._log_prefix}})
        try:
            what(*args)
        except BaseException:
            return Failure()
        finally:
            stack.pop()
        return None

    def _connection_lost(self, reason: Failure) -> None:
        if self.disconnected:
            return
        self.disconnected = True
        self.connected = False
        self._is_new, self._held = False, None
        self._connection.user_data = None
        protocol, producer, lost = self.protocol, self.producer, self._lost
        self.protocol = self.producer = self._lost = None
        if producer is not None:
            self._tell("stopProducing", lambda: producer.stopProducing())
        self._tell("connectionLost", lambda: protocol.connectionLost(reason))  # type: ignore[union-attr]
        self._owner._detach(self)
        if lost is not None:
            self._tell("stopFactory", lost)

    def _tell(self, what: str, told: Callable[[], object]) -> None:
        """
        Tell somebody that it is over.  What he makes of it changes nothing.
        """
        failure = self._in_log_context(told)
        if failure is not None:
            _log.failure("uTP: unhandled error in {whose}", failure, whose=f"{what} of {self._log_prefix}")

    # --- ITransport --------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """
        Send some bytes, reliably.  Ignored once our FIN has left, which it does after C{loseConnection} when all that
        was written has.

        @raise TypeError: when it is not bytes.
        """
        if not self.TLS:
            self._stream_write(data)
        elif self.connected:
            self._tls.write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """
        Send an iterable of bytes, reliably.

        @raise TypeError: when it is not bytes.
        """
        chunks = list(iovec)
        for chunk in chunks:
            if not isinstance(chunk, bytes):
                raise TypeError("Data must be bytes")
        self.write(b"".join(chunks))

    def loseConnection(self) -> None:
        """
        Close the connection once everything written is delivered.  A pull producer, or a push producer that is
        paused, is waited for; any other is not, as with TCP.
        """
        if not self.TLS:
            self._stream_lose_connection()
        elif self.connected and not self.disconnecting:
            self._tls.loseConnection()

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        Our address, of type C{"UDP"}.
        """
        return self._host

    def getPeer(self) -> IPv4Address | IPv6Address:
        """
        The peer's address, of type C{"UDP"}.  Its port may change, when the peer's NAT forgets the old one.
        """
        port = self._connection.address[1]
        if port != self._peer.port:
            self._peer = udp_address(self._peer.host, port)
        return self._peer

    @property
    def _tls(self) -> Any:
        return self.protocol

    # --- ITCPTransport, ITLSTransport, IUTPTransport, ILoggingContext ------------------------------------------

    def abortConnection(self) -> None:
        """
        Reset the connection now; what was written and has not arrived is lost.
        """
        if self.disconnected or self._aborting:
            return
        self._aborting = True
        self._reading_paused = False
        self._is_new, self._held = False, None
        self._next, self._is_lost = None, False
        if self._connection.is_done:
            self._held = [ConnectionLost(LossReason.ABORTED)]
            self._owner._reading_resumed(self)
            return
        self._abort()

    def _abort(self) -> None:
        self._connection.abort(now=self._owner.clock())
        self._owner._request_flush()

    def loseWriteConnection(self) -> None:
        """
        Half close: send what was written, and our FIN, and go on reading.  C{writeConnectionLost} of an
        C{IHalfCloseableProtocol} is called when our FIN has been sent.
        """
        if self.disconnected or self.disconnecting or self._write_closing:
            return
        self._write_closing = True
        self._awaits_write = False
        self._settle_end()

    def getTcpNoDelay(self) -> bool:
        """
        Are small writes sent at once?
        """
        return self._no_delay

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        Send small writes at once, or coalesce them while others are unacknowledged.
        """
        self._no_delay = bool(enabled)
        if self.connected:
            self._connection.set_no_delay(self._no_delay, now=self._owner.clock())
            self._owner._request_flush()

    def getTcpKeepAlive(self) -> bool:
        """
        Is a silent connection kept alive?
        """
        return self._keepalive

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """
        Keep a silent connection, and the NAT mappings on its way, alive; after the configured number of seconds
        or, when that was 0, the default's.
        """
        self._keepalive = bool(enabled)
        if self.connected:
            seconds = (self._connection.config.keepalive or DEFAULT_KEEPALIVE) if enabled else 0
            self._connection.set_keepalive(seconds, now=self._owner.clock())
            self._owner._request_flush()

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        """
        Speak TLS from here on.

        @param contextFactory: see L{ITLSTransport.startTLS <twisted.internet.interfaces.ITLSTransport.startTLS>}.
        @param normal: who connected is the TLS client; C{False} for the other way round.
        """
        if self.connected:
            start_tls(self, contextFactory, self._connection.incoming is not normal)

    def stats(self) -> ConnectionStats:
        """
        See L{IUTPTransport.stats}.
        """
        return self._connection.stats()

    @property
    def settings(self) -> UTPConfig:
        """
        See L{IUTPTransport.settings}.
        """
        return self._connection.config

    def change_settings(self, **changes: Any) -> None:
        """
        See L{IUTPTransport.change_settings}.

        @raise ValueError: also on a setting that cannot change while connected.
        """
        check_no_socket_settings(changes)
        settings = reconfigure(self._connection, changes, now=self._owner.clock())
        self._no_delay = settings.no_delay if "no_delay" in changes else self._no_delay
        self._keepalive = settings.keepalive > 0 if "keepalive" in changes else self._keepalive
        self._owner._request_flush()

    def set_close_reason(self, close_code: int) -> None:
        """
        See L{IUTPTransport.set_close_reason}.

        @raise ValueError: when it does not fit in 16 bits.
        @raise TypeError: when it is no integer.
        """
        if isinstance(close_code, bool) or not isinstance(close_code, int):
            raise TypeError(f"close_code={close_code!r}: expected an integer")
        if not 0 <= close_code <= 0xFFFF:
            raise ValueError(f"close_code={close_code!r}: expected 0 to 65535")
        self._connection.close_code = close_code

    def logPrefix(self) -> str:
        """
        Whose messages are these in the log?
        """
        return self._log_prefix

    # --- IPushProducer: reading --------------------------------------------------------------------------------

    def pauseProducing(self) -> None:
        """
        Stop calling C{dataReceived}, at once.  The window that the peer sees closes as our buffer fills.
        """
        if self.connected and not self.disconnecting and not self._reading_paused:
            self._reading_paused = True
            self._connection.pause_reading()

    def resumeProducing(self) -> None:
        """
        Call C{dataReceived} again, though not from here.
        """
        if self.connected and not self.disconnecting and self._reading_paused:
            self._reading_paused = False
            self._connection.resume_reading(now=self._owner.clock())
            self._owner._reading_resumed(self)

    def stopProducing(self) -> None:
        """
        Close the connection.
        """
        self.loseConnection()

    # Programs written for Twisted's TCP use FileDescriptor's names as well.
    stopReading = pauseProducing
    startReading = resumeProducing

    # --- IConsumer: writing ------------------------------------------------------------------------------------

    @property
    def bufferSize(self) -> int:
        """
        Bytes not yet sent beyond which a producer is paused: the C{send_buffer} setting, unless it is set here.

        @raise ValueError: when it is negative.
        @raise TypeError: when it is no integer.
        """
        return self._connection.config.send_buffer if self._buffer_size is None else self._buffer_size

    @bufferSize.setter
    def bufferSize(self, nbytes: int) -> None:
        check_integer("bufferSize", nbytes, "bytes", low=0)
        self._buffer_size = nbytes

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        Let a producer write: pause and resume it as the send buffer fills and drains if it is a push producer,
        else ask it for each piece.

        @raise RuntimeError: when another is registered.
        """
        if self.disconnected:
            producer.stopProducing()
        elif self.TLS:
            self._tls.registerProducer(producer, streaming)
        else:
            self._stream_register_producer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        The producer has finished.
        """
        if self.TLS and self.connected:
            self._tls.unregisterProducer()
        else:
            self._stream_unregister_producer()

    def stopConsuming(self) -> None:
        """
        Unregister the producer and close the connection.
        """
        self.unregisterProducer()
        self.loseConnection()

    # --- The stream, below TLS ---------------------------------------------------------------------------------

    def _stream_write(self, data: bytes) -> None:
        """
        Write to the uTP stream.

        @raise TypeError: when it is not bytes.
        """
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        if not data or not self.connected:
            return
        if (self._aborting or self.disconnecting or self._write_closing) and not self._is_writable():
            return
        self._connection.write(data)
        if not self._owner._in_flush:
            self._owner._request_flush()
        if self.producer is None or self.disconnected:
            return
        self._awaits_write = False
        if not self.streamingProducer:
            self._wants_pull = True
            self._owner._watch(self)
        elif self._connection.unsent_bytes > self.bufferSize:
            self.producerPaused = True
            if self._buffer_size is not None:
                self._owner._watch(self)
            self.producer.pauseProducing()  # type: ignore[attr-defined]
        self._settle_end()

    def _is_writable(self) -> bool:
        if not self.connected or self._aborting:
            return False
        return not ((self.disconnecting or self._write_closing) and self._has_fin_left())

    def _stream_lose_connection(self) -> None:
        """
        Close the uTP stream once all is sent and the producer is gone.
        """
        if not self.connected or self.disconnecting or self._aborting:
            return
        if self._write_closed and self._connection.has_all_arrived() and not self._next:
            self._lose_cleanly()  # from within, as TCP does after a half close
            return
        self.disconnecting = True
        if self._connection.has_all_arrived() and not self._is_lost:
            self._close_cleanly()
            return
        self._awaits_write = False
        # Whatever still comes is thrown away, but that the peer has gone must be noticed.
        if self._reading_paused:
            self._reading_paused = False
            self._connection.resume_reading(now=self._owner.clock())
            self._owner._reading_resumed(self)
        self._settle_end()

    def _stream_register_producer(self, producer: IProducer, streaming: bool) -> None:
        """
        See L{registerProducer}.
        """
        if self.producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self.producer} was never unregistered."
            )
        if not self._is_writable():
            producer.stopProducing()  # nothing that it writes could be sent
            return
        self.producer = producer
        self.streamingProducer = streaming
        self.producerPaused = self._awaits_write = False
        self._settle_end()
        if not streaming:
            self._wants_pull = self._connection.unsent_bytes > 0
            self._owner._watch(self)
            producer.resumeProducing()  # type: ignore[attr-defined]

    def _stream_unregister_producer(self) -> None:
        """
        See L{unregisterProducer}.
        """
        self.producer = None
        self.producerPaused = self._wants_pull = self._awaits_write = False
        if self.connected:
            self._settle_end()

    def _buffer_drained(self) -> None:
        """
        Let the producer, if there is one that waits, go on.
        """
        producer = self.producer
        if self.producerPaused:
            if self._connection.unsent_bytes > self.bufferSize // 2:
                return  # a Writable of before: somebody was faster, and has filled the buffer again
            self.producerPaused = False
            self._awaits_write = not _has_ended(producer)
            self._settle_end()
            producer.resumeProducing()  # type: ignore[union-attr]
            return
        for _ in range(_PULLS_IN_A_ROW):
            if not self._wants_pull or self._aborting or self._connection.unsent_bytes > self.bufferSize:
                return
            self._wants_pull = False
            self.producer.resumeProducing()  # type: ignore[union-attr]


def _has_ended(producer: object) -> bool:
    """
    Is it a transport, of two that feed each other, which has lost its connection and so will never write again?

    Twisted's TLS registers a producer of its own in the transport's place, which holds that one.
    """
    return bool(getattr(getattr(producer, "_producer", producer), "disconnected", False))
