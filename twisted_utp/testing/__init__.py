"""
A simulated network in virtual time, for testing anything that speaks uTP, or runs over it.

Everything follows from one seed: the same seed gives the same packets at the same microseconds.  Three floors,
each usable without the ones above it:

  - the network: L{Simulator}, L{Link} with its models of loss, jitter and queues, L{Network}, L{Host}, L{NAT}, a
    L{Dumbbell} of many flows over one bottleneck, what shares it (L{TCPFlow} with Reno, CUBIC or BBR, a L{Page}, a
    L{Call}), L{Meter};
  - the core on it: L{Node} (a multiplexer and its owner's loop), L{Pair} (two of them), L{RawPeer} (one against
    a script of bytes), L{Transfer}, L{PacketLog};
  - Twisted on it: C{twisted_utp.testing.reactor.SimulatedReactor}.  It is not imported here, so that the other
    two need no Twisted.
"""

from twisted_utp.testing.call import Call
from twisted_utp.testing.cellular import cellular_trace
from twisted_utp.testing.clock import HostClock
from twisted_utp.testing.fq_codel import FQCoDel
from twisted_utp.testing.gro import merge
from twisted_utp.testing.jitter import Jitter, NormalJitter, UniformJitter, WiFi
from twisted_utp.testing.link import Link, LinkCounters
from twisted_utp.testing.loss import EveryNth, GilbertElliott, Loss, RandomLoss
from twisted_utp.testing.meter import Meter
from twisted_utp.testing.nat import NAT
from twisted_utp.testing.network import AddressInUse, Host, Network, Path, UDPPort
from twisted_utp.testing.node import Node, Record
from twisted_utp.testing.packet import Hop, Packet, Sink
from twisted_utp.testing.packet_log import Filter, LogEntry, PacketLog
from twisted_utp.testing.page import Fetch, Page
from twisted_utp.testing.pair import TO_CLIENT, TO_SERVER, Ends, Pair, Transfer
from twisted_utp.testing.pattern import Pattern, WrongBytes
from twisted_utp.testing.queues import RED, CoDel, DropTail, Queue
from twisted_utp.testing.rate_trace import RateTrace
from twisted_utp.testing.raw_peer import RawPeer
from twisted_utp.testing.simulator import MILLISECOND, SECOND, ScheduledCall, SimulationDidNotEnd, Simulator
from twisted_utp.testing.tcp import TCPFlow
from twisted_utp.testing.topology import Dumbbell, Flow
from twisted_utp.testing.wire import Header

__all__ = [
    "MILLISECOND",
    "NAT",
    "RED",
    "SECOND",
    "TO_CLIENT",
    "TO_SERVER",
    "AddressInUse",
    "Call",
    "CoDel",
    "DropTail",
    "Dumbbell",
    "Ends",
    "EveryNth",
    "FQCoDel",
    "Fetch",
    "Filter",
    "Flow",
    "GilbertElliott",
    "Header",
    "Hop",
    "Host",
    "HostClock",
    "Jitter",
    "Link",
    "LinkCounters",
    "LogEntry",
    "Loss",
    "Meter",
    "Network",
    "Node",
    "NormalJitter",
    "Packet",
    "PacketLog",
    "Page",
    "Pair",
    "Path",
    "Pattern",
    "Queue",
    "RandomLoss",
    "RateTrace",
    "RawPeer",
    "Record",
    "ScheduledCall",
    "SimulationDidNotEnd",
    "Simulator",
    "Sink",
    "TCPFlow",
    "Transfer",
    "UDPPort",
    "UniformJitter",
    "WiFi",
    "WrongBytes",
    "cellular_trace",
    "merge",
]
