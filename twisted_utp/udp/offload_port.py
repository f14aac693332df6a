"""
How does a UDP port move many datagrams with one system call?

It is Twisted's own UDP port in everything but reading and sending: it reads with C{recvmsg}, into which the kernel puts
datagrams that arrived together, and sends a train with one C{sendmsg}.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import EAGAIN, EINTR, EINVAL, EIO, EMSGSIZE, ENOBUFS, ENOMEM, EWOULDBLOCK
from typing import Any

from zope.interface import implementer

from twisted_utp.proto.values import Address, Datagram, Transmit
from twisted_utp.udp.error_port import ErrorReportingPort
from twisted_utp.udp.error_queue import MAX_PENDING, PENDING, peer_address
from twisted_utp.udp.fragmentation import no_fragments
from twisted_utp.udp.interfaces import DatagramTooBig, ITrainPort, SendFailed
from twisted_utp.udp.offload import ANCILLARY_SPACE, SOL_UDP, UDP_GRO, offload, segment_message, segment_size

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

# What drivers that claim to cut trains, and cannot, answer when they should (quinn's experience).
_CANNOT_CUT = frozenset((EIO, EINVAL))


@implementer(ITrainPort)
class OffloadUDPPort(ErrorReportingPort):
    """
    A UDP port for reactors that watch file descriptors, on Linux.

    @ivar max_segments: see L{ITrainPort}; 1 once the driver has refused to cut a train.
    @ivar max_bytes: see L{ITrainPort}.
    @ivar reads: system calls that received something; C{writes} those that sent.
    """

    max_bytes = MAX_BYTES

    def __init__(self, port: int, proto: Any, interface: str, maxPacketSize: int, reactor: Any) -> None:
        super().__init__(port, proto, interface, maxPacketSize, reactor)
        self.max_segments = MAX_SEGMENTS if offload().gso else 1
        self._has_errors = False  # the error queue is worth a look, whatever else there is to read
        self.reads = 0
        self.writes = 0
        self._alone = 0  # wake-ups in a row that brought one small datagram

    def prepared(self, udp_socket: Any) -> Any:
        """
        A socket that merges what it receives, if it can.
        """
        prepared = super().prepared(udp_socket)
        if offload().gro:
            prepared.setsockopt(SOL_UDP, UDP_GRO, 1)
        return prepared

    # --- Reading -----------------------------------------------------------------------------------------------

    def doRead(self) -> None:
        """
        Read what is there, within reason, and hand it over at once.
        """
        datagrams: list[Datagram] = []
        receive = self.socket.recvmsg
        room = MAX_READ_BYTES
        enough = SMALL if self._alone > LOOK_AGAIN and self._alone % LOOK_AGAIN else 0
        for _ in range(MAX_READS):
            try:
                data, messages, _flags, sender = receive(READ_SIZE, ANCILLARY_SPACE)
            except OSError as error:
                if error.errno == EINTR:
                    continue
                # Nothing more; or an ICMP message about a datagram of ours, which the error queue has too.
                if error.errno in _NO_ROOM:
                    break
                self._has_errors = True
                continue
            datagrams.append(Datagram(data, peer_address(sender), segment_size(messages) if messages else 0))
            room -= len(data)
            if room <= 0 or len(data) < enough:
                break
        self.reads += len(datagrams)
        self._alone = self._alone + 1 if len(datagrams) == 1 and room > MAX_READ_BYTES - SMALL else 0
        # Some reactors wake us for errors as for datagrams.
        if self.reports_errors and (self._has_errors or not datagrams):
            self._has_errors = False
            self.read_errors()
        if datagrams:
            self.protocol.datagrams_received(datagrams)

    # --- Sending -----------------------------------------------------------------------------------------------

    def send(self, transmits: Sequence[Transmit], failed: SendFailed) -> list[Transmit]:
        """
        See L{ITrainPort.send}.  The protocol's C{port_writable} is called when there is room again.
        """
        for index, transmit in enumerate(transmits):
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
        if transmit.count > 1 and self.max_segments == 1:
            return self._send_singles(transmit, failed)
        try:
            self._send_now(transmit)
            return None
        except OSError as error:
            return self._send_again(transmit, error, failed)
        except ValueError as error:  # an address that is none
            failed(transmit, error)
            return None

    def _send_now(self, transmit: Transmit) -> None:
        if transmit.dont_fragment:
            with no_fragments(self.socket):
                self.socket.sendto(transmit.payload, transmit.address)
        elif transmit.count == 1:
            self.socket.sendto(transmit.payload, transmit.address)
        else:
            self.socket.sendmsg([transmit.payload], segment_message(transmit.segment_size), 0, transmit.address)
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
                self._send_now(transmit)
                return None
            except OSError as again:
                error = again
        if error.errno in _NO_ROOM:
            return transmit
        if transmit.count > 1 and error.errno in _CANNOT_CUT:
            self.max_segments = 1
            return self._send_singles(transmit, failed)
        if transmit.count > 1 and error.errno == EMSGSIZE:
            # The path has become narrower than the segments: trains are never fragmented, single datagrams are.
            return self._send_singles(transmit, failed)
        if transmit.dont_fragment and error.errno == EMSGSIZE:
            failed(transmit, DatagramTooBig(self.read_errors() if self.reports_errors else 0))
        else:
            failed(transmit, error)
        return None

    def _send_singles(self, transmit: Transmit, failed: SendFailed) -> Transmit | None:
        size, address = transmit.segment_size, transmit.address
        for sent, segment in enumerate(transmit.segments()):
            rest = self._send_train(Transmit(address, segment, len(segment)), failed)
            if rest is not None:
                return Transmit(address, transmit.payload[sent * size :], size, transmit.count - sent)
        return None

    def full_address(self, address: Address) -> Address:
        """
        See L{ITrainPort.full_address}.  What L{doRead} hands over has its scope already.
        """
        return address
