"""
Finds the packets of a batch that can be handled together.

A wake-up brings buffers that the kernel merged (UDP GRO), single datagrams, or both, of any connections of the port,
mixed as they came.  A L{Run} is what can be taken as one: DATA of one connection with consecutive seq_nrs and without
extensions.  Its packets need not have arrived next to each other, as what other connections are told between them does
not matter to it; whatever else its own connection was told does, and ends it.  So one packet that belongs elsewhere
costs what one packet costs.  Headers are read by columns, with one call of C{struct}; single datagrams are joined for
that, which costs a tenth of what it saves.

And of several acknowledgements that wait in the socket only the last has news: the busier a process, the more of them
it need not look at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from struct import Struct

from twisted_utp.proto.constants import HEADER_SIZE, MAX_ECHO_SPREAD, SEQ_MASK, TIMESTAMP_MASK
from twisted_utp.proto.packet import HEADER
from twisted_utp.proto.train import DATA_TYPE, STATE_TYPE
from twisted_utp.proto.values import Address, Datagram

_DIFFERENCE = Struct(">I")
_PLAIN_DATA = bytes((DATA_TYPE, 0))
_PLAIN_STATE = bytes((STATE_TYPE, 0))

# prefix (type, extension, connection id), timestamp, timestamp_difference, wnd_size, seq_nr, ack_nr, payload
_Header = tuple[bytes, int, int, int, int, int, bytes]


@lru_cache(maxsize=64)
def _reader(payload: int) -> Struct:
    return Struct(f">4s3IHH{payload}s")


class Run:
    """
    Consecutive DATA packets of one connection without extensions.

    @ivar address: who sent them.
    @ivar id_on_wire: the connection id on them, two bytes.
    @ivar count: how many packets.
    @ivar first_seq: the first one's seq_nr.
    @ivar timestamp: that of the last one, as are C{timestamp_difference}, C{wnd_size} and C{ack_nr}.
    @ivar received_at: when the last one came, as its timestamp is what the delay is measured by, µs; 0 when that is
        not known.
    @ivar payloads: their payloads in order.
    @ivar nbytes: of all payloads.
    """

    __slots__ = (
        "_headers",
        "ack_nr",
        "address",
        "count",
        "first_seq",
        "id_on_wire",
        "nbytes",
        "payloads",
        "received_at",
        "timestamp",
        "timestamp_difference",
        "wnd_size",
    )

    def __init__(
        self, address: Address, headers: Sequence[_Header], payloads: Sequence[bytes], received_at: int
    ) -> None:
        prefix, self.timestamp, self.timestamp_difference, self.wnd_size, _, self.ack_nr, last = headers[-1]
        self._headers = headers
        self.address = address
        self.id_on_wire = prefix[2:]
        self.count = len(headers)
        self.first_seq = headers[0][4]
        self.payloads = payloads
        self.nbytes = (self.count - 1) * len(payloads[0]) + len(last)
        self.received_at = received_at

    def datagrams(self) -> Iterator[Datagram]:
        """
        Its packets one by one.
        """
        for prefix, timestamp, difference, wnd_size, seq, ack, payload in self._headers:
            header = HEADER.pack(DATA_TYPE, 0, prefix[2] << 8 | prefix[3], timestamp, difference, wnd_size, seq, ack)
            yield Datagram(header + payload, self.address, 0, self.received_at)


class _Gathering:
    """
    DATA packets of one connection, equally long but for the last, in single datagrams.
    """

    __slots__ = ("datagrams", "size")

    def __init__(self, datagram: Datagram) -> None:
        self.datagrams = [datagram]
        self.size = len(datagram.data)

    def takes(self, nbytes: int) -> bool:
        """
        May a packet of that length follow?
        """
        return nbytes <= self.size == len(self.datagrams[-1].data)


def runs_of(datagrams: Sequence[Datagram]) -> tuple[Sequence[Run | Datagram], int]:
    """
    Sort what arrived.

    @return: runs, and what has to be looked at alone, each connection's in order; and how many STATEs were left out
        because a later one of the same connection exceeds them (L{_supersedes}).
    """
    if not datagrams or (len(datagrams) == 1 and not datagrams[0].segment_size):
        return datagrams, 0
    if (stream := _one_stream(datagrams)) is not None:
        return stream, 0
    parts: list[Run | Datagram | _Gathering | None] = []
    latest: dict[tuple[Address, bytes], int] = {}  # where each connection's last part is, if it may be added to
    superseded = 0
    for datagram in _apart(datagrams):
        data, address = datagram.data, datagram.address
        size = len(data)
        if 0 < datagram.segment_size < size:
            for part in _runs_in(datagram):
                latest.pop((address, part.id_on_wire if type(part) is Run else part.data[2:4]), None)  # type: ignore
                parts.append(part)
            continue
        key = (address, data[2:4])
        at = latest.get(key)
        before = None if at is None else parts[at]
        if size > HEADER_SIZE and data[:2] == _PLAIN_DATA:
            if type(before) is _Gathering and before.takes(size):
                before.datagrams.append(datagram)
                continue
            latest[key] = len(parts)
            parts.append(_Gathering(datagram))
            continue
        if size != HEADER_SIZE or data[:2] != _PLAIN_STATE:
            latest.pop(key, None)
        else:
            if at is not None and type(before) is Datagram and _supersedes(data, before.data):
                parts[at] = None
                superseded += 1
            latest[key] = len(parts)
        parts.append(datagram)
    found: list[Run | Datagram] = []
    for gathered in parts:
        if type(gathered) is _Gathering:
            found += _joined(gathered.datagrams)
        elif gathered is not None:
            found.append(gathered)  # type: ignore[arg-type]
    return found, superseded


def _one_stream(datagrams: Sequence[Datagram]) -> Sequence[Run | Datagram] | None:
    """
    What is read behind a bottleneck, mostly: single full packets of one connection.

    @return: its runs; L{None} when it is anything else.
    """
    first = datagrams[0]
    prefix, size = first.data[:4], len(first.data)
    if size <= HEADER_SIZE or prefix[:2] != _PLAIN_DATA or first.segment_size:
        return None
    *sizes, last = [len(datagram.data) for datagram in datagrams]
    if sizes.count(size) < len(sizes) or not HEADER_SIZE < last <= size:
        return None
    address = first.address
    for datagram in datagrams:
        if datagram.data[:4] != prefix or datagram.address != address or datagram.segment_size:
            return None
    return _joined(datagrams)


def _apart(datagrams: Sequence[Datagram]) -> Iterator[Datagram]:
    """
    The same, but what the kernel merged of packets without payload, acknowledgements mostly, one by one.
    """
    for datagram in datagrams:
        data, size = datagram.data, datagram.segment_size
        if 0 < size <= HEADER_SIZE:
            for at in range(0, len(data), size):
                yield Datagram(data[at : at + size], datagram.address, 0, datagram.received_at)
        else:
            yield datagram


def _joined(datagrams: Sequence[Datagram]) -> Sequence[Run | Datagram]:
    if len(datagrams) == 1:
        return datagrams
    first = datagrams[0]
    headers = _headers(b"".join([datagram.data for datagram in datagrams]), len(first.data))
    return _consecutive(first.address, headers, [datagram.received_at for datagram in datagrams])


def _headers(data: bytes, size: int) -> list[_Header]:
    """
    Read a buffer of packets that are C{size} bytes long, but for the last.
    """
    tail = len(data) % size
    whole = len(data) - tail
    headers: list[_Header] = list(_reader(size - HEADER_SIZE).iter_unpack(memoryview(data)[:whole]))
    if tail:
        headers.append(_reader(tail - HEADER_SIZE).unpack_from(data, whole))
    return headers


def _runs_in(datagram: Datagram) -> list[Run | Datagram]:
    """
    What is in a buffer that the kernel merged.
    """
    data, size, address, received_at = datagram.data, datagram.segment_size, datagram.address, datagram.received_at
    rest: list[Run | Datagram] = []
    tail = len(data) % size
    if 0 < tail <= HEADER_SIZE:  # the last one has no payload: an acknowledgement, or a FIN
        rest = [Datagram(data[-tail:], address, 0, received_at)]
        data = data[:-tail]
    headers = _headers(data, size)
    prefixes = [header[0] for header in headers]
    first = prefixes[0]
    if first[:2] == _PLAIN_DATA and prefixes.count(first) == len(prefixes):
        return _consecutive(address, headers, received_at) + rest
    parts: list[list[_Header] | Datagram] = []
    latest: dict[bytes, list[_Header]] = {}
    for index, (prefix, header) in enumerate(zip(prefixes, headers, strict=True)):
        same = latest.get(prefix)
        if same is not None:
            same.append(header)
        elif prefix[:2] == _PLAIN_DATA:
            latest[prefix] = same = [header]
            parts.append(same)
        else:
            latest.pop(_PLAIN_DATA + prefix[2:], None)
            parts.append(Datagram(data[index * size : (index + 1) * size], address, 0, received_at))
    found: list[Run | Datagram] = []
    for part in parts:
        found += [part] if type(part) is Datagram else _consecutive(address, part, received_at)  # type: ignore
    return found + rest


def _consecutive(address: Address, headers: list[_Header], times: int | list[int]) -> list[Run | Datagram]:
    """
    Cut where numbers are missing or out of order; so each run is judged by its own last packet: a stranger's, that
    came in between, must not pass on the peer's word.

    @param times: when all came, or each.
    """
    seqs = [header[4] for header in headers]
    payloads = [header[6] for header in headers]
    first, count = seqs[0], len(seqs)
    if seqs == list(range(first, first + count)):
        return [Run(address, headers, payloads, times if type(times) is int else times[-1])]  # type: ignore[index]
    ends = [index for index in range(1, count) if seqs[index] != seqs[index - 1] + 1]
    runs: list[Run | Datagram] = []
    start = 0
    for end in (*ends, count):
        at = times if type(times) is int else times[end - 1]  # type: ignore[index]
        runs.append(Run(address, headers[start:end], payloads[start:end], at))
        start = end
    return runs


def _supersedes(data: bytes, before: bytes) -> bool:
    """
    Does a STATE say all that one before it said, and could no stranger have known what to write?

    Those with a selective ack do not count, nor do repeated ones: they tell of losses.  Who does not read the
    connection must not drop the peer's by a number out of the air, and nothing of the later one has been verified yet:
    so both have the same seq_nr, and say within L{MAX_ECHO_SPREAD} the same of the way to them.
    """
    if data[16:18] != before[16:18] or not 0 < _ack_nr(data) - _ack_nr(before) & SEQ_MASK <= SEQ_MASK >> 1:
        return False
    spread: int = _DIFFERENCE.unpack_from(data, 8)[0] - _DIFFERENCE.unpack_from(before, 8)[0]
    return spread + MAX_ECHO_SPREAD & TIMESTAMP_MASK <= 2 * MAX_ECHO_SPREAD


def _ack_nr(data: bytes) -> int:
    return data[18] << 8 | data[19]
