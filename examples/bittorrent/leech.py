"""
How does a leech keep a seed busy, and know that what it got is right?
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable
from typing import IO

from twisted.internet.protocol import connectionDone
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from bittorrent.metainfo import Metainfo
from bittorrent.wire import BLOCK, BLOCK_HEADER, REQUEST, Message, PeerWire, WireError

PIPELINE = 128
"""Requests under way at once: 2 MiB, enough for 160 Mbit/s at a round trip of 100 ms."""


ASK_AGAIN = 5.0
"""Seconds without a block after which those under way are asked for once more.  KTorrent may forget to send what it has
queued until it is asked for something."""


class Download:
    """
    What we have of a file, whoever it came from.

    @param on_complete: called when it is complete.
    @ivar wanted: the pieces that nobody has been asked for.
    @ivar have: the pieces that are written, and correct.
    """

    def __init__(self, metainfo: Metainfo, file: IO[bytes], on_complete: Callable[[], None]) -> None:
        self.metainfo = metainfo
        self.wanted = deque(range(len(metainfo.hashes)))
        self.have: set[int] = set()
        self._file = file
        self._on_complete = on_complete

    def write(self, index: int, piece: bytes) -> None:
        """
        Check a piece, and keep it.

        @raise WireError: it is not what the torrent says.
        """
        if hashlib.sha1(piece).digest() != self.metainfo.hashes[index]:
            raise WireError(f"piece {index} is not what the torrent says")
        self._file.seek(index * self.metainfo.piece_length)
        self._file.write(piece)
        self._file.flush()
        self.have.add(index)
        if self.is_complete():
            self._on_complete()

    def is_complete(self) -> bool:
        """
        Do we have everything?
        """
        return len(self.have) == len(self.metainfo.hashes)


class LeechPeer(PeerWire):
    """
    Fetches the pieces that are wanted from one peer, in order; what it did not bring is wanted again.

    @param linger: leave it to the peer to close the connection when we have everything.
    """

    def __init__(self, download: Download, linger: bool) -> None:
        super().__init__(download.metainfo)
        self._download = download
        self._linger = linger
        self._is_interested = False
        self._blocks: deque[tuple[int, int, int]] = deque()  # to ask for next
        self._under_way: set[tuple[int, int]] = set()
        self._partial: dict[int, dict[int, bytes]] = {}
        self._asked_again: set[tuple[int, int]] = set()
        self._is_quiet = False
        self._watch = LoopingCall(self._ask_again)

    def message_received(self, kind: int, payload: bytes) -> None:
        """
        Ask once we are unchoked, then ask again for each block that arrives.

        We are interested once the peer has said what it has, and not in the packet of the handshake: WebTorrent hears
        what comes with that too early, and then unchokes nobody for up to ten seconds.  What we have nobody is to fetch
        from us, so there is no bitfield to send.
        """
        if self.has and not self._is_interested:
            self._is_interested = True
            self.send(Message.INTERESTED)
        if kind == Message.UNCHOKE:
            self._ask()
            if not self._watch.running:
                self._watch.start(ASK_AGAIN, now=False)
        elif kind == Message.PIECE:
            index, begin = BLOCK_HEADER.unpack_from(payload)
            self._take_block(index, begin, payload[BLOCK_HEADER.size :])
            self._ask()

    def _ask(self) -> None:
        while len(self._under_way) < PIPELINE:
            if not self._blocks and not self._take_up_a_piece():
                return
            block = self._blocks.popleft()
            self._under_way.add(block[:2])
            self.send(Message.REQUEST, REQUEST.pack(*block))

    def _ask_again(self) -> None:
        if self._is_quiet:
            self._asked_again |= self._under_way
            for index, begin in sorted(self._under_way):
                length = min(BLOCK, self.metainfo.piece_size(index) - begin)
                self.send(Message.REQUEST, REQUEST.pack(index, begin, length))
        self._is_quiet = True

    def _take_up_a_piece(self) -> bool:
        if not self._download.wanted:
            return False
        index = self._download.wanted.popleft()
        self._partial[index] = {}
        size = self.metainfo.piece_size(index)
        self._blocks.extend((index, begin, min(BLOCK, size - begin)) for begin in range(0, size, BLOCK))
        return True

    def _take_block(self, index: int, begin: int, data: bytes) -> None:
        self._is_quiet = False
        if (index, begin) not in self._under_way:
            if (index, begin) in self._asked_again:
                return
            raise WireError(f"a block that nobody asked for: piece {index} at {begin}")
        self._under_way.remove((index, begin))
        blocks = self._partial[index]
        blocks[begin] = data
        if sum(map(len, blocks.values())) == self.metainfo.piece_size(index):
            self._take_piece(index, b"".join(blocks[at] for at in sorted(blocks)))

    def _take_piece(self, index: int, piece: bytes) -> None:
        self._download.write(index, piece)
        del self._partial[index]
        self.send(Message.HAVE, index.to_bytes(4, "big"))
        if self._download.is_complete():
            self.send(Message.NOT_INTERESTED)
            if not self._linger:
                self.leave()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        Say how far we came.
        """
        if self._watch.running:
            self._watch.stop()
        self._download.wanted.extendleft(sorted(self._partial, reverse=True))
        self._partial.clear()
        self.ended.callback(len(self._download.have))
