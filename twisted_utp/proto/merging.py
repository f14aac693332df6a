"""
What if the socket hands over single datagrams, but many of them?

Then consecutive ones of a flow are put together as the kernel's GRO would have done, so that one train is decoded
instead of many packets: joining costs a tenth of what it saves.  And of several acknowledgements that wait in the
socket only the last has news: the busier a process, the more of them it need not look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct

from twisted_utp.proto.constants import HEADER_SIZE, MAX_ECHO_SPREAD, SEQ_MASK, TIMESTAMP_MASK
from twisted_utp.proto.train import DATA_TYPE, STATE_TYPE
from twisted_utp.proto.values import Address, Datagram

_DIFFERENCE = Struct(">I")


def merge_runs(datagrams: Sequence[Datagram]) -> Iterator[Datagram]:
    """
    The same datagrams in the same order, but runs of equally long DATA packets of one sender merged.

    As in a buffer from GRO, the last of a run may be shorter.  What was merged already stays as it is.
    """
    run: list[Datagram] = []
    for datagram in datagrams:
        data = datagram.data
        is_plain = not datagram.segment_size and len(data) > HEADER_SIZE and data[0] == DATA_TYPE and not data[1]
        if run and not (is_plain and _continues(run, datagram)):
            yield _merged(run)
            run = []
        if is_plain:
            run.append(datagram)
        else:
            yield datagram
    if run:
        yield _merged(run)


def without_superseded(datagrams: Sequence[Datagram]) -> Sequence[Datagram]:
    """
    The same datagrams in the same order, but without STATEs whose ack_nr a later one of the same connection exceeds.

    Those with a selective ack stay, and so do repeated ones: they tell of losses.

    Who does not read the connection must not drop the peer's by a number out of the air, and nothing of the later one
    has been verified yet: so both have the same seq_nr, and say within L{MAX_ECHO_SPREAD} the same of the way to them.
    """
    latest: dict[tuple[Address, bytes], int] = {}
    superseded: set[int] = set()
    for index, datagram in enumerate(datagrams):
        data = datagram.data
        key = (datagram.address, data[2:4])
        if len(data) != HEADER_SIZE or data[0] != STATE_TYPE or data[1]:
            latest.pop(key, None)
            continue
        before = latest.get(key)
        if before is not None and _supersedes(data, datagrams[before].data):
            superseded.add(before)
        latest[key] = index
    if not superseded:
        return datagrams
    return [datagram for index, datagram in enumerate(datagrams) if index not in superseded]


def _supersedes(data: bytes, before: bytes) -> bool:
    """
    Does a STATE say all that one before it said, and could no stranger have known what to write?
    """
    if data[16:18] != before[16:18] or not 0 < _ack_nr(data) - _ack_nr(before) & SEQ_MASK <= SEQ_MASK >> 1:
        return False
    spread: int = _DIFFERENCE.unpack_from(data, 8)[0] - _DIFFERENCE.unpack_from(before, 8)[0]
    return spread + MAX_ECHO_SPREAD & TIMESTAMP_MASK <= 2 * MAX_ECHO_SPREAD


def _ack_nr(data: bytes) -> int:
    return data[18] << 8 | data[19]


def _continues(run: list[Datagram], datagram: Datagram) -> bool:
    first = run[0]
    size = len(first.data)
    # A shorter one ends its run, so the one before must have had full size.
    return len(datagram.data) <= size == len(run[-1].data) and datagram.address == first.address


def _merged(run: list[Datagram]) -> Datagram:
    """
    The earliest time counts for all: what came later had been waiting in the socket, as far as we can tell.
    """
    first = run[0]
    if len(run) == 1:
        return first
    return Datagram(b"".join([datagram.data for datagram in run]), first.address, len(first.data), first.received_at)
