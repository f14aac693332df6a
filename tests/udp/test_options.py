"""
Does a socket that somebody else has used serve us, whatever he has set on it?
"""

from __future__ import annotations

import select
import socket
import struct
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from twisted_utp.udp.options import SOL_UDP, UDP_GRO, UDP_SEGMENT, clear_options, is_connected, merges

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="these options are Linux's")

ANY_HOST = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
LOOPBACK = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}

# What adds control messages: level, option.
TALKATIVE = {
    socket.AF_INET: [(1, 29), (1, 35), (1, 37), (1, 40), (1, 75), (0, 6), (0, 7), (0, 8), (0, 12), (0, 13), (0, 20)],
    socket.AF_INET6: [(1, 29), (1, 35), (1, 37), (1, 40), (41, 49), (41, 51), (41, 66), (41, 74), (41, 11), (0, 8)],
}


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv6"])
def used(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A socket of each family, on all addresses."""
    with socket.socket(request.param, socket.SOCK_DGRAM) as made:
        made.bind((ANY_HOST[request.param], 0))
        yield made


def send_to(used: socket.socket, data: bytes) -> None:
    """A datagram from another socket."""
    with socket.socket(used.family, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, (LOOPBACK[used.family], used.getsockname()[1]))


def received(used: socket.socket) -> tuple[bytes, list[Any], int]:
    """What arrives, its control messages, and flags."""
    assert select.select([used], [], [], 10)[0]
    data, messages, flags, _ = used.recvmsg(65_536, 4096, socket.MSG_DONTWAIT)
    return data, messages, flags


def test_no_control_messages(used: socket.socket) -> None:
    """Whatever was asked for, none comes any more."""
    for level, option in TALKATIVE[used.family]:
        try:
            used.setsockopt(level, option, 24 if (level, option) == (1, 37) else 1)
        except OSError:
            continue  # newer than this kernel
    send_to(used, b"talkative")
    assert len(received(used)[1]) > 4
    clear_options(used)
    send_to(used, b"quiet")
    assert received(used)[:2] == (b"quiet", [])


@pytest.mark.parametrize(
    ("level", "option", "value"),
    [(SOL_UDP, UDP_SEGMENT, 4), (SOL_UDP, 1, 1), (SOL_UDP, 101, 1), (socket.SOL_SOCKET, 11, 1), (SOL_UDP, 100, 2)],
    ids=["UDP_SEGMENT", "UDP_CORK", "UDP_NO_CHECK6_TX", "SO_NO_CHECK", "UDP_ENCAP"],
)
def test_what_is_sent_is_whole(used: socket.socket, level: int, option: int, value: int) -> None:
    """Neither cut nor joined, nor without a checksum, nor taken for something else."""
    used.setsockopt(level, option, value)
    clear_options(used)
    with socket.socket(used.family, socket.SOCK_DGRAM) as receiver:
        receiver.bind((LOOPBACK[used.family], 0))
        used.sendto(b"ten bytes.", receiver.getsockname())
        assert received(receiver)[0] == b"ten bytes."
        receiver.sendto(b"answer", (LOOPBACK[used.family], used.getsockname()[1]))
        assert received(used)[0] == b"answer"
    assert used.getsockopt(level, option) == 0


def test_a_filter_that_shortens(used: socket.socket) -> None:
    """It is gone."""
    import ctypes

    keep = ctypes.create_string_buffer(struct.pack("=HBBI", 6, 0, 0, 12))  # BPF_RET: the UDP header and four bytes
    used.setsockopt(socket.SOL_SOCKET, 26, struct.pack("@HP", 1, ctypes.addressof(keep)))
    send_to(used, b"shortened")
    assert received(used)[0] == b"shor"
    clear_options(used)
    send_to(used, b"shortened")
    assert received(used)[0] == b"shortened"


def test_it_does_not_block(used: socket.socket) -> None:
    """Nor has it a timeout of the kernel's."""
    used.setblocking(True)
    used.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 3, 0))
    clear_options(used)
    assert not used.getblocking()
    assert used.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == bytes(16)


def test_merging(used: socket.socket) -> None:
    """It is told, and cleared."""
    assert not merges(used)
    try:
        used.setsockopt(SOL_UDP, UDP_GRO, 1)
    except OSError:
        return  # a kernel that cannot
    assert merges(used)
    clear_options(used)
    assert not merges(used)


def test_connected(used: socket.socket) -> None:
    """One that hears one peer only is told from others."""
    assert not is_connected(used)
    used.connect((LOOPBACK[used.family], 9))
    assert is_connected(used)
