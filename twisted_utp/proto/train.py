"""
How are many equal packets written, and read, at once?

A train is a run of DATA packets that differ in nothing but seq_nr and payload.  One precompiled C{struct} writes
all their headers and payloads, and one reads a whole received buffer by columns, so the interpreter's cost is
paid per train and not per packet.  Structs are kept by shape; the number of shapes is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from twisted_utp.proto.constants import HEADER_SIZE, SEQ_MASK, VERSION
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


@lru_cache(maxsize=64)
def _reader(payload: int) -> Struct:
    return Struct(f">4s3IHH{payload}s")


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


@dataclass(slots=True)
class TrainColumns:
    """
    A received train: consecutive DATA packets of one connection without extensions.

    @ivar count: how many packets.
    @ivar first_seq: the first one's seq_nr.
    @ivar timestamp: that of the last one, as are C{timestamp_difference}, C{wnd_size} and C{ack_nr}.
    @ivar payloads: their payloads in order.
    """

    count: int
    first_seq: int
    timestamp: int
    timestamp_difference: int
    wnd_size: int
    ack_nr: int
    payloads: tuple[bytes, ...]


def decode_trains(data: bytes, segment_size: int) -> list[TrainColumns]:
    """
    Read a merged buffer by columns.

    @return: one train; or several, in order, where packets between them were lost or overtaken.  Nothing when the
        buffer is anything but DATA packets that share type, extension-lessness and connection id: then its datagrams
        have to be looked at one by one.
    """
    if data[0] != DATA_TYPE or data[1]:
        return []
    total = len(data)
    segment_size = min(segment_size, total)
    tail = total % segment_size
    if (tail and tail <= HEADER_SIZE) or segment_size <= HEADER_SIZE:
        return []
    whole = total - tail
    view = memoryview(data)
    columns = zip(*_reader(segment_size - HEADER_SIZE).iter_unpack(view[:whole]), strict=True)
    prefixes, timestamps, differences, windows, seqs, acks, payloads = columns
    if tail:
        last = _reader(tail - HEADER_SIZE).unpack_from(data, whole)
        prefixes += (last[0],)
        timestamps += (last[1],)
        differences += (last[2],)
        windows += (last[3],)
        seqs += (last[4],)
        acks += (last[5],)
        payloads += (last[6],)
    count, first = len(seqs), seqs[0]
    if prefixes.count(prefixes[0]) != count:
        return []
    runs = [(0, count)] if seqs == tuple(range(first, first + count)) else _runs(seqs)
    # Each run is judged by its own last packet: a stranger's, that came in between, must not pass on the peer's word.
    return [
        TrainColumns(
            end - start,
            seqs[start],
            timestamps[end - 1],
            differences[end - 1],
            windows[end - 1],
            acks[end - 1],
            payloads[start:end],
        )
        for start, end in runs
    ]


def _runs(seqs: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """
    Where consecutive numbers start and end.
    """
    start = 0
    for index in range(1, len(seqs)):
        if seqs[index] != seqs[index - 1] + 1:
            yield start, index
            start = index
    yield start, len(seqs)
