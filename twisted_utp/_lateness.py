"""
Reads the socket before a deadline that is served late.

The process was busy, or had no processor, and what arrived meanwhile waits in the socket: maybe the very answer
that the deadline misses.  A reactor serves delayed calls before sockets, so a port reads first.  Otherwise each pause
that is longer than a retransmission timeout makes every connection repeat what has long been acknowledged.
"""

from __future__ import annotations

from twisted_utp.udp import IHoldingPort, ITrainPort

# µs.  A reactor's delayed calls are late by a millisecond or so at any time; then a read would mostly be in vain.
LATE = 2_000


def read_if_late(port: ITrainPort | None, due: int | None, now: int) -> bool:
    """
    Read what waits, if a deadline has passed some time ago.

    @param due: the deadline, µs; L{None} for none.
    @return: something was read, and its protocol has been given it.
    """
    if port is None or due is None or now - due < LATE or not IHoldingPort.providedBy(port):
        return False
    return bool(port.poll())
