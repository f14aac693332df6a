"""
Handles standard input, output or error that a shell has closed (C{<&-}).

The next file or socket that is opened would get the free number: the reactor's C{epoll}, or a UDP socket, would be
taken for standard input, and what the peer sends would be written to it.  So something harmless is put in its place
before anything is opened.
"""

from __future__ import annotations

import os
import sys

# As if nothing were to be sent; a write that fails as it would have; messages for nobody.
_IN_PLACE = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}


def fill_closed() -> None:
    """
    Open what is closed.  Reading standard input then finds its end, and writing to standard output fails, but only
    when there is something to write.
    """
    for number, mode in _IN_PLACE.items():
        if not _is_open(number):
            opened = os.open(os.devnull, mode)
            if opened != number:  # a lower one was free: there is none, as they are filled in order
                os.dup2(opened, number)
                os.close(opened)
    if sys.stderr is None:
        # Python has found it closed; print() would write to standard output instead, among the data.
        sys.stderr = os.fdopen(2, "w", closefd=False)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
