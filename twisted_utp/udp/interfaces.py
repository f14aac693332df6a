"""
What the owner of a UDP port needs of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IAddress
from zope.interface import Attribute, Interface

from twisted_utp.proto.values import Address, Datagram, ReturnedDatagram, Transmit


class DatagramTooBig(Exception):
    """
    A datagram that must not be fragmented is too big for the interface that it would leave through.

    @ivar size: the largest UDP payload that is not, bytes; 0 when that is not known.
    """

    def __init__(self, size: int = 0) -> None:
        super().__init__(f"at most {size} bytes" if size else "too big for the interface")
        self.size = size


SendFailed = Callable[[Transmit, Exception], None]


class ITrainReceiver(Interface):
    """
    The C{DatagramProtocol} that an L{ITrainPort} was opened for.  Applications do not call these.
    """

    is_for_dialling = Attribute(
        "The port is open only for connections that this process dials: the log has its lines at level debug."
    )

    def datagrams_received(datagrams: list[Datagram]) -> None:
        """
        All datagrams that a port has read in one wake-up.
        """

    def datagrams_returned(returned: list[ReturnedDatagram]) -> None:
        """
        Datagrams that could not be delivered, as the network reports (ICMP).  Called at any time, also from inside
        L{ITrainPort.send}.
        """

    def port_writable() -> None:
        """
        The socket has room again, after L{ITrainPort.send} has returned what it had none for.
        """


class ITrainPort(Interface):
    """
    A UDP port that takes trains of equal datagrams.

    A port that reads batches itself (with the kernel's help, UDP_GRO) hands them to an L{ITrainReceiver}; others call
    C{datagramReceived} of the C{DatagramProtocol} they were opened for, with each datagram.
    """

    max_segments = Attribute("Datagrams in a train, at most; 1 when trains do not pay.")

    max_bytes = Attribute("Bytes in a train, at most.")

    takes_ipv4 = Attribute("It can send to IPv4 addresses.")

    chooses_source = Attribute("It is bound to several addresses, and sends from whichever it is told to.")

    def send(transmits: Sequence[Transmit], failed: SendFailed) -> list[Transmit]:
        """
        Hand trains to the kernel.

        @param failed: called with a train that the kernel will never take, and why: L{DatagramTooBig} for one that
            must not be fragmented and is too long for the interface.
        @return: what the kernel has no room for now; to be offered again.
        """

    def path_to(host: str, port: int, source: str = "") -> Address:
        """
        The address value of a peer: the one that datagrams from there will have.

        @param host: a numeric address, in any spelling.
        @param source: the address of ours to send from; C{""} for what the system prefers.
        @raise ValueError: when one of them is no numeric address.
        @raise OSError: why nothing can be sent there.
        """

    def full_address(address: Address) -> Address:
        """
        Where a datagram came from, with the scope id of a link-local address that the reactor's UDP port drops.
        """

    def getHost() -> IAddress:
        """
        Where it is bound.
        """

    def stopListening() -> object:
        """
        Close it.
        """


class IHoldingPort(ITrainPort):
    """
    One that can let datagrams wait in the socket, and tell afterwards when they arrived.  Each that is handed over
    after L{hold} has its C{received_at}.
    """

    is_held = Attribute("The reactor does not watch the socket.")

    def hold(clock: Callable[[], int]) -> bool:
        """
        Read only when L{poll} says so.

        @param clock: the time in µs, monotonic, on which C{received_at} is.
        @return: it does; the system may lack what it takes, and then nothing has changed.
        """

    def release() -> None:
        """
        Read when something arrives, as before; and be able to tell when for a while yet, until L{forget_times}.
        """

    def forget_times() -> None:
        """
        C{received_at} is not needed any more.
        """

    def poll() -> bool:
        """
        Read what is there.

        @return: there was something.
        """
