"""
How is a session told, a line for each thing that happens?
"""

from __future__ import annotations

from twisted_utp.proto.events import Event
from twisted_utp.proto.values import Datagram
from twisted_utp.testing.wire import decode_or_none


def told_bytes(data: bytes) -> str:
    """
    One datagram's bytes.
    """
    header = decode_or_none(data)
    if header is None:
        return f"{len(data)} bytes {data[:28].hex()}"
    text = str(header)
    if len(text) > 160:
        text = f"{text[:120]}... {header.payload and len(header.payload)}"
    return f"{text} ts={header.timestamp} diff={header.timestamp_difference}"


def told(datagram: Datagram) -> str:
    """
    A datagram, or several that the kernel merged.
    """
    data, size = datagram.data, datagram.segment_size
    text = f"{datagram.address[0]}:{datagram.address[1]} {told_bytes(data[:size] if size else data)}"
    return f"{text} (the first of {len(data)} bytes in parts of {size})" if size else text


def told_event(event: Event) -> str:
    """
    An event.
    """
    return f"DataReceived {len(event)}" if isinstance(event, bytes) else str(event)
