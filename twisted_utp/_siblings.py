"""
Keeps each connection with its process, where several processes have one UDP port.

The kernel spreads peers over the processes by a hash of their addresses, and otherwise whenever a process comes or
goes.  A packet that nobody knows in one process is therefore handed to the next, until one knows it or all have seen
it; the last does what the only one would do.  Who knows it tells the first, which hands on what follows directly.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from twisted_utp.proto.budget import Budget
from twisted_utp.proto.values import Address, Datagram
from twisted_utp.udp.process_group import ProcessGroup

if TYPE_CHECKING:
    from twisted_utp.protocol import UTPProtocol

# Another one is another version of this package's: a server that is restarted process by process has both for a while.
_FORMAT = 1
# The format, what it is, may it be refused, where it arrived first, who has seen it, segment size, the peer's port,
# lengths of both hosts.
_HEADER = struct.Struct("=BBBBQHHBB")
_ASKED, _KNOWN, _MINE = range(3)
_ID = struct.Struct(">H")

# Packets a second, and at once, about which others are asked.  A flood of strays would otherwise cost each process what
# it costs all; the peers of connections that have just moved are few, and repeat themselves.
ASKS_PER_SECOND = 2000
ASK_BURST = 1000

# Connections of others that are remembered; beyond that it begins anew, and asks again.
MAX_KNOWN = 65_536


@dataclass(frozen=True, slots=True)
class _Round:
    """
    What is known of a packet that others have seen.
    """

    kind: int
    may_refuse: bool
    first: int
    seen: int


class Siblings:
    """
    The other processes on one UDP port, see L{SiblingProcesses <twisted_utp.proto.sibling_processes.SiblingProcesses>}.
    """

    def __init__(self, reactor: Any, protocol: UTPProtocol, name: str) -> None:
        """
        @param protocol: the port.
        @param name: the same for all processes on that port, and no others.
        @raise OSError: when they cannot be reached.
        """
        self._protocol = protocol
        self._stats = protocol.multiplexer.stats
        self._round: _Round | None = None  # of what is being served
        self._known: dict[tuple[Address, int], int] = {}
        self._asks = Budget(ASK_BURST, 1_000_000 // ASKS_PER_SECOND)
        self._group = ProcessGroup(reactor, name, self._received)

    @property
    def number(self) -> int:
        """
        Ours among them.
        """
        return self._group.number

    def leave(self) -> None:
        """
        The port is closed.
        """
        self._group.leave()
        self._known.clear()

    # --- From the core -----------------------------------------------------------------------------------------

    def takes(self, address: Address, recv_id: int, datagram: Datagram) -> bool:
        """
        See L{SiblingProcesses.takes <twisted_utp.proto.sibling_processes.SiblingProcesses.takes>}.
        """
        if self._round is not None:
            return False  # who handed it over thought that it is ours
        number = self._known.get((address, recv_id))
        if number is None:
            return False
        if self._hand_to(number, datagram, _Round(_KNOWN, True, self.number, 1 << self.number)):
            return True
        self._known = {key: its for key, its in self._known.items() if its != number}
        return False

    def ask(self, datagram: Datagram, is_refused: bool) -> bool:
        """
        See L{SiblingProcesses.ask <twisted_utp.proto.sibling_processes.SiblingProcesses.ask>}.
        """
        before = self._round
        if before is None and not self._asks.take(self._protocol.clock()):
            self._stats.strays_dropped += 1
            return True
        seen = (before.seen if before is not None else 0) | 1 << self.number
        first = before.first if before is not None else self.number
        may_refuse = is_refused and (before is None or before.may_refuse)
        for number in self._group.others(seen):
            # Who turns out not to be there has seen it, too.
            if self._hand_to(number, datagram, _Round(_ASKED, may_refuse, first, seen)):
                return True
        # Whose connection it is may be the one who could not be asked; its peer will repeat the packet.
        return is_refused and (not may_refuse or self._group.is_crowded)

    def _hand_to(self, number: int, datagram: Datagram, how: _Round) -> bool:
        is_there = self._group.send(number, _encode(how, datagram))
        self._stats.handed_on += is_there
        return is_there

    # --- From the others ---------------------------------------------------------------------------------------

    def _received(self, messages: list[bytes]) -> None:
        understood = [pair for pair in map(_decode, messages) if pair is not None]
        for how, pairs in groupby(understood, lambda pair: pair[0]):
            datagrams = [datagram for _, datagram in pairs]
            if how.kind == _MINE:
                self._learn(how.first, datagrams)
            elif self._protocol.is_open:
                self._serve(how, datagrams)

    def _serve(self, how: _Round, datagrams: list[Datagram]) -> None:
        """
        As if they had arrived here.
        """
        ours = [datagram for datagram in datagrams if len(datagram.data) > _ID.size + 1]
        self._round = how
        try:
            self._protocol.datagrams_received(ours[:])
        finally:
            self._round = None
        table = self._protocol.multiplexer.table
        told: set[tuple[Address, int]] = set()
        for datagram in ours:
            key = datagram.address, _ID.unpack_from(datagram.data, _ID.size)[0]
            if table.get(*key) is None:
                continue
            self._stats.taken_over += 1
            if how.kind == _ASKED and key not in told:
                told.add(key)
                mine = Datagram(_ID.pack(key[1]), datagram.address)
                self._group.send(how.first, _encode(_Round(_MINE, False, self.number, 0), mine))

    def _learn(self, number: int, datagrams: Iterable[Datagram]) -> None:
        for datagram in datagrams:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[datagram.address, _ID.unpack(datagram.data)[0]] = number


def _encode(how: _Round, datagram: Datagram) -> bytes:
    address = datagram.address
    host, local = address[0].encode(), address[2].encode() if len(address) == 3 else b""
    lengths = len(host), len(local)
    header = (_FORMAT, how.kind, how.may_refuse, how.first, how.seen, datagram.segment_size, address[1], *lengths)
    return b"".join((_HEADER.pack(*header), host, local, datagram.data))


def _decode(message: bytes) -> tuple[_Round, Datagram] | None:
    """
    Only processes of our user are heard, so there is nothing to mistrust but their version.

    @return: L{None} for what is of another format.
    """
    if len(message) < _HEADER.size or message[0] != _FORMAT:
        return None
    _, kind, may_refuse, first, seen, size, port, host_size, local_size = _HEADER.unpack_from(message)
    at = _HEADER.size
    host = message[at : at + host_size].decode()
    local = message[at + host_size : at + host_size + local_size].decode()
    address: Address = (host, port, local) if local else (host, port)
    data = message[at + host_size + local_size :]
    return _Round(kind, bool(may_refuse), first, seen), Datagram(data, address, size)
