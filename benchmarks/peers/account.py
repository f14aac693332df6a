"""
What does a measured Python program tell about itself?
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

_STATM = Path("/proc/self/statm")


def report(event: str, **details: object) -> None:
    """
    One line for who measures.
    """
    print(json.dumps({"event": event, **details}), flush=True)


def cpu_seconds() -> float:
    """
    What this process has used so far, all threads, as the operating system counts it.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident_bytes() -> int:
    """
    The resident set now; where there is no /proc, the largest so far, in the unit that the system likes.
    """
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Account:
    """
    What a program counts.

    @ivar connections: that are open.
    @ivar received: bytes; C{last} is when the last of them came, in seconds on the system's monotonic clock.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.received = 0
        self.last = 0.0

    def count(self, nbytes: int) -> None:
        """
        So many bytes have just come.
        """
        self.received += nbytes
        self.last = time.monotonic()

    def report_now(self) -> None:
        """
        The answer to C{now}: cheap, since it is asked again and again.
        """
        counted = {"connections": self.connections, "received": self.received, "last": self.last}
        report("now", cpu=cpu_seconds(), **counted)


def report_memory() -> None:
    """
    The answer to C{memory}: what is left when the garbage is gone.
    """
    gc.collect()
    report("memory", rss=resident_bytes())


def obey(account: Account, other: Callable[[str], object] = lambda line: None) -> None:
    """
    Answer C{now} and C{memory}, in a thread of its own so that no event loop is needed; end the process with its input.

    @param other: called in that thread with any other line.
    """

    def read() -> None:
        for line in sys.stdin:
            if line.strip() == "now":
                account.report_now()
            elif line.strip() == "memory":
                report_memory()
            else:
                other(line.strip())
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
