"""
Trains of datagrams: how they get onto a UDP socket and off it.

This package knows sockets and no uTP.  L{listen_udp} opens a port, L{train_port} gives any datagram transport the
one shape that L{UTPProtocol <twisted_utp.protocol.UTPProtocol>} sends through.
"""

from __future__ import annotations

from twisted_utp.udp.adoption import adopt_udp
from twisted_utp.udp.interfaces import DatagramTooBig, IHoldingPort, ITrainPort, ITrainReceiver
from twisted_utp.udp.opening import listen_udp, receive_room, train_port
from twisted_utp.udp.plain import PlainTrainPort

__all__ = [
    "DatagramTooBig",
    "IHoldingPort",
    "ITrainPort",
    "ITrainReceiver",
    "PlainTrainPort",
    "adopt_udp",
    "listen_udp",
    "receive_room",
    "train_port",
]
