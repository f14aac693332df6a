"""
Writes many packets of equal size at once.

A train is a run of DATA packets that differ in nothing but seq_nr and payload.  One precompiled C{struct} writes
all their headers and payloads, so the interpreter's cost is paid per train and not per packet.  Structs are kept by
shape; the number of shapes is bounded.  How they are read again: L{twisted_utp.proto.runs}.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from twisted_utp.proto.constants import SEQ_MASK, VERSION
from twisted_utp.proto.packet import PacketType

DATA_TYPE = PacketType.DATA << 4 | VERSION
STATE_TYPE = PacketType.STATE << 4 | VERSION
DATA_PREFIX = Struct(">BBH")


class TrainHeader(NamedTuple):
    """
    What all packets of a train share.

    @ivar extension: type of the first extension, 0 for none.
    @ivar extensions: the extensions' bytes.
    """

    connection_id: int
    timestamp: int
    timestamp_difference: int
    wnd_size: int
    ack_nr: int
    extension: int = 0
    extensions: bytes = b""


@lru_cache(maxsize=512)
def _writer(count: int, size: int, last: int, extensions: int) -> Struct:
    body = f"4s3IHH{extensions}s"
    return Struct(">" + f"{body}{size}s" * (count - 1) + f"{body}{last}s")


@lru_cache(maxsize=512)
def _cutter(count: int, size: int, last: int) -> Struct:
    return Struct(f"{size}s" * (count - 1) + f"{last}s")


def encode_train(
    header: TrainHeader, first_seq: int, data: bytes, offset: int, size: int, count: int, nbytes: int
) -> bytes:
    """
    C{count} DATA packets as one buffer.

    @param first_seq: seq_nr of the first; the others follow (unwrapped or not).
    @param data: where the payload is, from C{offset} on.
    @param size: payload of each packet but the last, which has what remains of C{nbytes}.
    @param nbytes: payload of all.
    @return: the buffer; each datagram in it is C{HEADER_SIZE + len(header.extensions) + size} long.
    """
    connection_id, timestamp, difference, window, ack_nr, extension, extensions = header
    last = nbytes - (count - 1) * size
    prefix = DATA_PREFIX.pack(DATA_TYPE, extension, connection_id)
    seq = first_seq & SEQ_MASK
    arguments: list[object] = []
    extend = arguments.extend
    for payload in _cutter(count, size, last).unpack_from(data, offset):
        extend((prefix, timestamp, difference, window, seq, ack_nr, extensions, payload))
        seq = seq + 1 & SEQ_MASK
    return _writer(count, size, last, len(extensions)).pack(*arguments)
