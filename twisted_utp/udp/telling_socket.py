"""
How does Twisted's own UDP port, which knows C{recvfrom} alone, learn where a datagram arrived?

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

_READ_SIZE = 65_536

# Incomplete datagrams in a row, after which others have their turn.
_MAX_TRUNCATED = 64


class TellingSocket(socket.socket):
    """
    A UDP socket.

    @ivar sender: of the last datagram.
    @ivar local_addresses: tells where datagrams arrive, when the socket is bound to all addresses.
    @ivar truncated: datagrams that arrived incomplete and were dropped.
    """

    sender: Address = ("", 0)
    local_addresses: LocalAddresses | None = None
    truncated = 0

    @classmethod
    def in_place_of(cls, port: udp.Port) -> TellingSocket:
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
        for _ in range(_MAX_TRUNCATED):
            data, messages, flags, sender = self.recvmsg(_READ_SIZE, CONTROL_SPACE, socket.MSG_DONTWAIT)
            if flags & CUT_OFF:
                self.truncated += 1
                continue
            self.sender = (host_of(sender), sender[1])
            if self.local_addresses is not None:
                local, _ = self.local_addresses.read(messages)
                if not local:
                    self.truncated += 1
                    continue
                self.sender = (*self.sender, local)
            return data, sender
        raise BlockingIOError(EAGAIN, "incomplete datagrams only")
