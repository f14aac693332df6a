"""
A UDP port that moves many datagrams with one system call.

It is Twisted's own UDP port in everything but reading and sending: it reads with C{recvmsg}, into which the kernel puts
datagrams that arrived together, and sends a train with one C{sendmsg}.  Where the kernel does not help, it reads and
sends single datagrams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE, ENOBUFS, ENOMEM, EWOULDBLOCK
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from zope.interface import implementer

from twisted_utp.proto.values import Address, Datagram, Transmit
from twisted_utp.udp.addresses import host_of
from twisted_utp.udp.error_port import ErrorReportingPort
from twisted_utp.udp.error_queue import MAX_PENDING, PENDING
from twisted_utp.udp.fragmentation import no_fragments
from twisted_utp.udp.interfaces import DatagramTooBig, IHoldingPort, SendFailed
from twisted_utp.udp.joining import joined
from twisted_utp.udp.local import Destinations
from twisted_utp.udp.offload import CONTROL_SPACE, CUT_OFF, DONT_WAIT, offload, segment_message, segment_size
from twisted_utp.udp.options import SOL_UDP, UDP_GRO
from twisted_utp.udp.receive_times import ReceiveTimes, switch_receive_times
from twisted_utp.udp.routes import Routes, takes_ipv4

if TYPE_CHECKING:
    import socket

# Linux takes 64 segments on every kernel that can cut trains at all (128 since 6.9).
MAX_SEGMENTS = 64

# UDP's length field, less its header and IPv4's.
MAX_BYTES = 65_507

READ_SIZE = 65_536

# What is read in one wake-up: after that, others on the reactor have their turn.  Trains fill the bytes.  More of them
# outgrow the processor's cache and the allocator's small blocks: with 1 MiB a receiver needs twice the CPU time.  What
# fills the reads are acknowledgements, one from each connection that was sent a train; with fewer of them the owner
# would send more in each turn than it hears of, and they would queue up in the socket until a round trip is a second.
MAX_READS = 1024
MAX_READ_BYTES = 256 * 1024

# Who asks and is answered in turn receives one datagram in each wake-up, and to find out that there is no second one
# costs as much as to receive the first.  After so many such wake-ups in a row only each eighth of them looks for it.
# More is slower to notice that many come at once; fewer saves less.
LOOK_AGAIN = 8
SMALL = 512

_NO_ROOM = frozenset((EAGAIN, EWOULDBLOCK, ENOBUFS, ENOMEM))

# What drivers that claim to cut trains, and cannot, answer when they should (quinn's experience); and the kernel, for
# routes through IPsec, and for those whose MTU is less than a segment.
_CANNOT_CUT = frozenset((EIO, EINVAL))

# So many trains to a host then leave one by one before the next is tried whole, which costs one call if it is refused
# again.  More is slower to notice that a route has changed.
SINGLY = 256

# Hosts for which that is remembered.  One that is forgotten is only tried again early.
MAX_SINGLY = 256

# Reads that empty an adopted socket, at most: as many datagrams as its buffer can hold, and a few.
MAX_WAITING = 16_384


@implementer(IHoldingPort)
class OffloadUDPPort(ErrorReportingPort):
    """
    A UDP port for reactors that watch file descriptors, on Linux.

    @ivar max_segments: see L{ITrainPort}.
    @ivar max_bytes: see L{ITrainPort}.
    @ivar cuts_trains: the kernel cuts them; else they leave one by one.
    @ivar reads: system calls that received something; C{writes} those that sent.
    @ivar is_held: see L{IHoldingPort}.
    """

    max_segments = MAX_SEGMENTS
    max_bytes = MAX_BYTES

    def __init__(self, port: int, proto: Any, interface: str, maxPacketSize: int, reactor: Any) -> None:
        super().__init__(port, proto, interface, maxPacketSize, reactor)
        self.cuts_trains = offload().gso
        self._singly: dict[str, int] = {}  # hosts that get no trains, and for how many trains yet
        self._destinations = Destinations()
        self._routes = Routes()
        self._has_errors = False  # the error queue is worth a look, whatever else there is to read
        self.reads = 0
        self.writes = 0
        self._alone = 0  # wake-ups in a row that brought one small datagram
        self.is_held = False
        self._times: ReceiveTimes | None = None

    def prepare(self, udp_socket: socket.socket) -> None:
        """
        See L{ErrorReportingPort.prepare}; datagrams that arrive are merged, where the kernel can.
        """
        super().prepare(udp_socket)
        if offload().gro:
            udp_socket.setsockopt(SOL_UDP, UDP_GRO, 1)

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        See L{ITrainPort.getHost}; with the scope of a link-local address.
        """
        name = self.socket.getsockname()
        return (IPv6Address if len(name) == 4 else IPv4Address)("UDP", host_of(name), name[1])

    def read_waiting(self) -> None:
        """
        What has arrived for an earlier owner may have been merged for him.  When we do not merge, it has to be read
        before that is switched off; the protocol gets it in the reactor's next turn.
        """
        if offload().gro:
            return
        try:
            self.socket.setsockopt(SOL_UDP, UDP_GRO, 1)
        except OSError:
            return  # a kernel that merges nothing
        waiting: list[Datagram] = []
        for merges in (1, 0):
            self.socket.setsockopt(SOL_UDP, UDP_GRO, merges)
            for _ in range(MAX_WAITING):
                read = self._receive(0)
                if not read:
                    break
                waiting += read if merges else ()  # in that moment: nobody could tell whether it was merged
        if waiting:
            reactor: Any = self.reactor
            reactor.callLater(0, self._deliver, waiting)

    def _deliver(self, waiting: list[Datagram]) -> None:
        if self.connected:
            self.protocol.datagrams_received(waiting)

    # --- Reading -----------------------------------------------------------------------------------------------

    def doRead(self) -> None:
        """
        Read what is there, within reason, and hand it over at once.
        """
        datagrams = self._receive(SMALL if self._alone > LOOK_AGAIN and self._alone % LOOK_AGAIN else 0)
        self._alone = self._alone + 1 if len(datagrams) == 1 and len(datagrams[0].data) < SMALL else 0
        # Some reactors wake us for errors as for datagrams.
        if self.reports_errors and (self._has_errors or not datagrams):
            self._has_errors = False
            self.read_errors()
        if datagrams:
            self.protocol.datagrams_received(datagrams)

    # While the port is held, whoever holds it calls C{poll}; that is cheaper than to have the reactor watch the socket
    # for each batch anew.

    def hold(self, clock: Callable[[], int]) -> bool:
        """
        See L{IHoldingPort.hold}.
        """
        if self._times is None:
            if not switch_receive_times(self.socket, on=True):
                return False
            self._times = ReceiveTimes(clock)
        self.is_held = True
        self.stopReading()
        return True

    def release(self) -> None:
        """
        See L{IHoldingPort.release}.
        """
        self.is_held = False
        if self.connected:
            self.startReading()

    def forget_times(self) -> None:
        """
        See L{IHoldingPort.forget_times}.
        """
        if self._times is not None:
            self._times = None
            switch_receive_times(self.socket, on=False)

    def poll(self) -> bool:
        """
        See L{IHoldingPort.poll}.
        """
        self._alone = 0  # all that there is, not the first alone
        before = self.reads
        self.doRead()
        return self.reads != before

    def _receive(self, enough: int) -> list[Datagram]:
        """
        @param enough: a datagram shorter than that is taken for the last.
        """
        datagrams: list[Datagram] = []
        receive, local_addresses, times = self.socket.recvmsg, self.local_addresses, self._times
        room, received_at = MAX_READ_BYTES, 0
        if times is not None:
            times.begin()
        for _ in range(MAX_READS):
            try:
                # Whether a call waits is a matter of the open file, so whoever shares it could change that.
                data, messages, flags, sender = receive(READ_SIZE, CONTROL_SPACE, DONT_WAIT)
            except OSError as error:
                if error.errno == EINTR:
                    continue
                # Nothing more; or an ICMP message about a datagram of ours, which the error queue has too.
                if error.errno in _NO_ROOM:
                    break
                self._has_errors = True
                continue
            if flags & CUT_OFF:
                self.truncated += 1
                continue
            if len(sender) == 4:
                sender = (host_of(sender), sender[1])
            if times is not None and messages:
                received_at, messages = times.take(messages)
            if local_addresses is None:
                datagrams.append(Datagram(data, sender, segment_size(messages) if messages else 0, received_at))
            else:
                local, size = local_addresses.read(messages)
                if not local:
                    self.truncated += 1
                    continue
                datagrams.append(Datagram(data, (sender[0], sender[1], local), size, received_at))
            room -= len(data)
            if room <= 0 or len(data) < enough:
                break
        self.reads += len(datagrams)
        return datagrams

    # --- Sending -----------------------------------------------------------------------------------------------

    def send(self, transmits: Sequence[Transmit], failed: SendFailed) -> list[Transmit]:
        """
        See L{ITrainPort.send}.  The protocol's C{port_writable} is called when there is room again.
        """
        if len(transmits) > 1 and self.cuts_trains:
            transmits = joined(transmits, self.max_segments)
        for index, transmit in enumerate(transmits):
            if transmit.count == 1 and not transmit.dont_fragment:
                try:
                    self._send_message(transmit)
                    continue
                except OSError as error:
                    rest = self._send_again(transmit, error, failed)
                except ValueError as error:  # an address that is none
                    failed(transmit, error)
                    continue
            else:
                rest = self._send_train(transmit, failed)
            if rest is not None:
                self.startWriting()
                return [rest, *transmits[index + 1 :]]
        return []

    def doWrite(self) -> None:
        """
        There is room in the socket's buffer again.
        """
        self.stopWriting()
        self.protocol.port_writable()

    def _send_train(self, transmit: Transmit, failed: SendFailed) -> Transmit | None:
        """
        @return: the part of the train for which there was no room.
        """
        if transmit.count > 1 and (not self.cuts_trains or (self._singly and self._leaves_singly(transmit))):
            return self._send_singles(transmit, failed)
        try:
            if transmit.dont_fragment:
                self._send_unfragmented(transmit)
            else:
                self._send_message(transmit)
            return None
        except OSError as error:
            return self._send_again(transmit, error, failed)
        except ValueError as error:  # an address that is none
            failed(transmit, error)
            return None

    def _send_unfragmented(self, transmit: Transmit) -> None:
        with no_fragments(self.socket):
            self._send_message(transmit)

    def _send_message(self, transmit: Transmit) -> None:
        messages, where = self._destinations.known.get(transmit.address) or self._destinations.find(transmit.address)
        if transmit.count > 1:
            messages = messages + segment_message(transmit.segment_size)
        if messages:
            self.socket.sendmsg((transmit.payload,), messages, DONT_WAIT, where)
        else:
            self.socket.sendto(transmit.payload, DONT_WAIT, where)
        self.writes += 1

    def _send_again(self, transmit: Transmit, error: OSError, failed: SendFailed) -> Transmit | None:
        """
        It did not leave.  Was it an earlier datagram's fault, perhaps one to another peer?

        @return: the part of the train for which there was no room.
        """
        for _ in range(MAX_PENDING):
            if error.errno not in PENDING:
                break
            self._has_errors = True
            try:
                (self._send_unfragmented if transmit.dont_fragment else self._send_message)(transmit)
                return None
            except OSError as again:
                error = again
        if error.errno in _NO_ROOM:
            return transmit
        if transmit.count > 1 and error.errno in _CANNOT_CUT:
            self._singly[transmit.address[0]] = SINGLY
            while len(self._singly) > MAX_SINGLY:
                del self._singly[next(iter(self._singly))]
            return self._send_singles(transmit, failed)
        if transmit.count > 1 and error.errno == EMSGSIZE:
            # The path has become narrower than the segments: trains are never fragmented, single datagrams are.
            return self._send_singles(transmit, failed)
        self._routes.forget()
        if transmit.dont_fragment and error.errno == EMSGSIZE:
            failed(transmit, DatagramTooBig(self.read_errors() if self.reports_errors else 0))
        else:
            failed(transmit, error)
        return None

    def _leaves_singly(self, transmit: Transmit) -> bool:
        """
        Has the kernel refused to cut a train to that host, not long ago?
        """
        host = transmit.address[0]
        left = self._singly.get(host, 0)
        if left > 1:
            self._singly[host] = left - 1
        elif left:
            del self._singly[host]
        return left > 0

    def _send_singles(self, transmit: Transmit, failed: SendFailed) -> Transmit | None:
        size, address = transmit.segment_size, transmit.address
        for sent, segment in enumerate(transmit.segments()):
            rest = self._send_train(Transmit(address, segment, len(segment)), failed)
            if rest is not None:
                return Transmit(address, transmit.payload[sent * size :], size, transmit.count - sent)
        return None

    def path_to(self, host: str, port: int, source: str = "") -> Address:
        """
        See L{ITrainPort.path_to}.
        """
        return self._routes.path_to(self.socket, host, port, source, names_source=self.chooses_source)

    @property
    def takes_ipv4(self) -> bool:
        """
        See L{ITrainPort}.
        """
        return takes_ipv4(self.socket)

    @property
    def chooses_source(self) -> bool:
        """
        See L{ITrainPort}.
        """
        return self.local_addresses is not None

    def full_address(self, address: Address) -> Address:
        """
        See L{ITrainPort.full_address}.  What L{doRead} hands over has its scope already.
        """
        return address
