"""
Merges datagrams that arrive together, as the kernel does (UDP GRO).

Consecutive datagrams of one flow become one buffer as long as they are equally long; a shorter one may be the
last of its buffer.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted_utp.proto.values import Datagram

MAX_MERGED_SEGMENTS = 64
MAX_MERGED_BYTES = 65_507


def merge(datagrams: Sequence[Datagram]) -> list[Datagram]:
    """
    What the kernel would hand over for C{datagrams}, each of which is a single one.
    """
    merged: list[Datagram] = []
    start = 0
    while start < len(datagrams):
        end = _end_of_run(datagrams, start)
        first = datagrams[start]
        if end - start > 1:
            data = b"".join([datagram.data for datagram in datagrams[start:end]])
            first = Datagram(data, first.address, len(first.data), datagrams[end - 1].received_at)
        merged.append(first)
        start = end
    return merged


def _end_of_run(datagrams: Sequence[Datagram], start: int) -> int:
    """
    Where the run of datagrams ends that fit into one buffer with the one at C{start}.
    """
    size, address = len(datagrams[start].data), datagrams[start].address
    limit = min(MAX_MERGED_SEGMENTS, MAX_MERGED_BYTES // max(1, size))
    end = start + 1
    while end < len(datagrams) and end - start < limit:
        following = datagrams[end]
        if following.address != address or not 0 < len(following.data) <= size:
            break
        end += 1
        if len(following.data) < size:
            break
    return end
