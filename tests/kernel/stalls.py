"""
How long did the machine not let a program run that wanted to?

Sleeps for a few milliseconds, again and again, until its standard input ends.  Then it prints, in seconds, by how much
the latest wake-up was late.  On a virtual machine whose host is busy that may be half a second, for all programs at
once; a program that measures packets at the same time is wrong by as much.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

# Seconds; a small part of what is called a stall.
INTERVAL = 0.01


def latest_wakeup(
    is_over: Callable[[], bool],
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """
    @return: by how much it was late, seconds.
    """
    latest = 0.0
    while not is_over():
        began = clock()
        sleep(INTERVAL)
        latest = max(latest, clock() - began - INTERVAL)
    return latest


def main() -> None:
    """
    Until the end of standard input.
    """
    ended = threading.Event()

    def read() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=read).start()
    print(latest_wakeup(ended.is_set))


if __name__ == "__main__":
    main()
