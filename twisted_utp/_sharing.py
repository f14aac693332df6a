"""
Lets another protocol, a DHT node for example, live on a UDP port of ours.

It is started and stopped with the port, and gets the datagrams that are not uTP.  What it raises is its own affair.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.protocol import DatagramProtocol

from twisted_utp._isolation import guarded, name_of
from twisted_utp.proto.values import Datagram, host_and_port


def start(other: DatagramProtocol, transport: Any) -> None:
    """
    The port is open.
    """
    guarded(f"startProtocol of {name_of(other)}", other.makeConnection, transport)


def stop(other: DatagramProtocol) -> None:
    """
    The port is closed, or shared no more.  One that was never started is left alone.
    """
    if other.transport is not None and other.numPorts:
        guarded(f"stopProtocol of {name_of(other)}", other.doStop)


def pass_on(foreign: Iterable[Datagram], other: DatagramProtocol) -> None:
    """
    Hand datagrams over, one by one.
    """
    whose = f"datagramReceived of {name_of(other)}"
    for datagram in foreign:
        data, size = datagram.data, datagram.segment_size or len(datagram.data)
        for start in range(0, len(data), size):
            guarded(whose, other.datagramReceived, data[start : start + size], host_and_port(datagram.address))
