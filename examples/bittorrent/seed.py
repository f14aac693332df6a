"""
How does a seed serve blocks without reading the whole file into the send buffer?
"""

from __future__ import annotations

from collections import Counter, deque
from typing import IO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bittorrent.metainfo import Metainfo
from bittorrent.wire import BLOCK_HEADER, REQUEST, Message, PeerWire, WireError

LONGEST_REQUEST = 128 * 1024
MOST_REQUESTS = 4096


@implementer(IPushProducer)
class SeedPeer(PeerWire):
    """
    Serves every request of one peer.

    It is the push producer of its own transport: while the transport is full, requests wait in a queue as numbers,
    not as data.

    @param until_complete: close the connection once the peer has everything.
    @param done: called back with the number of pieces that the peer has, or was sent whole, when the connection has
        ended.
    """

    def __init__(self, metainfo: Metainfo, file: IO[bytes], until_complete: bool, done: Deferred[int]) -> None:
        super().__init__(metainfo)
        self._file = file
        self._until_complete = until_complete
        self._done = done
        self._requests: deque[tuple[int, int, int]] = deque()
        self._sent: Counter[int] = Counter()  # bytes by piece
        self._paused = False

    def handshaken(self) -> None:
        """
        Offer all pieces.
        """
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]
        self.send_bitfield(set(range(len(self.metainfo.hashes))))

    def message_received(self, kind: int, payload: bytes) -> None:
        """
        Unchoke whoever is interested, and queue what it asks for.
        """
        if kind == Message.INTERESTED:
            self.send(Message.UNCHOKE)
        elif kind == Message.REQUEST:
            self._requests.append(self._checked(payload))
            self._serve()
        elif kind == Message.CANCEL:
            cancelled = REQUEST.unpack(payload)
            self._requests = deque(request for request in self._requests if request != cancelled)
        if self._until_complete and self.is_peer_complete():
            self.transport.unregisterProducer()  # type: ignore[union-attr]
            self.transport.loseConnection()  # type: ignore[union-attr]

    def _checked(self, payload: bytes) -> tuple[int, int, int]:
        index, begin, length = REQUEST.unpack(payload)
        known = index < len(self.metainfo.hashes) and begin + length <= self.metainfo.piece_size(index)
        if not known or length > LONGEST_REQUEST or len(self._requests) >= MOST_REQUESTS:
            raise WireError(f"a request that nobody may make: piece {index}, {length} bytes at {begin}")
        return index, begin, length

    def _serve(self) -> None:
        while self._requests and not self._paused:
            index, begin, length = self._requests.popleft()
            self._file.seek(index * self.metainfo.piece_length + begin)
            self.send(Message.PIECE, BLOCK_HEADER.pack(index, begin) + self._file.read(length))
            self._sent[index] += length

    def pauseProducing(self) -> None:
        """
        The transport has enough.
        """
        self._paused = True

    def resumeProducing(self) -> None:
        """
        The transport has room again.
        """
        self._paused = False
        self._serve()

    def stopProducing(self) -> None:
        """
        The connection ended.
        """
        self._paused = True
        self._requests.clear()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Say how far the peer came.

        A peer that has everything has no more use for a seed: libtorrent may leave before it says so of its last piece.
        """
        self._requests.clear()
        sent = {index for index, length in self._sent.items() if length >= self.metainfo.piece_size(index)}
        self._done.callback(len(self.has | sent))
