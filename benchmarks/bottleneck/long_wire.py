"""
A link that takes its time, where the kernel has no C{netem}::

    python -m benchmarks.bottleneck.long_wire DEVICE DEVICE SECONDS [LOSS [JITTER]]

Makes two network devices (TUN); what is sent into one comes out of the other so much later, and up to JITTER seconds
more, in order; a part LOSS of it is lost, the same in each run.  A device may be moved to
another namespace afterwards.

C{long_wire.c} is the same in C.  L{compiled} makes a program of it where there is a compiler: a Python process cannot
carry 300 Mb/s, and at 100 Mb/s it takes half a processor from those that are measured.
"""

from __future__ import annotations

import fcntl
import functools
import os
import random
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.peers.account import Account, obey, report

# <linux/if_tun.h>
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000

_READ_SIZE = 65_536

# Packets that are read from one device before the other has its turn, and those that are due leave.
_READS = 64


@functools.cache
def _directory() -> tempfile.TemporaryDirectory[str]:
    """
    For the program; it is removed when this process ends.
    """
    return tempfile.TemporaryDirectory(prefix="long-wire-")


@functools.cache
def compiled() -> str | None:
    """
    The program that does this in C; L{None} where it cannot be compiled.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    program = str(Path(_directory().name) / "long_wire")
    words = [compiler, "-O2", "-o", program, str(Path(__file__).with_suffix(".c"))]
    return None if subprocess.run(words, capture_output=True).returncode else program


def make_device(name: str) -> int:
    """
    A TUN device.

    @return: what it is read from and written to.
    @raise OSError: not here.
    """
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return device


def carry(near: int, far: int, delay: float, loss: float = 0.0, jitter: float = 0.0) -> None:
    """
    For ever: this process is ended from outside.
    """
    devices, other = (near, far), {near: far, far: near}
    dice = random.Random(1)
    waiting: deque[tuple[float, int, bytes]] = deque()  # first in, first out, also where there is jitter
    latest = 0.0
    while True:
        timeout = max(waiting[0][0] - time.monotonic(), 0) if waiting else None
        readable, _, _ = select.select(devices, [], [], timeout)
        now = time.monotonic()
        for device in readable:
            for packet in _read(device):
                if loss and dice.random() < loss:
                    continue
                latest = max(latest, now + delay + (jitter and dice.uniform(0, jitter)))
                waiting.append((latest, other[device], packet))
        while waiting and waiting[0][0] <= now:
            _, device, packet = waiting.popleft()
            _write(device, packet)


def _read(device: int) -> Iterator[bytes]:
    """
    What waits there, within reason.
    """
    for _ in range(_READS):
        try:
            yield os.read(device, _READ_SIZE)
        except BlockingIOError:
            return


def _write(device: int, packet: bytes) -> None:
    """
    What a device does not take, since it is not up yet, is lost.
    """
    try:
        os.write(device, packet)
    except OSError:
        return


def main(words: Sequence[str]) -> None:
    """
    Make the link.
    """
    near, far, *figures = words
    devices = make_device(near), make_device(far)
    obey(Account())
    report("made")
    carry(*devices, *map(float, figures))


if __name__ == "__main__":
    main(sys.argv[1:])
