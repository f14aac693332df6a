"""
Tells Twisted's own UDP port, which only knows C{recvfrom}, where a datagram arrived.

It is given another socket object for the same descriptor, whose C{recvfrom} reads the control messages as well and
remembers what they said until the next call.  The port calls its protocol in between.
"""

from __future__ import annotations

import socket
from errno import EAGAIN
from typing import Any

from twisted.internet import udp

from twisted_utp.proto.values import Address
from twisted_utp.udp.addresses import host_of
from twisted_utp.udp.local import LocalAddresses, name_local_addresses
from twisted_utp.udp.offload import CONTROL_SPACE, CUT_OFF
from twisted_utp.udp.receive_times import ReceiveTimes

_READ_SIZE = 65_536

# Incomplete datagrams in a row, after which others have their turn.
_MAX_TRUNCATED = 64


class ControlMessageSocket(socket.socket):
    """
    A UDP socket.

    @ivar sender: of the last datagram.
    @ivar times: says when datagrams arrived, while somebody wants to know; C{received_at} is the last one's, µs, or 0.
    @ivar local_addresses: tells where datagrams arrive, when the socket is bound to all addresses.
    @ivar reads: datagrams that arrived.
    @ivar truncated: datagrams that arrived incomplete and were dropped.
    """

    sender: Address = ("", 0)
    local_addresses: LocalAddresses | None = None
    times: ReceiveTimes | None = None
    received_at = 0
    reads = 0
    truncated = 0
    _was_empty = True  # the last read found nothing: with the next one a batch begins

    @classmethod
    def in_place_of(cls, port: udp.Port) -> ControlMessageSocket:
        """
        Take the place of a port's socket.
        """
        theirs: Any = port.socket
        ours = cls(theirs.family, theirs.type, theirs.proto, fileno=theirs.detach())
        ours.setblocking(False)
        ours.local_addresses = name_local_addresses(ours)
        told: Any = port
        told.socket, told.fileno = ours, ours.fileno
        return ours

    def recvfrom(self, *arguments: Any) -> tuple[bytes, Any]:
        """
        See C{socket.recvfrom}; but datagrams are whole, however small the port takes them to be.
        """
        if self.times is not None and self._was_empty:
            self.times.begin()
        for _ in range(_MAX_TRUNCATED):
            self._was_empty = True
            data, messages, flags, sender = self.recvmsg(_READ_SIZE, CONTROL_SPACE, socket.MSG_DONTWAIT)
            self._was_empty = False
            if flags & CUT_OFF:
                self.truncated += 1
                continue
            self.sender = (host_of(sender), sender[1])
            self.received_at = 0
            if self.times is not None and messages:
                self.received_at, messages = self.times.take(messages)
            if self.local_addresses is not None:
                local, _ = self.local_addresses.read(messages)
                if not local:
                    self.truncated += 1
                    continue
                self.sender = (*self.sender, local)
            self.reads += 1
            return data, sender
        raise BlockingIOError(EAGAIN, "incomplete datagrams only")
