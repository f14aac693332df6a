"""
How does a leech keep a seed busy, and know that what it got is right?
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import IO

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from bittorrent.metainfo import Metainfo
from bittorrent.wire import BLOCK, BLOCK_HEADER, REQUEST, Message, PeerWire, WireError

PIPELINE = 128
"""Requests under way at once: 2 MiB, enough for 160 Mbit/s at a round trip of 100 ms."""


class LeechPeer(PeerWire):
    """
    Fetches every piece from one peer, in order.

    @param linger: leave it to the peer to close the connection when we have everything.
    @param done: called back with the count of correct pieces when the connection has ended.
    """

    def __init__(self, metainfo: Metainfo, file: IO[bytes], linger: bool, done: Deferred[int]) -> None:
        super().__init__(metainfo)
        self._file = file
        self._linger = linger
        self._done = done
        self._wanted = self._all_blocks()
        self._under_way: set[tuple[int, int]] = set()
        self._partial: dict[int, dict[int, bytes]] = {}
        self._have: set[int] = set()

    def _all_blocks(self) -> Iterator[tuple[int, int, int]]:
        for index in range(len(self.metainfo.hashes)):
            size = self.metainfo.piece_size(index)
            for begin in range(0, size, BLOCK):
                yield index, begin, min(BLOCK, size - begin)

    def handshaken(self) -> None:
        """
        We have nothing, so there is no bitfield to send.
        """
        self.send(Message.INTERESTED)

    def message_received(self, kind: int, payload: bytes) -> None:
        """
        Ask once we are unchoked, then ask again for each block that arrives.
        """
        if kind == Message.UNCHOKE:
            self._ask()
        elif kind == Message.PIECE:
            index, begin = BLOCK_HEADER.unpack_from(payload)
            self._take_block(index, begin, payload[BLOCK_HEADER.size :])
            self._ask()

    def _ask(self) -> None:
        while len(self._under_way) < PIPELINE:
            block = next(self._wanted, None)
            if block is None:
                return
            self._under_way.add(block[:2])
            self.send(Message.REQUEST, REQUEST.pack(*block))

    def _take_block(self, index: int, begin: int, data: bytes) -> None:
        if (index, begin) not in self._under_way:
            raise WireError(f"a block that nobody asked for: piece {index} at {begin}")
        self._under_way.remove((index, begin))
        blocks = self._partial.setdefault(index, {})
        blocks[begin] = data
        if sum(map(len, blocks.values())) == self.metainfo.piece_size(index):
            self._take_piece(index, b"".join(blocks[at] for at in sorted(blocks)))

    def _take_piece(self, index: int, piece: bytes) -> None:
        del self._partial[index]
        if hashlib.sha1(piece).digest() != self.metainfo.hashes[index]:
            raise WireError(f"piece {index} is not what the torrent says")
        self._file.seek(index * self.metainfo.piece_length)
        self._file.write(piece)
        self._have.add(index)
        self.send(Message.HAVE, index.to_bytes(4, "big"))
        if len(self._have) == len(self.metainfo.hashes):
            self._file.flush()
            self.send(Message.NOT_INTERESTED)
            if not self._linger:
                self.transport.loseConnection()  # type: ignore[union-attr]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Say how far we came.
        """
        self._done.callback(len(self._have))
