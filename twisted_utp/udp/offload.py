"""
What does the kernel do for us: cut trains apart when they leave (UDP GSO), put datagrams together when they come
(UDP GRO)?

Linux has both since 5.0.  A system call for each packet is where every other uTP spends most of its time.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from dataclasses import dataclass
from functools import lru_cache

from twisted_utp.udp.options import SOL_UDP, UDP_GRO, UDP_SEGMENT

SWITCH = "TWISTED_UTP_OFFLOAD"
"""Environment variable: C{0} does without the kernel's help, for tests and for drivers that lie."""

_UINT16 = struct.Struct("=H")
_INT = struct.Struct("=i")

# recvmsg's room for control messages.  We ask for one or two; others may be switched on by whoever shares the socket,
# and all that Linux has for IPv4 and IPv6, but for extension headers, fit.  It is allocated for each call: up to this
# size from the interpreter's own small blocks.
CONTROL_SPACE = 512

# recvmsg's flags that say that something is missing: of the datagram, of the control messages.
# A plain number: each datagram is compared with it, and an enum's operators are Python.
CUT_OFF = int(socket.MSG_TRUNC | socket.MSG_CTRUNC) if hasattr(socket, "MSG_CTRUNC") else 0

# No call waits, whatever somebody who shares the socket has set; Windows has no such flag.
DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)


@dataclass(frozen=True, slots=True)
class Offload:
    """
    What this machine's kernel can do.

    @ivar gso: it cuts trains apart.
    @ivar gro: it puts datagrams together.
    """

    gso: bool
    gro: bool


@lru_cache(maxsize=1)
def _kernel_offload() -> Offload:
    if not hasattr(socket.socket, "recvmsg") or not sys.platform.startswith("linux"):
        return Offload(gso=False, gro=False)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return Offload(gso=_takes(probe, UDP_SEGMENT, 0), gro=_takes(probe, UDP_GRO, 1))


def _takes(probe: socket.socket, option: int, value: int) -> bool:
    try:
        probe.setsockopt(SOL_UDP, option, value)
    except OSError:
        return False
    return True


def offload() -> Offload:
    """
    What the kernel can do and C{TWISTED_UTP_OFFLOAD} allows.  The kernel is asked once.
    """
    if os.environ.get(SWITCH) == "0":
        return Offload(gso=False, gro=False)
    return _kernel_offload()


def segment_message(size: int) -> list[tuple[int, int, bytes]]:
    """
    The control message that makes one C{sendmsg} send datagrams of C{size} bytes.  Never set on the socket: then
    everything that it sends would be cut.
    """
    return [(SOL_UDP, UDP_SEGMENT, _UINT16.pack(size))]


def segment_size(messages: list[tuple[int, int, bytes]]) -> int:
    """
    How long each datagram in a received buffer is; 0 when there is only one.
    """
    for level, kind, data in messages:
        if level == SOL_UDP and kind == UDP_GRO and len(data) >= _INT.size:
            return int(_INT.unpack_from(data)[0])
    return 0
