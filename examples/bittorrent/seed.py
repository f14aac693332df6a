"""
How does a seed serve blocks without reading the whole file into the send buffer?
"""

from __future__ import annotations

from collections import deque
from typing import IO

from twisted.internet import reactor
from twisted.internet.interfaces import IDelayedCall, IPushProducer
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

    @param file: is closed when the connection has ended.
    @param leave_when: close the connection once the peer says that it C{has} everything, or once it was C{sent} that;
        L{None} never.
    @param hold_back: so many of the last pieces are not offered, as by a peer that has not yet got them itself.
    """

    def __init__(self, metainfo: Metainfo, file: IO[bytes], leave_when: str | None, hold_back: int = 0) -> None:
        super().__init__(metainfo)
        self.offered = max(self.offered - hold_back, 0)
        self._file = file
        self._leave_when = leave_when
        self._requests: deque[tuple[int, int, int]] = deque()
        self._sent: dict[int, dict[int, int]] = {}  # by piece, the bytes from where
        self._paused = False
        self._offer: IDelayedCall | None = None

    def handshaken(self) -> None:
        """
        Offer what there is, in a packet of its own.

        Transmission 3.00 looks at what came in one packet with the handshake only when the next one comes, and there
        would be none: it has not heard that we have anything.
        """
        self.transport.registerProducer(self, True)  # type: ignore[union-attr]
        self._offer = reactor.callLater(0, self.send_bitfield, set(range(self.offered)))

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
        self._leave_if_done()

    def _leave_if_done(self) -> None:
        if self._leave_when is None or self.left_first:
            return
        count = self._count() if self._leave_when == "sent" else len(self.has)
        if count == self.offered:
            self.transport.unregisterProducer()  # type: ignore[union-attr]
            self.leave()

    def _count(self) -> int:
        """
        The pieces that the peer has, or was sent whole.

        Transmission and libtorrent may leave before they have said that they have the last one.
        """
        whole = {
            index for index, blocks in self._sent.items() if sum(blocks.values()) >= self.metainfo.piece_size(index)
        }
        return len(self.has | whole)

    def _checked(self, payload: bytes) -> tuple[int, int, int]:
        index, begin, length = REQUEST.unpack(payload)
        known = index < self.offered and begin + length <= self.metainfo.piece_size(index)
        if not known or length > LONGEST_REQUEST or len(self._requests) >= MOST_REQUESTS:
            raise WireError(f"a request that nobody may make: piece {index}, {length} bytes at {begin}")
        return index, begin, length

    def _serve(self) -> None:
        while self._requests and not self._paused:
            index, begin, length = self._requests.popleft()
            self._file.seek(index * self.metainfo.piece_length + begin)
            self.send(Message.PIECE, BLOCK_HEADER.pack(index, begin) + self._file.read(length))
            self._sent.setdefault(index, {})[begin] = length

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
        self._leave_if_done()

    def stopProducing(self) -> None:
        """
        The connection ended.
        """
        self._paused = True
        self._requests.clear()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Say how far the peer came.
        """
        self._requests.clear()
        self._file.close()
        if self._offer is not None and self._offer.active():
            self._offer.cancel()
        self.ended.callback(self._count())
