"""
Who closes a connection first, by what goes over the wire?

A packet socket between I{path} and I{theirs} sees all FINs that go in and out there.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import threading

from harness.network import THEIRS, Network, within

_ETH_P_ALL = 0x0003
"""With any other, one does not see what goes out."""
_IPV4_WITHOUT_OPTIONS = 0x45
_UDP_PAYLOAD = 28
"""Bytes of IPv4 and UDP headers, where there are no options."""
_FIN = 0x11
"""The first byte of a uTP packet: ST_FIN, version 1 (BEP-29)."""
_WAKES_UP_EVERY = 0.2
_LARGEST = 65_535

_LOAD_BYTE, _EQUAL, _RETURN = 0x30, 0x15, 0x06
_ONLY_FINS = (
    (_LOAD_BYTE, 0, 0, 0),
    (_EQUAL, 0, 5, _IPV4_WITHOUT_OPTIONS),
    (_LOAD_BYTE, 0, 0, 9),
    (_EQUAL, 0, 3, socket.IPPROTO_UDP),
    (_LOAD_BYTE, 0, 0, _UDP_PAYLOAD),
    (_EQUAL, 0, 1, _FIN),
    (_RETURN, 0, 0, _LARGEST),
    (_RETURN, 0, 0, 0),
)
"""A filter for the kernel (classic BPF), so that we see no other packet: code, jumps, operand."""
_SO_ATTACH_FILTER = 26


class Closings:
    """
    Listens from now on, until C{stop}.

    A FIN at the end of a train is not seen: this is for those who close when everything has been acknowledged.
    """

    def __init__(self, network: Network) -> None:
        self._socket = within(network.path, _open)
        self._by: list[tuple[int, bool]] = []  # the port of the host I{theirs}, and whether it sent the FIN
        self._ends = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ends:
            try:
                packet = self._socket.recv(_LARGEST)
            except TimeoutError:
                continue
            source, target = struct.unpack_from("!HH", packet, _UDP_PAYLOAD - 8)
            is_theirs = packet[12:16] == socket.inet_aton(THEIRS)
            self._by.append((source if is_theirs else target, is_theirs))

    def first(self, port: int) -> str | None:
        """
        Whose FIN was the first on a connection of that port of I{theirs}: C{we} or C{they}.
        """
        return next(("they" if is_theirs else "we" for seen, is_theirs in self._by if seen == port), None)

    def stop(self) -> None:
        """
        Hear no more.
        """
        self._ends = True
        self._thread.join()
        self._socket.close()


def _open() -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _ONLY_FINS))
    made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_ONLY_FINS), ctypes.addressof(program)))
    made.bind(("to-theirs", _ETH_P_ALL))
    made.settimeout(_WAKES_UP_EVERY)
    return made
