"""
Which packets of no connection may belong to another process on the same port.

Where several processes have one UDP port, the kernel spreads peers over them by a hash of their addresses, and another
way whenever a process comes or goes.  Then the packets of a connection arrive where nobody knows it.
"""

from __future__ import annotations

from typing import Protocol

from twisted_utp.proto.values import Address, Datagram


class SiblingProcesses(Protocol):
    """
    The other processes on the port.
    """

    def takes(self, address: Address, recv_id: int, datagram: Datagram) -> bool:
        """
        Is the connection known to be another process's?  The datagram, a single one or a train, is that one's then.
        """

    def ask(self, datagram: Datagram, is_refused: bool) -> bool:
        """
        Nobody here knows what a single datagram is about.

        @param is_refused: it would be answered with RESET.
        @return: it is to be forgotten here: another process has it now, or it deserves no RESET.
        """
