"""
How do two BitTorrent peers talk?  (BEP 3's peer wire protocol, over any transport that Twisted has.)
"""

from __future__ import annotations

import secrets
import struct
from enum import IntEnum

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol

from bittorrent.metainfo import Metainfo

BLOCK = 16 * 1024
"""Bytes in a request: everybody's, and more than twice as many are refused by most."""

HANDSHAKE = struct.Struct(">B19s8s20s20s")
PROTOCOL_NAME = b"BitTorrent protocol"
HANDSHAKE_AS_LENGTH = int.from_bytes(b"\x13Bit", "big")
"""What the beginning of a handshake looks like where a message begins: KTorrent, when it dials, may send two."""
REQUEST = struct.Struct(">III")
BLOCK_HEADER = struct.Struct(">II")
LARGEST_MESSAGE = 1 << 21


class Message(IntEnum):
    """
    The messages that this example knows; others are ignored, as the protocol asks.
    """

    CHOKE = 0
    UNCHOKE = 1
    INTERESTED = 2
    NOT_INTERESTED = 3
    HAVE = 4
    BITFIELD = 5
    REQUEST = 6
    PIECE = 7
    CANCEL = 8


class WireError(Exception):
    """
    The peer does not speak our protocol, or has another torrent.
    """


class PeerWire(Protocol):
    """
    The handshake and the framing.  A subclass gets C{handshaken}, then C{message_received} for each message.

    @ivar has: the pieces that the peer says it has.
    @ivar ended: called back with the number of pieces that went from one to the other, when the connection has ended.
    @ivar offered: the number of pieces that can go from one to the other: all, unless a subclass says otherwise.
    @ivar left_first: it was we who closed the connection.
    """

    def __init__(self, metainfo: Metainfo) -> None:
        self.metainfo = metainfo
        self.has: set[int] = set()
        self.offered = len(metainfo.hashes)
        self.ended: Deferred[int] = Deferred()
        self.left_first = False
        self._buffer = bytearray()
        self._handshaken = False

    def connectionMade(self) -> None:
        """
        Say who we are and which torrent this is about.
        """
        peer_id = b"-TU0100-" + secrets.token_bytes(12)
        self._write(HANDSHAKE.pack(19, PROTOCOL_NAME, bytes(8), self.metainfo.info_hash, peer_id))

    def dataReceived(self, data: bytes) -> None:
        """
        Take the stream apart.
        """
        self._buffer += data
        try:
            self._parse()
        except WireError as error:
            print(f"closing: {error}", flush=True)
            self.leave()

    def _parse(self) -> None:
        if not self._handshaken:
            if len(self._buffer) < HANDSHAKE.size:
                return
            self._take_handshake()
        start = 0
        while len(self._buffer) - start >= 4:
            length = int.from_bytes(self._buffer[start : start + 4], "big")
            if length == HANDSHAKE_AS_LENGTH:
                if len(self._buffer) - start < HANDSHAKE.size:
                    break
                start += HANDSHAKE.size
                continue
            if length > LARGEST_MESSAGE:
                raise WireError(f"a message of {length} bytes")
            end = start + 4 + length
            if len(self._buffer) < end:
                break
            message = bytes(self._buffer[start + 4 : end])
            start = end
            if message:  # an empty one is a keepalive
                self._dispatch(message[0], message[1:])
        del self._buffer[:start]

    def _take_handshake(self) -> None:
        length, name, _reserved, info_hash, _peer_id = HANDSHAKE.unpack_from(self._buffer)
        del self._buffer[: HANDSHAKE.size]
        if (length, name) != (19, PROTOCOL_NAME):
            raise WireError("not a BitTorrent handshake")
        if info_hash != self.metainfo.info_hash:
            raise WireError(f"a handshake for another torrent, {info_hash.hex()}")
        self._handshaken = True
        self.handshaken()

    def _dispatch(self, kind: int, payload: bytes) -> None:
        if kind == Message.HAVE and len(payload) == 4:
            self.has.add(int.from_bytes(payload, "big"))
        elif kind == Message.BITFIELD:
            self.has |= bits_set(payload, len(self.metainfo.hashes))
        self.message_received(kind, payload)

    def send(self, kind: Message, payload: bytes = b"") -> None:
        """
        Send one message.
        """
        self._write(struct.pack(">IB", 1 + len(payload), kind) + payload)

    def send_bitfield(self, have: set[int]) -> None:
        """
        Say which pieces we have; nothing when there are none.
        """
        if have:
            self.send(Message.BITFIELD, bits_of(have, len(self.metainfo.hashes)))

    def leave(self) -> None:
        """
        Close the connection.
        """
        assert self.transport is not None
        self.left_first = True
        self.transport.loseConnection()

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def handshaken(self) -> None:
        """
        The peer has our torrent.  For subclasses.
        """

    def message_received(self, kind: int, payload: bytes) -> None:
        """
        A message arrived.  For subclasses.
        """


def bits_of(have: set[int], count: int) -> bytes:
    """
    A set of piece numbers as a bitfield, the first piece in the highest bit.
    """
    field = bytearray((count + 7) // 8)
    for index in have:
        field[index // 8] |= 0x80 >> index % 8
    return bytes(field)


def bits_set(field: bytes, count: int) -> set[int]:
    """
    The reverse.
    """
    return {index for index in range(min(count, len(field) * 8)) if field[index // 8] & 0x80 >> index % 8}
